//! `podgate-worker sftp` and `podgate-worker scp`: serve files in the container that they are started in,
//! as that container's user. They read from stdin, answer on stdout, and end with stdin.

mod sandbox;
mod scp;
mod sftp;

use std::fs::File;
use std::io::{self, stdin, stdout};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

use scp::Options;
use sftp::{Access, Server};

/// What to serve.
enum Service {
    Sftp(Access),
    ScpReceive(Vec<u8>, Options),
    ScpSend(Vec<Vec<u8>>, Options),
}

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
    let Some(service) = service(&words) else {
        eprintln!("usage: podgate-worker sftp [--only read|write]");
        eprintln!("       podgate-worker scp [-rpd] -t|-f -- PATH...");
        return ExitCode::from(2);
    };
    match serve(&service) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("podgate: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the arguments. The agent gives them, so there is one way to write each.
fn service(words: &[Vec<u8>]) -> Option<Service> {
    let (first, rest) = words.split_first()?;
    let rest: Vec<&[u8]> = rest.iter().map(Vec::as_slice).collect();
    match (first.as_slice(), rest.as_slice()) {
        (b"sftp", []) => Some(Service::Sftp(Access::ReadAndWrite)),
        (b"sftp", [b"--only", b"read"]) => Some(Service::Sftp(Access::Read)),
        (b"sftp", [b"--only", b"write"]) => Some(Service::Sftp(Access::Write)),
        (b"scp", rest) => scp_service(rest),
        _ => None,
    }
}

fn scp_service(words: &[&[u8]]) -> Option<Service> {
    let end = words.iter().position(|word| *word == b"--")?;
    let (flags, paths) = words.split_at(end);
    let has = |flag: &[u8]| flags.contains(&flag);
    let options = Options {
        recursive: has(b"-r"),
        preserve: has(b"-p"),
        into_folder: has(b"-d"),
    };
    let paths: Vec<_> = paths.iter().skip(1).map(|path| path.to_vec()).collect();
    match (has(b"-t"), has(b"-f"), paths.as_slice()) {
        (true, false, [path]) => Some(Service::ScpReceive(path.clone(), options)),
        (false, true, [_, ..]) => Some(Service::ScpSend(paths, options)),
        _ => None,
    }
}

/// Serves to the end. Answers whether all went well.
fn serve(service: &Service) -> Result<bool, Error> {
    // Not std's own, which buffer.
    let open = |fd: &dyn AsFd| io::Result::Ok(File::from(fd.as_fd().try_clone_to_owned()?));
    let (from, to) = (open(&stdin())?, open(&stdout())?);
    sandbox::narrow()?;
    Ok(match service {
        Service::Sftp(access) => {
            Server::new(*access).serve(from, to)?;
            true
        }
        Service::ScpReceive(path, options) => scp::receive(from, to, path, *options)?,
        Service::ScpSend(paths, options) => scp::send(from, to, paths, *options)?,
    })
}
