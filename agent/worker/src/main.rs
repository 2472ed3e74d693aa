//! `podgate-worker sftp` and `podgate-worker scp`: serve files in the container that they are started in,
//! as that container's user. They read from stdin, answer on stdout, and end with stdin.
//! `podgate-worker sockets`: makes sockets there. Its stdin is a socket, on which it answers, too.

mod arguments;
mod make;
mod paths;
mod sandbox;
mod scp;
mod sftp;
mod system;

use std::fs::File;
use std::io::{self, Write as _, stdin, stdout};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

use rustix::thread::set_name;

use arguments::{Arguments, Service};
use sftp::Server;

/// Why the worker ended with an error.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
    #[error(transparent)]
    Sftp(#[from] sftp::Error),
    #[error(transparent)]
    Scp(#[from] scp::Error),
    #[error("cannot use stdin and stdout: {0}")]
    Io(#[from] io::Error),
}

fn main() -> ExitCode {
    let words = std::env::args_os().skip(1).map(OsStringExt::into_vec);
    let words: Vec<Vec<u8>> = words.collect();
    let Some(arguments) = arguments::read(&words) else {
        eprintln!("usage: podgate-worker [--tell] sftp [--only read|write] [--draft-links]");
        eprintln!("       podgate-worker [--tell] scp [-rpd] -t|-f -- PATTERN...");
        eprintln!("       podgate-worker [--tell] sockets");
        return ExitCode::from(2);
    };
    match serve(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("podgate: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves to the end. Answers whether all went well.
fn serve(arguments: &Arguments) -> Result<bool, Error> {
    // Else it is shown by the number of a descriptor.
    set_name(c"podgate-worker").map_err(io::Error::from)?;
    // Not std's own, which buffer.
    let open = |fd: &dyn AsFd| io::Result::Ok(File::from(fd.as_fd().try_clone_to_owned()?));
    let (from, mut to) = (open(&stdin())?, open(&stdout())?);
    match &arguments.service {
        Service::Sockets => sandbox::narrow_to_sockets()?,
        _ => sandbox::narrow()?,
    }
    if arguments.tell {
        to.write_all(b"\0")?;
    }
    Ok(match &arguments.service {
        Service::Sftp(access, links) => {
            Server::new(*access, *links).serve(from, to)?;
            true
        }
        Service::Sockets => make::serve(&stdin()).map(|()| true)?,
        Service::ScpReceive(path, options) => scp::receive(from, to, path, *options)?,
        Service::ScpSend(paths, options) => scp::send(from, to, paths, *options)?,
    })
}
