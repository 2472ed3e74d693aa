//! `podgate-node-entry --socket F`: the only part of a node that can enter a container. It runs the
//! node's own runc or crun, and hands what came of it to the agent beside it. It is two processes: a
//! front, which hears the agent and has no privilege, and a starter, which hears the front.

mod arguments;
mod container;
mod end;
mod front;
mod processes;
mod record;
mod starter;

use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A lost thread would go unnoticed; a lost process is started again.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::exit(101);
    }));
    let ran = match arguments.front {
        true => front::server::run(arguments.agent_uid),
        false => starter::server::run(arguments.into()),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("podgate-node-entry: {error:#}");
            ExitCode::FAILURE
        }
    }
}
