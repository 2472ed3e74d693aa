//! A program's pipes. This agent makes them, so that they count as its own and not as root's: the kernel
//! gives each user a share of memory for pipes.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use podgate_node_entry::status::Status;
use podgate_proto::limits::MAX_CHUNK;
use tokio::io::Interest;
use tokio::time::timeout;

use super::descriptor::{Reads, Watched};
use super::growth::{Growth, PipeShare, QUIET};
use super::input::Input;
use super::output::{Ending, Error, lost};
use crate::streams::{self, Event, Lost, Streams};
use crate::watched::watch_unblocked;

/// This agent's ends.
pub(super) struct Pipes {
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    share: Arc<PipeShare>,
}

/// Pipes for stdin, stdout and stderr: this agent's ends, and the program's.
pub(super) fn make(share: &Arc<PipeShare>) -> io::Result<(Pipes, [OwnedFd; 3])> {
    let (in_reader, in_writer) = io::pipe()?;
    let (out_reader, out_writer) = io::pipe()?;
    let (err_reader, err_writer) = io::pipe()?;
    let ours = Pipes {
        stdin: in_writer.into(),
        stdout: out_reader.into(),
        stderr: err_reader.into(),
        share: Arc::clone(share),
    };
    Ok((
        ours,
        [in_reader.into(), out_writer.into(), err_writer.into()],
    ))
}

/// Both ends of a program on these pipes. The remark comes first.
pub(super) fn streams(
    pipes: Pipes,
    ending: Ending,
    remark: Option<&'static str>,
) -> io::Result<Streams> {
    let share = &pipes.share;
    let stdin = watch_unblocked(pipes.stdin, Interest::WRITABLE)?;
    let input = Input::pipe(stdin, Growth::new(share));
    let remark = remark.map(|text| Event::Stderr(Bytes::from_static(text.as_bytes())));
    let output = Output {
        first: remark.into_iter().collect(),
        stdout: Source::new(pipes.stdout, share)?,
        stderr: Source::new(pipes.stderr, share)?,
        ending,
        ended: None,
    };
    Ok(Streams {
        input: Box::new(input),
        output: Box::new(output),
    })
}

/// Gives what a program writes. As under sshd, its status is told once it has ended, and its end once nobody
/// can write to the pipes any more.
struct Output {
    first: VecDeque<Event>,
    stdout: Source,
    stderr: Source,
    ending: Ending,
    /// Set once the program has ended.
    ended: Option<Option<Status>>,
}

/// One pipe.
struct Source {
    /// None at its end.
    from: Option<Watched>,
    reads: Reads,
    growth: Growth,
}

impl Source {
    fn new(from: OwnedFd, share: &Arc<PipeShare>) -> io::Result<Self> {
        Ok(Self {
            from: Some(watch_unblocked(from, Interest::READABLE)?),
            reads: Reads::default(),
            growth: Growth::new(share),
        })
    }

    fn close(&mut self) {
        self.from = None;
        self.growth.end();
    }

    /// The next bytes; none at the end. Never returns after it.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let Some(from) = &self.from else {
            return std::future::pending().await;
        };
        let bytes = loop {
            let next = self.reads.next(from);
            if !self.growth.is_enlarged() {
                break next.await?;
            }
            match timeout(QUIET, next).await {
                Ok(bytes) => break bytes?,
                Err(_) => self.growth.shrink(from.get_ref()),
            }
        };
        match &bytes {
            Some(bytes) => {
                let was_full = bytes.len() >= MAX_CHUNK;
                self.growth.moved(from.get_ref(), was_full);
            }
            None => self.close(),
        }
        Ok(bytes)
    }
}

#[async_trait]
impl streams::Output for Output {
    async fn next(&mut self) -> Result<Event, Lost> {
        loop {
            if let Some(event) = self.first.pop_front() {
                return Ok(event);
            }
            if self.stdout.from.is_none() && self.stderr.from.is_none() {
                let status = match self.ended {
                    Some(status) => status,
                    None => *self.ended.insert(self.ending.wait().await),
                };
                return self.ending.event(status);
            }
            let Self {
                stdout,
                stderr,
                ending,
                ended,
                ..
            } = &mut *self;
            let (bytes, kind) = tokio::select! {
                bytes = stdout.next() => (bytes, Event::Stdout as fn(Bytes) -> _),
                bytes = stderr.next() => (bytes, Event::Stderr as fn(Bytes) -> _),
                status = ending.wait(), if ended.is_none() => {
                    *ended = Some(status);
                    match ending.early(status) {
                        Some(code) => return Ok(Event::Ended(code)),
                        None => continue,
                    }
                }
            };
            if let Some(bytes) = bytes.map_err(|error| lost(Error::Io(error)))? {
                return Ok(kind(bytes));
            }
        }
    }

    fn can_close_stdout(&self) -> bool {
        true
    }

    fn close_stdout(&mut self) {
        self.stdout.close();
    }
}
