//! The launcher in a container, which waits for a word before it gives its place to the program. It is
//! in somebody's container: what it says is no more than what a stranger says.

use std::io;
use std::os::fd::OwnedFd;

use podgate_node_entry::report::{Failure, GO, MAX_REPORT, NotAReport, Ready, Report};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::error::Error;
use crate::watched::watch_unblocked;

/// A launcher that has not run anything yet. If it is dropped, the launcher ends.
#[derive(Debug)]
pub(crate) struct Launcher(AsyncFd<OwnedFd>);

impl Launcher {
    /// By its socket.
    pub(crate) fn new(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self(watch_unblocked(socket, Interest::READABLE)?))
    }

    /// What the launcher knows of the container, once it waits. A failure is one to read its launch.
    pub(crate) async fn ready(&self) -> Result<Result<Ready, Failure>, Error> {
        match self.report().await? {
            Some(Report::Ready(ready)) => Ok(Ok(ready)),
            Some(Report::Failed(failure)) => Ok(Err(failure)),
            None => Err(Error::LauncherEnded),
        }
    }

    /// Has it run the program, and waits until it does. Answers why it cannot, if it cannot.
    pub(crate) async fn go(self) -> Result<Option<Failure>, Error> {
        match send(self.0.get_ref(), GO, SendFlags::NOSIGNAL) {
            // It has been killed; its status says so.
            Err(Errno::PIPE | Errno::CONNRESET) => return Ok(None),
            sent => sent.map_err(io::Error::from)?,
        };
        match self.report().await? {
            None => Ok(None),
            Some(Report::Failed(failure)) => Ok(Some(failure)),
            Some(Report::Ready(_)) => Err(NotAReport.into()),
        }
    }

    async fn report(&self) -> Result<Option<Report>, Error> {
        let mut bytes = vec![0; MAX_REPORT];
        let read = loop {
            let mut ready = self.0.readable().await?;
            match recv(self.0.get_ref(), &mut bytes[..], RecvFlags::empty()) {
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(Errno::CONNRESET) => break 0,
                received => break received.map_err(io::Error::from)?.0,
            }
        };
        match bytes.get(..read) {
            None | Some([]) => Ok(None),
            Some(report) => Ok(Some(Report::parse(report)?)),
        }
    }
}
