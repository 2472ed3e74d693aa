//! One start: a launcher that waits in the container, and then the program in its place.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::Bytes;
use podgate_node_entry::launch::{Launch, Program as What};
use podgate_node_entry::protocol::{Start, Streams as Kind};
use podgate_node_entry::report::Failure;
use podgate_proto::v1::Terminal;
use tokio::time::{Instant, timeout_at};

use super::error::{launcher_failed, not_started, unknown};
use super::growth::PipeShare;
use super::modes;
use super::output::Ending;
use super::pipes::{self, Pipes};
use super::program::DirectProgram;
use super::terminal;
use crate::exit::Exit;
use crate::node_entry::{Error, Launcher, NodeEntry, Program, sealed};
use crate::runtime::contract::NotStarted;
use crate::streams::{Event, Streams};

/// A launcher that waits. If it is dropped, the launcher ends and nothing has run.
pub(super) struct Begun {
    program: Program,
    launcher: Launcher,
    ends: Ends,
    /// Whether the launch needs a shell of the image.
    needs_shell: bool,
}

/// This agent's ends of what the program reads and writes.
enum Ends {
    Pipes(Pipes),
    Terminal(OwnedFd),
}

/// What came of a launcher's word to go on.
pub(super) enum Went {
    Runs(Streams, DirectProgram),
    NoShell,
}

/// Has the entry start a launcher, and waits until that is ready.
pub(super) async fn begin(
    (entry, share): (&Arc<NodeEntry>, &Arc<PipeShare>),
    request: &Start,
    launch: &Launch,
    deadline: Instant,
) -> Result<Begun, Error> {
    let mut beside = vec![sealed(launch)?];
    let pipes = match request.streams {
        Kind::Pipes => {
            let (ours, theirs) = pipes::make(share)?;
            beside.extend(theirs);
            Some(ours)
        }
        Kind::Terminal { .. } => None,
    };
    let started = entry.start(request.clone(), beside, deadline).await?;
    let mut beside = started.beside.into_iter();
    let launcher = Launcher::new(beside.next().ok_or(Error::OtherAnswer)?)?;
    let ends = match pipes {
        Some(pipes) => Ends::Pipes(pipes),
        None => Ends::Terminal(beside.next().ok_or(Error::OtherAnswer)?),
    };
    let ready = timeout_at(deadline, launcher.ready()).await;
    let ready = ready.unwrap_or(Err(Error::Timeout))?;
    if let Err(failure) = ready {
        tracing::warn!(%failure, "a launcher could not begin");
        return Err(Error::Launcher(failure));
    }
    Ok(Begun {
        program: started.program,
        launcher,
        ends,
        needs_shell: !matches!(launch.program, What::Words { .. }),
    })
}

impl Begun {
    /// Has the launcher give its place to the program.
    pub(super) async fn go(
        self,
        terminal: Option<&Terminal>,
        remark: Option<&'static str>,
        deadline: Instant,
    ) -> Result<Went, NotStarted> {
        if let (Ends::Terminal(master), Some(terminal)) = (&self.ends, terminal) {
            modes::set(master, &terminal.modes);
        }
        let (remark_as, is_terminal) = match self.ends {
            Ends::Pipes(_) => (Event::Stderr as fn(Bytes) -> _, false),
            Ends::Terminal(_) => (Event::Stdout as fn(Bytes) -> _, true),
        };
        let mut ending = Ending::new(self.program.end(), remark_as);
        let program = DirectProgram::new(self.program, is_terminal);
        let failure = match timeout_at(deadline, self.launcher.go()).await {
            Ok(Ok(failure)) => failure,
            // It may run by now, so it is to be ended.
            Ok(Err(error)) => return Err(unknown(error, program)),
            Err(_) => return Err(unknown(Error::Timeout, program)),
        };
        match failure {
            Some(Failure::NotFound(_)) if self.needs_shell => return Ok(Went::NoShell),
            Some(Failure::NotFound(path)) => ending.instead = Some(not_found(&path)),
            Some(failure @ (Failure::NotExecutable(_) | Failure::TooLong)) => {
                ending.instead = Some(Exit::NotExecutable(failure.to_string()));
            }
            Some(failure) => return Err(launcher_failed(failure)),
            None => {}
        }
        let streams = match self.ends {
            Ends::Pipes(pipes) => pipes::streams(pipes, ending, remark),
            Ends::Terminal(master) => terminal::watched(master).map(|master| {
                program.lend(&master);
                terminal::streams(master, ending, remark)
            }),
        };
        let streams = streams.map_err(|error| not_started(error.into()))?;
        Ok(Went::Runs(streams, program))
    }
}

/// In the words of the kubelet's runtimes.
fn not_found(path: &str) -> Exit {
    Exit::NotFound(match path.contains('/') {
        true => format!("{path:?}: no such file or directory"),
        false => format!("{path:?}: executable file not found in $PATH"),
    })
}
