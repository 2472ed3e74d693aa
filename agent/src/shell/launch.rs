//! Waits until the wrapper says that the program behind it runs. Input is the program's from its first
//! byte: none is sent before that.

use std::ops::Range;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::timeout;

use super::leader::Leader;
use super::trouble;
use crate::exec::{self, Output, status};
use crate::exit::{Exit, SIGNALLED};
use crate::streams::Event;
use crate::trouble::Trouble;

/// The most bytes that come before the program's own: the wrapper's marker with a line of
/// /proc/PID/stat, and what the image's shell says before it.
const MAX_READY: usize = 4 * 1024;
/// How long to wait for a start that was given up on, so that it can be hung up if it starts after all.
const PENDING: Duration = Duration::from_secs(120);

/// Why a wrapper does not run its program.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Exec(#[from] exec::Error),
    #[error("the image has no shell")]
    NoShell,
    #[error("the image's shell ended with status {0} before it ran anything")]
    Ended(u8),
    #[error(transparent)]
    Trouble(#[from] Trouble),
    #[error("the runtime could not start the program: {0}")]
    Runtime(String),
}

/// A wrapper that was started and has not reported yet that it runs.
pub(crate) struct PendingStart {
    output: Output,
    /// What the marker begins with.
    prefix: String,
    /// Bytes of stdout, up to the marker.
    said: BytesMut,
    /// Bytes of stderr. A runtime copies the two separately, so these may overtake the marker.
    complaints: BytesMut,
}

impl PendingStart {
    pub(crate) fn new(output: Output, prefix: String) -> Self {
        Self {
            output,
            prefix,
            said: BytesMut::new(),
            complaints: BytesMut::new(),
        }
    }

    /// Waits for the marker and takes it out. All other bytes are given back to the output. Returns the
    /// process that leads, or `None` if something other than the wrapper wrote first.
    pub(crate) async fn ready(&mut self) -> Result<Option<Leader>, Error> {
        loop {
            match self.output.event().await? {
                Event::Stdout(bytes) => self.said.extend_from_slice(&bytes),
                Event::Stderr(bytes) => self.complaints.extend_from_slice(&bytes),
                Event::Ended(_) => {}
                Event::Exit(exit) => return Err(self.ended(exit)),
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
                // These are not our wrapper's words. Whatever they are, the user is to see them.
                Marker::Partial | Marker::Other => None,
            };
            let complaints = Event::Stderr(self.complaints.split().freeze());
            self.output
                .put_back([Event::Stdout(self.said.split().freeze()), complaints]);
            return Ok(leader);
        }
    }

    /// Trouble that the shell in front has met, as far as it has said so. bash goes on trying to fork
    /// for 15 s.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        let words = [&self.complaints[..], &self.said[..]].concat();
        trouble::in_words(&String::from_utf8_lossy(&words))
    }

    /// The output, once the program runs.
    pub(crate) fn into_output(mut self) -> Output {
        self.output.runs();
        self.output
    }

    /// The process that leads, if the program starts after all.
    pub(crate) async fn leader(&mut self) -> Option<Leader> {
        timeout(PENDING, self.ready()).await.ok()?.ok()?
    }

    /// Some runtimes (cri-o) report a program that they cannot start as one that ran and ended, with
    /// their own words for its output.
    fn ended(&self, exit: Exit) -> Error {
        let exit = match exit {
            Exit::Code(code) => {
                if let Some(trouble) = self.trouble().or_else(|| trouble::in_status(code)) {
                    return trouble.into();
                }
                let words = [&self.complaints[..], &self.said[..]].concat();
                match status::start_failure(String::from_utf8_lossy(&words).into_owned()) {
                    Exit::Failed(_) => Exit::Code(code),
                    known => known,
                }
            }
            exit => exit,
        };
        match exit {
            Exit::NotFound(_) => Error::NoShell,
            Exit::Code(code) => Error::Ended(code),
            Exit::Signalled { signal, .. } => Error::Ended(SIGNALLED.saturating_add(signal)),
            Exit::Missing(line) => Error::Runtime(line.to_owned()),
            Exit::NotExecutable(text) | Exit::Failed(text) => {
                trouble::in_words(&text).map_or(Error::Runtime(text), Error::Trouble)
            }
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

/// Finds the marker. Something may come before it, such as a shell's warning about its locale.
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
