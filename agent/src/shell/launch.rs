//! Starts a session's program in a container: behind the wrapper, or directly by its words where the
//! image has no shell. Input is the program's from its first byte: none is sent before it runs.

use std::ops::Range;
use std::time::Duration;

use bytes::BytesMut;

use podgate_proto::v1::Exec;
use tokio::time::{Instant, timeout, timeout_at};

use super::hangup::Leader;
use super::wrapper;
use crate::exec::status::{self, Exit};
use crate::exec::{Event, Input, Output};
use crate::grant::Granted;
use crate::runtime::kubelet::{Error, Kubelet};

/// Bytes of the wrapper's first output, at the most: its name and one line of /proc/PID/stat.
const MAX_READY: usize = 4 * 1024;
/// For a program that was given up to start yet, so that it can be hung up.
const LATE: Duration = Duration::from_secs(120);
/// VEOF of RFC 4254 §8.
const VEOF: u32 = 5;

/// A program that runs.
#[derive(Debug)]
pub struct Started {
    /// Takes its input.
    pub input: Input,
    /// Gives its output and its end.
    pub output: Output,
    /// How to find it again, unless something else than the wrapper spoke first.
    pub leader: Option<Leader>,
}

/// Why a program does not run, and what may yet come to.
#[derive(Debug)]
pub struct NotStarted {
    /// Why.
    pub error: Error,
    /// What was asked for and has not answered: it may still start.
    pub late: Option<Late>,
}

impl<E: Into<Error>> From<E> for NotStarted {
    fn from(error: E) -> Self {
        Self {
            error: error.into(),
            late: None,
        }
    }
}

/// Starts what `exec` asks for behind the wrapper, or gives up at `deadline`.
pub(crate) async fn start(
    kubelet: &Kubelet,
    granted: &Granted,
    session: &str,
    exec: &Exec,
    deadline: Instant,
) -> Result<Started, NotStarted> {
    let wrapped = wrapper::wrap(session, exec)?;
    let (input, output) = open(kubelet, granted, &wrapped.argv, exec, deadline).await?;
    let mut late = Late::new(output, wrapped.ready);
    match timeout_at(deadline, late.ready()).await {
        Err(_) => Err(NotStarted {
            error: Error::StartTimeout,
            late: Some(late),
        }),
        Ok(ready) => match ready? {
            Ready::Runs(leader) => Ok(Started {
                input,
                output: late.output,
                leader,
            }),
            Ready::Ended(Exit::NotFound(_)) => Err(Error::NoShell.into()),
            Ready::Ended(Exit::Code(code)) => Err(Error::Wrapper(code).into()),
            Ready::Ended(Exit::NotExecutable(text) | Exit::Failed(text)) => {
                Err(Error::Runtime(text).into())
            }
        },
    }
}

/// Opens an exec of these words with the terminal that is asked for, or gives up at `deadline`.
pub(crate) async fn open(
    kubelet: &Kubelet,
    granted: &Granted,
    argv: &[String],
    exec: &Exec,
    deadline: Instant,
) -> Result<(Input, Output), Error> {
    let opening = async {
        let (mut input, output) = kubelet.exec(granted, argv, exec.terminal.is_some()).await?;
        if let Some(terminal) = &exec.terminal {
            if let Some(size) = &terminal.size {
                input.resize(size).await.map_err(crate::exec::Error::Io)?;
            }
            let eof = terminal.modes.iter().find(|mode| mode.opcode == VEOF);
            // 255 means that there is none (RFC 4254 §8).
            if let Some(Ok(eof)) = eof.map(|mode| u8::try_from(mode.argument))
                && eof != 255
            {
                input.set_eof_character(eof);
            }
        }
        Ok((input, output))
    };
    timeout_at(deadline, opening)
        .await
        .unwrap_or(Err(Error::StartTimeout))
}

enum Ready {
    Runs(Option<Leader>),
    Ended(Exit),
}

/// A wrapper that was started and has not said yet that it runs.
#[derive(Debug)]
pub struct Late {
    output: Output,
    prefix: String,
    /// What came on stdout, up to the marker.
    said: BytesMut,
    /// What came on stderr: a runtime copies the two apart, so it may overtake the marker.
    complaints: BytesMut,
}

impl Late {
    fn new(output: Output, prefix: String) -> Self {
        Self {
            output,
            prefix,
            said: BytesMut::new(),
            complaints: BytesMut::new(),
        }
    }

    /// The process, if it comes to run in a while.
    pub async fn leader(mut self) -> Option<Leader> {
        match timeout(LATE, self.ready()).await {
            Ok(Ok(Ready::Runs(leader))) => leader,
            _ => None,
        }
    }

    /// Waits for the wrapper's first output and takes it away. What else came is given back.
    async fn ready(&mut self) -> Result<Ready, Error> {
        loop {
            match self.output.next().await? {
                Event::Stdout(bytes) => self.said.extend_from_slice(&bytes),
                Event::Stderr(bytes) => self.complaints.extend_from_slice(&bytes),
                Event::Exit(Exit::Code(code)) => return Ok(Ready::Ended(self.ended(code))),
                Event::Exit(exit) => return Ok(Ready::Ended(exit)),
            }
            let leader = match marker(&self.said, self.prefix.as_bytes()) {
                Marker::Whole { stat, marker } => {
                    let leader = stat.and_then(Leader::from_stat);
                    let behind = self.said.split_off(marker.end);
                    self.said.truncate(marker.start);
                    self.said.unsplit(behind);
                    leader
                }
                Marker::Partial if self.complaints.len() <= MAX_READY => continue,
                // Not our wrapper's words. Whatever they are, they are the user's to see.
                Marker::Partial | Marker::Other => None,
            };
            let complaints = Event::Stderr(self.complaints.split().freeze());
            self.output
                .put_back([Event::Stdout(self.said.split().freeze()), complaints]);
            return Ok(Ready::Runs(leader));
        }
    }

    /// Some runtimes (cri-o) tell of a program that they cannot start as if it had run and ended,
    /// with their own words for its output.
    fn ended(&self, code: u8) -> Exit {
        let words = [&self.complaints[..], &self.said[..]].concat();
        match status::start_failure(String::from_utf8_lossy(&words).into_owned()) {
            Exit::Failed(_) => Exit::Code(code),
            known => known,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Marker<'a> {
    Partial,
    Whole {
        stat: Option<&'a str>,
        marker: Range<usize>,
    },
    Other,
}

/// Finds the marker; something may stand before it, such as a shell's warning of its locale.
fn marker<'a>(seen: &'a [u8], prefix: &[u8]) -> Marker<'a> {
    let found = seen
        .windows(prefix.len())
        .position(|window| window == prefix)
        .and_then(|start| {
            let rest = seen.get(start + prefix.len()..)?;
            let length = rest.iter().position(|&byte| byte == 2)?;
            let stat = rest
                .get(..length)
                .and_then(|stat| std::str::from_utf8(stat).ok());
            Some(Marker::Whole {
                stat,
                marker: start..start + prefix.len() + length + 1,
            })
        });
    match found {
        Some(whole) => whole,
        None if seen.len() > MAX_READY => Marker::Other,
        None => Marker::Partial,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_is_found_however_it_is_cut_and_wherever_it_stands() {
        let prefix = b"\x01podgate:1:";
        for before in [&b""[..], b"sh: warning: setlocale\r\n"] {
            let whole = [before, b"\x01podgate:1:7 (sh) S\x02out"].concat();
            let end_of_marker = whole.len() - 3;
            for end in 0..whole.len() {
                let expect = if end < end_of_marker {
                    Marker::Partial
                } else {
                    Marker::Whole {
                        stat: Some("7 (sh) S"),
                        marker: before.len()..end_of_marker,
                    }
                };
                assert_eq!(marker(&whole[..end], prefix), expect, "{end} bytes");
            }
        }
        assert_eq!(marker(b"\x01podgate:2:", prefix), Marker::Partial);
        assert_eq!(marker(&[b'x'; MAX_READY + 1], prefix), Marker::Other);
    }
}
