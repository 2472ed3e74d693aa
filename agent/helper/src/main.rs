//! `podgate-node-helper --socket F`: the one privileged part of a node, beside the agent. It listens
//! only on a unix socket, and answers a few typed requests about processes of containers. It keeps no
//! state, so its restart disturbs nobody.

mod agents;
mod background;
mod control_groups;
mod descriptors;
mod find;
mod look;
mod processes;
mod sandbox;
mod server;
mod signal;
mod terminal;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use nix::sys::signal::{SigSet, Signal};
use podgate_helper::ticks;

/// Finds, signals and hangs up the processes of sessions for the Podgate agent of its node.
#[derive(Parser)]
#[command(name = "podgate-node-helper", version = version())]
struct Arguments {
    /// The socket to listen on. Its folder must be closed to others; a missing folder is created that way.
    #[arg(long)]
    socket: PathBuf,
    /// The user id that may connect besides this program's own: the agent's.
    #[arg(long)]
    agent_uid: Option<u32>,
    #[command(flatten)]
    looks: look::Most,
}

/// The version, and the commit that the image was built from. podgate-process has the same, but links
/// what a privileged program must not.
fn version() -> String {
    let commit = option_env!("PODGATE_COMMIT").unwrap_or("commit unknown");
    format!("{} ({commit})", env!("CARGO_PKG_VERSION"))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("podgate-node-helper: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // A lost thread would go unnoticed, but a lost process is started again.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::exit(101);
    }));
    look::bound(arguments.looks);
    let server = server::Server::bind(&arguments.socket, arguments.agent_uid)?;
    // Reads the length of a clock tick, by a call that the sandbox later forbids.
    ticks::now();
    // All threads inherit the mask, so these signals wait for the thread that asks for them.
    let ends = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT]);
    ends.thread_block()?;
    sandbox::narrow()?;
    server.serve(
        || sandbox::filter_calls().map_err(anyhow::Error::from),
        || Ok(ends.wait().map(drop)?),
    );
    Ok(())
}
