//! A program that the node entry has started: signalled and hung up by its parent and its terminal, as
//! under sshd.

use std::sync::Arc;

use async_trait::async_trait;
use podgate_helper::protocol::Signal;
use podgate_helper::ticks;
use podgate_node_entry::reason::Reason;

use super::descriptor::Watched;
use crate::node_entry::{self, Program};
use crate::runtime::running::{Error, Running};
use crate::runtime::trace::{HangUp, Trace, direct};
use crate::streams::Streams;

/// A program, until nothing of it is to be hung up.
pub(super) struct DirectProgram {
    /// None of one that only an earlier agent has held: the entry has ended it.
    program: Option<Program>,
    terminal: bool,
}

impl DirectProgram {
    pub(super) fn new(program: Program, terminal: bool) -> Self {
        Self {
            program: Some(program),
            terminal,
        }
    }

    /// Lends the other end of its terminal to the node entry, should that start anew.
    pub(super) fn lend(&self, master: &Arc<Watched>) {
        if let Some(program) = &self.program {
            program.lend(master);
        }
    }

    pub(super) fn forgotten() -> Self {
        Self {
            program: None,
            terminal: false,
        }
    }

    fn hung_up() -> HangUp {
        let at = ticks::now();
        HangUp::Direct(direct::HangUp { at })
    }
}

/// How many processes were reached; none of a program that is over. An entry that has lost its journal does
/// not know what an earlier one has started.
fn reached(program: &Program, asked: Result<usize, node_entry::Error>) -> Result<usize, Error> {
    match asked {
        Err(node_entry::Error::Refused(Reason::NoProgram)) if program.has_ended() => Ok(0),
        asked => asked.map_err(|error| Error::Failed(Box::new(error))),
    }
}

#[async_trait]
impl Running for DirectProgram {
    fn trace(&self) -> Option<Trace> {
        None
    }

    async fn settle(&mut self) -> bool {
        false
    }

    async fn signal(&mut self, signal: Signal) -> Result<(), Error> {
        if let Some(program) = &self.program {
            let processes = reached(program, program.signal(signal).await)?;
            tracing::debug!(signal = signal.name(), processes, "signalled");
        }
        Ok(())
    }

    /// A terminal hangs up once both its master and the entry's copy of that are closed. Pipes stay, so
    /// that what a program still writes is taken.
    async fn hang_up(&mut self, streams: &mut Option<Streams>) -> Result<Option<HangUp>, Error> {
        let Some(program) = &self.program else {
            return Ok(None);
        };
        if self.terminal {
            drop(streams.take());
        }
        let left = match program.hang_up().await {
            Err(node_entry::Error::Refused(Reason::NoProgram)) if program.has_ended() => false,
            // What a terminal leaves may be forking, and not be found by one look.
            asked => reached(program, asked)? > 0 || self.terminal,
        };
        Ok(left.then(Self::hung_up))
    }

    async fn kill(&mut self, _: &HangUp) -> Result<bool, Error> {
        match &self.program {
            Some(program) => Ok(reached(program, program.kill().await)? > 0),
            None => Ok(false),
        }
    }

    fn abandon(&mut self) {
        if let Some(program) = &self.program {
            program.abandon();
        }
    }
}
