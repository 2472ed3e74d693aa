//! A program that was started by the kubelet. If the node helper sees its process, the helper signals
//! it and hangs it up; else the image's own shell does.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;

use super::client::Client;
use super::identify::{Search, Unidentified};
use super::state::NodeState;
use crate::grant::Granted;
use crate::node_helper::{self, NodeHelper};
use crate::runtime::running::{Error, Running};
use crate::runtime::trace;
use crate::runtime::trace::kubelet::{HangUp, Trace};
use crate::shell::hangup::{Reached, Script};
use crate::shell::launch::PendingStart;
use crate::shell::leader::Leader;
use crate::streams::Streams;
use podgate_helper::protocol::{ContainerId, FindBy, Process, Signal};
use podgate_helper::ticks;

/// Seconds between checks whether a program that may still start has started.
const PENDING_PAUSES: [u64; 5] = [1, 2, 5, 10, 20];

/// A program that the kubelet has started, or may have.
pub(super) struct KubeletProgram {
    client: Arc<Client>,
    node: Arc<NodeState>,
    session: String,
    granted: Granted,
    pub(super) trace: Trace,
    /// Set in an image without a shell, where others may start the same words.
    pub(super) unidentified: Option<Unidentified>,
    /// A wrapper that was given up on and may still answer.
    pub(super) pending: Option<PendingStart>,
    /// Whether it is not known to have started.
    pub(super) doubtful: bool,
    /// Whom the hang-up goes to, once that is known.
    found: Option<Found>,
}

/// The leader of a session, by who can signal it.
#[derive(Clone)]
enum Found {
    ByNode(Process),
    ByShell(Leader),
}

/// A container as the helper knows it.
pub(super) fn container(granted: &Granted) -> Option<ContainerId> {
    let (_, id) = granted.container_id.split_once("://")?;
    ContainerId::try_from(id.to_owned()).ok()
}

impl KubeletProgram {
    /// A program that was asked for, of which nothing more is known.
    pub(super) fn new(
        client: &Arc<Client>,
        node: &Arc<NodeState>,
        session: &str,
        granted: &Granted,
        trace: Trace,
    ) -> Self {
        Self {
            client: Arc::clone(client),
            node: Arc::clone(node),
            session: session.to_owned(),
            granted: granted.clone(),
            trace,
            unidentified: None,
            pending: None,
            doubtful: true,
            found: None,
        }
    }

    /// What finds it again.
    pub(super) fn known(&self) -> trace::Trace {
        trace::Trace::Kubelet(self.trace.clone())
    }

    fn helper(&self) -> Result<&NodeHelper, Error> {
        self.node.helper.as_ref().ok_or(Error::InDoubt)
    }

    /// Finds the session's leader. In an image without a shell, the streams may have to be closed for
    /// it.
    async fn find(&self, streams: &mut Option<Streams>) -> Result<Option<Found>, Error> {
        let helper = self.node.helper.as_ref().zip(container(&self.granted));
        let (reported, since) = match &self.trace {
            Trace::Words(words) => {
                let (helper, container) = &helper.ok_or(Error::InDoubt)?;
                let search = Search {
                    helper,
                    starts: &self.node.starts,
                    container,
                };
                let sure = search.sure(words, streams).await?;
                return Ok(sure.map(Found::ByNode));
            }
            Trace::Wrapped { leader, since } => (*leader, *since),
        };
        if let Some((helper, container)) = helper {
            match self.seen_by(helper, &container, reported, since).await {
                // A sandbox's processes are not the node's own. Its own shell knows them.
                Ok(None) => {}
                Ok(found) => return Ok(found.map(Found::ByNode)),
                Err(error) if error.is_absence() => helper.replaced(&error),
                Err(error) => return Err(error.into()),
            }
        }
        let leader = match reported {
            Some(leader) => Some(leader),
            None => {
                let answer = self.run(&Script::find(&self.session)).await?;
                answer.as_deref().and_then(Leader::from_stat)
            }
        };
        Ok(leader.map(Found::ByShell))
    }

    /// The session's leader as the helper sees it. The image's shell reports it. Of a process that is
    /// older than the session, the report is believed only if the process bears the session's mark.
    async fn seen_by(
        &self,
        helper: &NodeHelper,
        container: &ContainerId,
        reported: Option<Leader>,
        since: Option<u64>,
    ) -> Result<Option<Process>, node_helper::Error> {
        let session = || self.session.clone();
        let mut found = match reported {
            Some(Leader { pid, start_time }) => {
                let by = FindBy::Report {
                    pid,
                    start_time,
                    session: session(),
                    since,
                };
                helper.find(container, by).await?
            }
            None => node_helper::Found::default(),
        };
        if found.candidates.is_empty() && (found.doubt || reported.is_none()) {
            let doubt = found.doubt;
            let session = session();
            found = helper.find(container, FindBy::Mark { session }).await?;
            found.doubt |= doubt;
        }
        match (found.candidates.as_slice(), found.doubt) {
            ([only], _) => Ok(Some(only.process.clone())),
            ([], false) => Ok(None),
            _ => Err(node_helper::Error::InDoubt),
        }
    }

    async fn run(&self, script: &Script) -> Result<Option<String>, Error> {
        Ok(self.client.run(&self.granted, script).await?)
    }

    /// Checks whether a program that may still start has started.
    async fn look(&self) {
        for pause in PENDING_PAUSES {
            match self.find(&mut None).await {
                Ok(Some(_)) | Err(Error::InDoubt) => return,
                Ok(None) | Err(_) => sleep(Duration::from_secs(pause)).await,
            }
        }
    }

    /// Finds the process that runs the session's words.
    async fn identify(&mut self) -> bool {
        if let (Some(unidentified), Trace::Words(words)) = (&mut self.unidentified, &mut self.trace)
            && let Some(helper) = &self.node.helper
            && let Some(container) = container(&self.granted)
        {
            let search = Search {
                helper,
                starts: &self.node.starts,
                container: &container,
            };
            search.identify(words, unidentified).await
        } else {
            false
        }
    }
}

#[async_trait]
impl Running for KubeletProgram {
    fn trace(&self) -> Option<trace::Trace> {
        Some(self.known())
    }

    async fn settle(&mut self) -> bool {
        if !self.doubtful {
            return self.identify().await;
        }
        let mut reported = None;
        if let Some(pending) = &mut self.pending {
            reported = pending.leader().await;
            self.pending = None;
        }
        if reported.is_some()
            && let Trace::Wrapped { leader, .. } = &mut self.trace
        {
            *leader = reported;
        }
        if self.trace.leader_unknown() {
            self.look().await;
        }
        reported.is_some()
    }

    async fn signal(&mut self, signal: Signal) -> Result<(), Error> {
        let name = signal.name();
        match self.find(&mut None).await? {
            None => tracing::debug!(signal = name, "the program has ended, so it gets no signal"),
            Some(Found::ByNode(leader)) => {
                let processes = self.helper()?.signal(&leader, signal).await?;
                tracing::debug!(signal = name, processes, "signalled");
            }
            Some(Found::ByShell(leader)) => {
                self.run(&Script::signal(leader, name)).await?;
            }
        }
        Ok(())
    }

    async fn hang_up(
        &mut self,
        streams: &mut Option<Streams>,
    ) -> Result<Option<trace::HangUp>, Error> {
        if self.found.is_none() {
            self.found = self.find(streams).await?;
        }
        let hang_up = match self.found.clone() {
            None => None,
            Some(Found::ByNode(leader)) => {
                let (session, seen) = match &self.trace {
                    Trace::Wrapped { .. } => (Some(self.session.clone()), None),
                    Trace::Words(words) => (None, words.seen),
                };
                let answer = self.helper()?.hang_up(&leader, session, seen).await;
                if answer.as_ref().is_err_and(node_helper::Error::is_absence) {
                    // The next try may find it by the image's shell.
                    self.found = None;
                }
                answer?.map(|hung_up| HangUp::ByNode { leader, hung_up })
            }
            Some(Found::ByShell(leader)) => {
                let at = ticks::now();
                let script = Script::hang_up(leader, &self.session);
                let answer = self.run(&script).await?;
                answer.map(|answer| {
                    let reached = Reached::from_answer(&answer, leader);
                    HangUp::ByShell {
                        leader,
                        foreground: reached.foreground,
                        at,
                        at_inside: reached.at,
                    }
                })
            }
        };
        Ok(hang_up.map(trace::HangUp::Kubelet))
    }

    async fn kill(&mut self, hang_up: &trace::HangUp) -> Result<bool, Error> {
        let trace::HangUp::Kubelet(hang_up) = hang_up else {
            return Err(Error::InDoubt);
        };
        let script = match hang_up {
            HangUp::ByNode { leader, hung_up } => {
                let helper = self.helper()?;
                match (helper.kill(leader, hung_up.clone()).await, &self.trace) {
                    (Ok(processes), _) => return Ok(processes > 0),
                    (Err(error), Trace::Wrapped { leader, .. }) if error.is_absence() => {
                        // The foreground group's number inside the container is not known here.
                        helper.replaced(&error);
                        let leader = leader.ok_or(error)?;
                        Script::kill(leader, leader.pid, hung_up.at)
                    }
                    (Err(error), _) => return Err(error.into()),
                }
            }
            HangUp::ByShell {
                leader,
                foreground,
                at,
                at_inside,
            } => Script::kill(*leader, *foreground, at_inside.unwrap_or(*at)),
        };
        Ok(self.run(&script).await?.is_some())
    }
}
