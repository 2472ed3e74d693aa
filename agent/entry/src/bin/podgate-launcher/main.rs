//! The launcher: the first program of a session in its container. It reads what it is to run as bytes,
//! adds what only the inside knows, waits for the agent's word, and gives its place to the program. It
//! is linked statically and run from a sealed memfd, so it needs nothing of the image but /proc, and it
//! holds nothing that the container has not.

mod passwd;
mod program;
mod streams;

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::process::ExitCode;

use rustix::net::{RecvFlags, SendFlags, recv, send};

use podgate_node_entry::launch::{Launch, MAX_LAUNCH};
use podgate_node_entry::report::{Failure, GO, Report};
use podgate_node_entry::system::{FIRST, inherited};

/// Why no program has taken its place.
enum Ended {
    /// Nobody waits for it any more.
    Unwanted,
    Failed(Failure),
}

fn main() -> ExitCode {
    // This program's own file, which the program is not to have.
    drop(inherited(FIRST));
    let (Ok(launch), Ok(agent)) = (inherited(FIRST + 1), inherited(FIRST + 2)) else {
        return ExitCode::from(Failure::Launch.status());
    };
    // Where there is one. What takes the launcher's place holds it no more.
    let worker = inherited(FIRST + 3).ok();
    match run(launch, &agent, worker) {
        Ok(never) => match never {},
        Err(Ended::Unwanted) => ExitCode::FAILURE,
        Err(Ended::Failed(failure)) => {
            // If it cannot be told, its status still says it.
            let _ = tell(&agent, &Report::Failed(failure.clone()));
            ExitCode::from(failure.status())
        }
    }
}

fn run(launch: OwnedFd, agent: &OwnedFd, worker: Option<OwnedFd>) -> Result<Infallible, Ended> {
    let bytes = read(launch).map_err(|_| Ended::Failed(Failure::Launch))?;
    let launch = Launch::parse(&bytes).map_err(|_| Ended::Failed(Failure::Launch))?;
    if !streams::are_given() {
        return Err(Ended::Failed(Failure::Streams));
    }
    let (program, ready) = program::prepare(launch, worker);
    tell(agent, &Report::Ready(ready)).map_err(|_| Ended::Unwanted)?;
    let mut word = [0; 16];
    let (heard, _) = recv(agent, &mut word, RecvFlags::empty()).map_err(|_| Ended::Unwanted)?;
    if word.get(..heard) != Some(GO) {
        return Err(Ended::Unwanted);
    }
    Err(Ended::Failed(program.execute()))
}

/// The memfd's bytes, from its beginning wherever its position is.
fn read(launch: OwnedFd) -> io::Result<Vec<u8>> {
    let file = File::from(launch);
    let size = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    if size > MAX_LAUNCH {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn tell(agent: &OwnedFd, report: &Report) -> io::Result<()> {
    send(agent, &report.encode(), SendFlags::NOSIGNAL)?;
    Ok(())
}
