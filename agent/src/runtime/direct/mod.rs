//! The node's own OCI runtime, which the node entry asks: a session's streams are the program's own pipes
//! or terminal, and its status is a wait status. No shell stands in front of a program, and nothing is in
//! the journal: what this agent held is hung up by the entry when the agent is gone.

mod begin;
mod descriptor;
mod error;
mod growth;
mod input;
mod modes;
mod output;
mod pipes;
mod program;
mod request;
mod terminal;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use podgate_node_entry::launch::Launch;
use podgate_node_entry::protocol::Folder;
use podgate_node_entry::reason::{Bound, Reason};
use podgate_proto::v1::exec::Program;
use tokio::time::{Instant, sleep};

use super::contract::{NotStarted, Runtime, Start, Started};
use super::error::{self as legs, START_TIMEOUT};
use super::kubelet::Kubelet;
use super::running::Running;
use super::trace::Trace;
use crate::grant::Granted;
use crate::node_entry::{Error, NodeEntry};
use begin::{Begun, Went};
pub(crate) use growth::PipeShare;
use program::DirectProgram;

/// What a user reads whose container has lost its working folder.
const FOLDER_GONE: &str =
    "podgate: the container's working folder is gone; the session begins in /\r\n";

/// The pauses before a start is asked for again, while as many start as may.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(40),
];
const LAST_PAUSE: Duration = Duration::from_millis(80);

fn is_of_starts(bound: Bound) -> bool {
    matches!(
        bound,
        Bound::StartsOfNode | Bound::StartsOfContainer | Bound::StartsOfUser
    )
}

/// The node's own OCI runtime, as one core asks for it.
#[derive(Debug)]
pub(crate) struct Direct {
    entry: Arc<NodeEntry>,
    /// Knows what the pods of this node are.
    kubelet: Arc<Kubelet>,
    pipes: Arc<PipeShare>,
}

impl Direct {
    pub(crate) fn new(entry: Arc<NodeEntry>, kubelet: Arc<Kubelet>, pipes: Arc<PipeShare>) -> Self {
        Self {
            entry,
            kubelet,
            pipes,
        }
    }

    /// Starts a launcher in the container. Nothing else runs there yet.
    async fn begin(
        &self,
        start: &Start<'_>,
        launch: &Launch,
        deadline: Instant,
    ) -> Result<(Begun, Option<&'static str>), Error> {
        let mut request = request::start(start)?;
        let (mut remark, mut pauses) = (None, PAUSES.iter());
        loop {
            let begun = begin::begin((&self.entry, &self.pipes), &request, launch, deadline);
            match begun.await {
                Err(Error::Refused(Reason::WorkingFolder)) if remark.is_none() => {
                    request.folder = Folder::Root;
                    remark = Some(FOLDER_GONE);
                }
                // Starts take turns, of which each is short.
                Err(Error::Refused(Reason::TooMany(bound))) if is_of_starts(bound) => {
                    let pause = *pauses.next().unwrap_or(&LAST_PAUSE);
                    if Instant::now() + pause >= deadline {
                        return Err(Reason::TooMany(bound).into());
                    }
                    sleep(pause).await;
                }
                begun => return Ok((begun?, remark)),
            }
        }
    }

    /// Starts what a launch says. None if the image has not the shell that it needs.
    async fn run(
        &self,
        start: &Start<'_>,
        launch: &Launch,
        deadline: Instant,
    ) -> Result<Option<Started>, NotStarted> {
        let (allowed, begun) = tokio::join!(
            self.kubelet.allows(start.granted),
            self.begin(start, launch, deadline)
        );
        allowed?;
        let (begun, remark) = begun.map_err(error::not_started)?;
        let modes = start.exec.terminal.as_ref();
        match begun.go(modes, remark, deadline).await? {
            Went::Runs(streams, program) => Ok(Some(Started {
                streams,
                running: Box::new(program),
            })),
            Went::NoShell => Ok(None),
        }
    }
}

#[async_trait]
impl Runtime for Direct {
    fn word(&self) -> &'static str {
        "direct"
    }

    async fn start(&self, start: &Start<'_>) -> Result<Started, NotStarted> {
        let deadline = Instant::now() + START_TIMEOUT;
        let launch = request::launch(start).map_err(error::invalid)?;
        if let Some(started) = self.run(start, &launch, deadline).await? {
            return Ok(started);
        }
        // In an image without a shell a command's words are run as they are.
        let Some(Program::Command(command)) = &start.exec.program else {
            return Err(legs::Error::NoShell.into());
        };
        let launch = request::words(launch, command).map_err(error::invalid)?;
        let started = self.run(start, &launch, deadline).await?;
        started.ok_or_else(|| legs::Error::NoShell.into())
    }

    fn resume(&self, _: &str, _: &Granted, _: &Trace) -> Box<dyn Running> {
        Box::new(DirectProgram::forgotten())
    }

    async fn allows(&self, granted: &Granted) -> Result<(), legs::Error> {
        self.kubelet.allows(granted).await
    }

    /// Its programs end with their container, and their ends are noticed.
    async fn until_gone(&self, _: &Granted) -> String {
        std::future::pending().await
    }

    async fn why_gone(&self, granted: &Granted) -> Option<String> {
        self.kubelet.why_gone(granted).await
    }
}
