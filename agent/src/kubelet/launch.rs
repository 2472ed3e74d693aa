//! Starts a session's program in a container: behind the wrapper where the image has a shell, else
//! directly. Input is the program's from its first byte: none is sent before it runs.

use bytes::{Bytes, BytesMut};

use podgate_proto::v1::{Exec, exec::Program};

use super::exec::{Event, Input, Output};
use super::hangup::Leader;
use super::status::Exit;
use super::{Error, Kubelet, wrapper};
use crate::grant::Granted;

/// Bytes of the wrapper's first output, at the most: its name and one line of /proc/PID/stat.
const MAX_READY: usize = 4 * 1024;
/// VEOF of RFC 4254 §8.
const VEOF: u32 = 5;

/// A program that runs.
#[derive(Debug)]
pub struct Started {
    /// Takes its input.
    pub input: Input,
    /// Gives its output and its end.
    pub output: Output,
    /// How to find it again; unknown in an image without a shell.
    pub leader: Option<Leader>,
}

/// Starts what `exec` asks for in the granted container.
pub(super) async fn start(
    kubelet: &Kubelet,
    granted: &Granted,
    session: &str,
    exec: &Exec,
) -> Result<Started, Error> {
    let tty = exec.terminal.is_some();
    let wrapped = wrapper::wrap(session, exec)?;
    let (mut input, mut output) = open(kubelet, granted, &wrapped.argv, exec).await?;
    match ready(&mut output, wrapped.ready.as_bytes()).await? {
        Ready::Runs(leader) => {
            return Ok(Started {
                input,
                output,
                leader,
            });
        }
        Ready::Ended(Exit::NotFound(_)) => {}
        Ready::Ended(Exit::Code(code)) => return Err(Error::Wrapper(code)),
        Ready::Ended(Exit::NotExecutable(text) | Exit::Failed(text)) => {
            return Err(Error::Runtime(text));
        }
    }
    // The image has no shell.
    if let Some(Program::Shell(_)) | None = exec.program {
        return Err(Error::NoShell);
    }
    let words = wrapper::split(exec)?.ok_or(Error::NoShell)?;
    tracing::debug!(tty, "no shell in the image, running the command's words");
    (input, output) = open(kubelet, granted, &words, exec).await?;
    Ok(Started {
        input,
        output,
        leader: None,
    })
}

async fn open(
    kubelet: &Kubelet,
    granted: &Granted,
    argv: &[String],
    exec: &Exec,
) -> Result<(Input, Output), Error> {
    let (mut input, output) = kubelet.exec(granted, argv, exec.terminal.is_some()).await?;
    if let Some(terminal) = &exec.terminal {
        if let Some(size) = &terminal.size {
            input.resize(size).await.map_err(super::exec::Error::Io)?;
        }
        let eof = terminal.modes.iter().find(|mode| mode.opcode == VEOF);
        if let Some(Ok(eof)) = eof.map(|mode| u8::try_from(mode.argument)) {
            input.set_eof_character(eof);
        }
    }
    Ok((input, output))
}

enum Ready {
    Runs(Option<Leader>),
    Ended(Exit),
}

/// Waits for the wrapper's first output and takes it away.
async fn ready(output: &mut Output, prefix: &[u8]) -> Result<Ready, Error> {
    let mut seen = BytesMut::new();
    loop {
        match output.next().await? {
            Event::Stdout(bytes) => seen.extend_from_slice(&bytes),
            Event::Exit(exit) => return Ok(Ready::Ended(exit)),
            // The shell's complaint; the exit status that follows says the rest.
            Event::Stderr(text) => {
                tracing::debug!(text = %String::from_utf8_lossy(&text), "the wrapper complains");
            }
        }
        match marker(&seen, prefix) {
            Marker::Partial => {}
            Marker::Whole { stat, length } => {
                let leader = stat.and_then(Leader::from_stat);
                output.put_back(seen.split_off(length).freeze());
                return Ok(Ready::Runs(leader));
            }
            // Not our wrapper's words. Whatever they are, they are the user's to see.
            Marker::Other => {
                output.put_back(Bytes::from(seen));
                return Ok(Ready::Runs(None));
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Marker<'a> {
    Partial,
    Whole {
        stat: Option<&'a str>,
        length: usize,
    },
    Other,
}

fn marker<'a>(seen: &'a [u8], prefix: &[u8]) -> Marker<'a> {
    let Some(rest) = seen.strip_prefix(prefix) else {
        let begun = prefix.starts_with(seen);
        return if begun {
            Marker::Partial
        } else {
            Marker::Other
        };
    };
    match rest.iter().position(|&byte| byte == 2) {
        Some(end) => {
            let stat = rest
                .get(..end)
                .and_then(|stat| std::str::from_utf8(stat).ok());
            Marker::Whole {
                stat,
                length: prefix.len() + end + 1,
            }
        }
        None if rest.len() > MAX_READY => Marker::Other,
        None => Marker::Partial,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_is_found_however_it_is_cut() {
        let whole = b"\x01podgate:1:7 (sh) S\x02out";
        let prefix = b"\x01podgate:1:";
        for end in 0..whole.len() {
            let expect = if end < whole.len() - 3 {
                Marker::Partial
            } else {
                Marker::Whole {
                    stat: Some("7 (sh) S"),
                    length: whole.len() - 3,
                }
            };
            assert_eq!(marker(&whole[..end], prefix), expect, "{end} bytes");
        }
        assert_eq!(marker(b"\x01podgate:2:", prefix), Marker::Other);
        assert_eq!(marker(b"hello", prefix), Marker::Other);
    }
}
