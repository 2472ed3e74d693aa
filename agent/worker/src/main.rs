//! `podgate-worker sftp`: serves files in the container that it is started in, as that container's user.
//! It reads requests from its stdin, answers on its stdout, and ends with its stdin.

mod sftp;

use std::fs::File;
use std::io::{self, stdin, stdout};
use std::os::fd::AsFd;
use std::process::ExitCode;

use sftp::{Access, Server};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let words: Vec<_> = arguments.iter().filter_map(|word| word.to_str()).collect();
    let access = match *words {
        ["sftp"] => Access::ReadAndWrite,
        ["sftp", "--only", "read"] => Access::Read,
        ["sftp", "--only", "write"] => Access::Write,
        _ => {
            eprintln!("usage: podgate-worker sftp [--only read|write]");
            return ExitCode::from(2);
        }
    };
    match serve(access) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("podgate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(access: Access) -> Result<(), sftp::Error> {
    // Not std's own, which buffer.
    let open = |fd: &dyn AsFd| io::Result::Ok(File::from(fd.as_fd().try_clone_to_owned()?));
    Server::new(access).serve(open(&stdin())?, open(&stdout())?)
}
