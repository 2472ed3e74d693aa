//! The ends of the pipes of a worker, as a session uses them.

use std::io;
use std::os::fd::OwnedFd;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use podgate_node_entry::status::Status;
use podgate_proto::limits::MAX_CHUNK;
use podgate_proto::v1::TerminalSize;
use rustix::io::ioctl_fionbio;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;
use crate::node_entry::End;
use crate::streams::{self, Event, Lost};

/// Signals by their numbers on Linux.
const SIGKILL: u8 = 9;
const SIGXFSZ: u8 = 25;
const SIGSYS: u8 = 31;

/// A worker ended in a way that nobody was told of.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the file server in the container was ended by signal {0}{hint}", hint = hint(*.0))]
    Signalled(u8),
    #[error("how the file server in the container has ended is not known")]
    Unknown,
}

/// Why a signal may have ended a worker.
pub(super) fn hint(signal: u8) -> &'static str {
    match signal {
        SIGKILL => ", as where the container's memory limit is reached",
        SIGXFSZ => ", as where a file reaches the container's limit of its size",
        SIGSYS => ", as where the container forbids it what it needs",
        _ => "",
    }
}

/// A pipe to a program: the program's end, and this one.
pub(super) fn to_program() -> io::Result<(OwnedFd, pipe::Sender)> {
    let (theirs, ours) = pipe_with(PipeFlags::CLOEXEC)?;
    ioctl_fionbio(&ours, true)?;
    Ok((theirs, pipe::Sender::from_owned_fd(ours)?))
}

/// A pipe from a program: the program's end, and this one.
pub(super) fn from_program() -> io::Result<(OwnedFd, pipe::Receiver)> {
    let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
    ioctl_fionbio(&ours, true)?;
    Ok((theirs, pipe::Receiver::from_owned_fd(ours)?))
}

/// To a worker's stdin.
pub(super) struct Input {
    /// None after the end.
    pipe: Option<pipe::Sender>,
    unwanted: CancellationToken,
}

impl Input {
    pub(super) fn new(pipe: pipe::Sender) -> Self {
        Self {
            pipe: Some(pipe),
            unwanted: CancellationToken::new(),
        }
    }
}

#[async_trait]
impl streams::Input for Input {
    async fn ready(&mut self) -> io::Result<()> {
        match &self.pipe {
            Some(pipe) => pipe.writable().await,
            None => Ok(()),
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.pipe {
            Some(pipe) => pipe.write_all(bytes).await,
            None => Ok(()),
        }
    }

    async fn end(&mut self) -> io::Result<()> {
        self.pipe = None;
        Ok(())
    }

    /// Its closed pipe shows that.
    fn unwanted(&self) -> CancellationToken {
        self.unwanted.clone()
    }

    async fn discard(&mut self) -> io::Result<()> {
        self.end().await
    }

    async fn resize(&mut self, _size: &TerminalSize) -> io::Result<()> {
        Ok(())
    }

    async fn keep_alive(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// From a worker's stdout and stderr.
pub(super) struct Output {
    stdout: Option<pipe::Receiver>,
    stderr: Option<pipe::Receiver>,
    end: End,
    buffer: BytesMut,
}

impl Output {
    pub(super) fn new(stdout: pipe::Receiver, stderr: pipe::Receiver, end: End) -> Self {
        Self {
            stdout: Some(stdout),
            stderr: Some(stderr),
            end,
            buffer: BytesMut::new(),
        }
    }
}

#[async_trait]
impl streams::Output for Output {
    async fn next(&mut self) -> Result<Event, Lost> {
        let mut other = BytesMut::new();
        loop {
            let (stdout, stderr) = (self.stdout.as_mut(), self.stderr.as_mut());
            if stdout.is_none() && stderr.is_none() {
                break;
            }
            tokio::select! {
                bytes = read(stdout, &mut self.buffer) => match bytes? {
                    Some(bytes) => return Ok(Event::Stdout(bytes)),
                    None => self.stdout = None,
                },
                bytes = read(stderr, &mut other) => match bytes? {
                    Some(bytes) => return Ok(Event::Stderr(bytes)),
                    None => self.stderr = None,
                },
            }
        }
        match self.end.wait().await {
            Some(Status::Exited(code)) => Ok(Event::Exit(Exit::Code(code))),
            Some(Status::Signalled { signal, .. }) => Err(lost(Broken::Signalled(signal))),
            None => Err(lost(Broken::Unknown)),
        }
    }
}

fn lost(broken: Broken) -> Lost {
    Lost::new(broken)
}

/// What comes next; `None` at the end. Waits forever if there is no pipe any more.
async fn read(
    pipe: Option<&mut pipe::Receiver>,
    buffer: &mut BytesMut,
) -> Result<Option<Bytes>, Lost> {
    let Some(pipe) = pipe else {
        return std::future::pending().await;
    };
    buffer.reserve(MAX_CHUNK);
    let read = pipe.read_buf(buffer).await;
    let read = read.map_err(Lost::new)?;
    Ok((read > 0).then(|| buffer.split().freeze()))
}
