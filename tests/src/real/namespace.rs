//! A network namespace of its own, held by a process. It has no name, so nothing is mounted for it, and
//! its ports are nobody else's.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddrV4, TcpListener};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The namespace; gone on drop, once no other process is in it. Root is needed.
#[derive(Debug)]
pub(crate) struct Namespace {
    /// Ends when its stdin does, and so with this process, however that ends.
    holder: Child,
}

impl Namespace {
    /// Makes one that has a loopback device that is down.
    pub(crate) fn new() -> Result<Self> {
        let mut command = Command::new("unshare");
        let command = command.args(["--net", "sh", "-c", "echo; exec cat >/dev/null"]);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut this = Self {
            holder: command.spawn().context("unshare")?,
        };
        // A line once it is there.
        let stdout = this.holder.stdout.take().context("no stdout")?;
        let read = BufReader::new(stdout).read_line(&mut String::new())?;
        if read == 0 {
            return Err(anyhow!("no network namespace could be made"));
        }
        Ok(this)
    }

    /// The process that is in it.
    pub(crate) fn pid(&self) -> u32 {
        self.holder.id()
    }

    /// The words to put before a program that is to run in it.
    pub(crate) fn enter(&self) -> Vec<String> {
        vec!["nsenter".to_owned(), format!("--net={}", self.file())]
    }

    /// A socket of it that listens. Whoever accepts may be anywhere.
    pub(crate) fn listen(&self, address: SocketAddrV4) -> Result<TcpListener> {
        let bound = within(self.pid(), move || {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        bound.with_context(|| format!("binding {address}"))
    }

    fn file(&self) -> String {
        format!("/proc/{}/ns/net", self.pid())
    }
}

/// Does something in the network that a process is in. What comes of it may be used anywhere.
pub(crate) fn within<T: Send + 'static>(
    pid: u32,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let file = File::open(format!("/proc/{pid}/ns/net"))?;
    // Only this thread moves.
    let thread = std::thread::spawn(move || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(work()?)
    });
    thread.join().map_err(|_| anyhow!("the thread"))?
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
