//! A session's program on its node, from its start to the moment when nothing of it is left: started
//! at the kubelet, signalled and hung up by the node helper where there is one, else through the
//! kubelet. What is started is in the journal until it is known to be over.

mod hangup;
mod identify;
pub(crate) mod journal;
mod signals;

use std::sync::Arc;
use std::time::Duration;

use podgate_proto::v1::{Exec, exec};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::grant::Granted;
use crate::kubelet::exec::{Input, Output};
use crate::kubelet::hangup::Leader;
use crate::kubelet::{self, Kubelet, Late};
use crate::metrics::Metrics;
use crate::node::protocol::{ContainerId, HungUp, Process};
use crate::node::{self, Node};
use crate::session::Place;
use crate::ticks;
use identify::{Starts, Unidentified};
use journal::Journal;
use signals::Signals;

/// Hang-ups under way at once: a frontdoor that dies leaves many to be done.
const HANGUPS: usize = 16;
/// A container that is gone takes its sessions' last bytes with it in less.
const LAST_BYTES: Duration = Duration::from_secs(1);
/// For the kubelet to notice that a container is gone whose program was killed, and how often to ask.
const NOTICE: (usize, Duration) = (7, Duration::from_millis(500));

/// What starts and ends programs, for all cores.
#[derive(Debug)]
pub(crate) struct Means {
    node: Option<Node>,
    journal: Option<Journal>,
    starts: Starts,
    hangups: Semaphore,
    /// Between SIGHUP and SIGKILL.
    grace: Duration,
    metrics: Arc<Metrics>,
    /// Cancelled when sessions must end; what cannot be ended at once is the next agent's.
    stopped: CancellationToken,
}

impl Means {
    pub(crate) fn new(
        node: Option<Node>,
        journal: Option<Journal>,
        grace: Duration,
        metrics: Arc<Metrics>,
        stopped: CancellationToken,
    ) -> Self {
        Self {
            node,
            journal,
            starts: Starts::default(),
            hangups: Semaphore::new(HANGUPS),
            grace,
            metrics,
            stopped,
        }
    }

    fn write(&self, left: &Left) {
        if let Some(journal) = &self.journal {
            journal.write(left);
        }
    }

    fn remove(&self, left: &Left) {
        if let Some(journal) = &self.journal {
            journal.remove(&left.session);
        }
    }
}

/// What a session may leave behind, as the journal keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Left {
    session: String,
    granted: Granted,
    how: How,
    /// Once it was hung up.
    begun: Option<Begun>,
}

/// A hang-up whose grace runs: whom SIGHUP went to, and what SIGKILL takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Begun {
    ByNode {
        leader: Process,
        hung_up: HungUp,
    },
    ByKubelet {
        leader: Leader,
        foreground: u32,
        /// In clock ticks since boot.
        at: u64,
    },
}

impl Begun {
    fn at(&self) -> u64 {
        match self {
            Self::ByNode { hung_up, .. } => hung_up.at,
            Self::ByKubelet { at, .. } => *at,
        }
    }
}

/// How a program was started, which is how it can be found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum How {
    /// Behind the wrapper, which says who leads, and marks what it starts.
    Wrapped { leader: Option<Leader> },
    /// By its bare words, in an image without a shell.
    Words {
        words: Vec<String>,
        /// In clock ticks since boot.
        since: u64,
        terminal: bool,
        leader: Option<Process>,
    },
}

impl Left {
    fn new(session: &str, granted: Granted) -> Self {
        Self {
            session: session.to_owned(),
            granted,
            how: How::Wrapped { leader: None },
            begun: None,
        }
    }

    fn leader_unknown(&self) -> bool {
        match &self.how {
            How::Wrapped { leader } => leader.is_none(),
            How::Words { leader, .. } => leader.is_none(),
        }
    }

    /// The container as the helper knows it.
    fn container(&self) -> Option<ContainerId> {
        let (_, id) = self.granted.container_id.split_once("://")?;
        ContainerId::try_from(id.to_owned()).ok()
    }
}

/// Starts programs; one a core.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    kubelet: Arc<Kubelet>,
    means: Arc<Means>,
}

/// A program that runs: its two ends, and what is known of it.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) input: Input,
    pub(crate) output: Output,
    pub(crate) handle: Handle,
}

/// What is known of a program.
#[derive(Debug)]
pub(crate) struct Handle {
    programs: Programs,
    left: Left,
    unidentified: Option<Unidentified>,
    signals: Arc<Signals>,
}

/// Why a program does not run, and what may be left of it all the same.
#[derive(Debug)]
pub(crate) struct NotStarted {
    pub(crate) error: kubelet::Error,
    pub(crate) rest: Rest,
}

/// A start that has failed half way.
#[derive(Debug)]
pub(crate) struct Rest {
    programs: Programs,
    left: Left,
    late: Option<Late>,
    /// Whether it may run although nobody waits for it.
    doubtful: bool,
}

impl Programs {
    pub(crate) fn new(kubelet: Arc<Kubelet>, means: Arc<Means>) -> Self {
        Self { kubelet, means }
    }

    /// Starts what `exec` asks for.
    pub(crate) async fn start(
        &self,
        granted: Granted,
        session: &str,
        exec: &Exec,
    ) -> Result<Program, NotStarted> {
        let deadline = Instant::now() + kubelet::START_TIMEOUT;
        let mut left = Left::new(session, granted);
        self.means.write(&left);
        let launched = self.kubelet.launch(&left.granted, session, exec, deadline);
        let (input, output, unidentified) = match launched.await {
            Ok(started) => {
                let leader = started.leader;
                left.how = How::Wrapped { leader };
                self.means.write(&left);
                (started.input, started.output, None)
            }
            Err(kubelet::NotStarted {
                error: error @ kubelet::Error::NoShell,
                ..
            }) => match self.start_words(&mut left, exec, error, deadline).await {
                Ok(started) => started,
                Err(error) => return Err(self.not_started(left, error, None)),
            },
            Err(kubelet::NotStarted { error, late }) => {
                return Err(self.not_started(left, error, late));
            }
        };
        let handle = Handle {
            programs: self.clone(),
            left,
            unidentified,
            signals: Arc::default(),
        };
        Ok(Program {
            input,
            output,
            handle,
        })
    }

    /// In an image without a shell a command's words are run as they are.
    async fn start_words(
        &self,
        left: &mut Left,
        exec: &Exec,
        no_shell: kubelet::Error,
        deadline: Instant,
    ) -> Result<(Input, Output, Option<Unidentified>), kubelet::Error> {
        let Some(exec::Program::Command(command)) = &exec.program else {
            return Err(no_shell);
        };
        let words = kubelet::wrapper::split(command)?;
        tracing::debug!("no shell in the image, running the command's words");
        let unidentified = match (&self.means.node, left.container()) {
            (Some(_), Some(container)) => self.means.starts.begin(container).await,
            _ => None,
        };
        left.how = How::Words {
            words: words.clone(),
            since: ticks::now(),
            terminal: exec.terminal.is_some(),
            leader: None,
        };
        self.means.write(left);
        let launched = self
            .kubelet
            .launch_words(&left.granted, &words, exec, deadline);
        let (input, output) = launched.await?;
        // Others that were started while the kubelet was asked are not it.
        if let How::Words { since, .. } = &mut left.how {
            *since = output.opened();
        }
        self.means.write(left);
        Ok((input, output, unidentified))
    }

    fn not_started(&self, left: Left, error: kubelet::Error, late: Option<Late>) -> NotStarted {
        // Streams that were open may have started it.
        let doubtful = matches!(
            error,
            kubelet::Error::Exec(_) | kubelet::Error::StartTimeout
        );
        let programs = self.clone();
        let rest = Rest {
            programs,
            left,
            late,
            doubtful,
        };
        NotStarted { error, rest }
    }

    /// Takes the processes that an earlier agent knew, so that none is taken for another session's.
    pub(crate) fn claim(&self, left: &[Left]) {
        for left in left {
            if let How::Words {
                leader: Some(leader),
                ..
            } = &left.how
            {
                self.means.starts.claim(leader.clone());
            }
        }
    }

    /// Ends what an earlier agent's journal says may be left.
    pub(crate) async fn recover(&self, left: Left) {
        tracing::info!(session = %left.session, "an earlier agent's session is ended");
        hangup::recover(self, left).await;
    }
}

impl Rest {
    /// Ends what has come of it, which may take as long as a slow start.
    pub(crate) async fn end(self) {
        let Self {
            programs,
            mut left,
            late,
            doubtful,
        } = self;
        if let (Some(late), How::Wrapped { leader }) = (late, &mut left.how) {
            tokio::select! {
                late = late.leader() => *leader = late,
                // The next agent finds it in the journal.
                () = programs.means.stopped.cancelled() => return,
            }
            programs.means.write(&left);
        }
        if doubtful {
            hangup::recover(&programs, left).await;
        } else {
            programs.means.remove(&left);
        }
    }
}

impl Handle {
    /// Where it runs, and who runs it.
    pub(crate) fn granted(&self) -> &Granted {
        &self.left.granted
    }

    /// Sends the signals that are wanted, and finds out meanwhile who leads the session.
    /// It never returns.
    pub(crate) async fn attend(&mut self) {
        if let Some(unidentified) = &mut self.unidentified {
            let identify = identify::identify(&self.programs.means, &mut self.left, unidentified);
            Box::pin(identify).await;
        }
        loop {
            for signal in self.signals.take().await {
                let send = hangup::signal(&self.programs, &self.left, signal);
                if let Err(error) = Box::pin(send).await {
                    tracing::warn!(%error, "a signal was not delivered");
                }
            }
        }
    }
}

impl Program {
    /// Forgets it: it has ended by itself, and what it left in the background may stay.
    pub(crate) fn ended(self) {
        self.handle.programs.means.remove(&self.handle.left);
    }

    /// Hangs up what is left of it.
    pub(crate) async fn hang_up(self) {
        let Self {
            input,
            output,
            mut handle,
        } = self;
        if let Some(unidentified) = &mut handle.unidentified {
            identify::identify(&handle.programs.means, &mut handle.left, unidentified).await;
        }
        hangup::end(&handle.programs, handle.left, Some((input, output))).await;
    }
}

/// What a running program's session needs to know of its place, apart from the program's handle,
/// which is busy with signals.
#[derive(Debug)]
pub(crate) struct Container {
    programs: Programs,
    granted: Granted,
    id: Option<ContainerId>,
    signals: Arc<Signals>,
}

impl Handle {
    pub(crate) fn container(&self) -> Container {
        Container {
            programs: self.programs.clone(),
            granted: self.left.granted.clone(),
            id: self.left.container(),
            signals: Arc::clone(&self.signals),
        }
    }
}

impl Place for Container {
    fn signal(&self, name: &str) {
        match serde_json::from_value(name.into()) {
            Ok(signal) => self.signals.ask(signal),
            // Its name may be anything, and long.
            Err(_) => tracing::debug!("no signal of RFC 4254 was asked for"),
        }
    }

    async fn gone(&self) -> String {
        let gone = self.programs.kubelet.until_gone(&self.granted).await;
        sleep(LAST_BYTES).await;
        gone.to_string()
    }

    async fn is_gone(&self) -> Option<String> {
        if let (Some(node), Some(id)) = (&self.programs.means.node, &self.id)
            && let Ok(true) = node.runs(id).await
        {
            return None;
        }
        let (times, pause) = NOTICE;
        for _ in 0..times {
            if let Some(gone) = self.programs.kubelet.is_gone(&self.granted).await {
                return Some(gone.to_string());
            }
            sleep(pause).await;
        }
        None
    }
}

/// Why a program could not be signalled or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Node(#[from] node::Error),
    #[error(transparent)]
    Kubelet(#[from] kubelet::Error),
    #[error("which process leads the session is not known for sure")]
    InDoubt,
}

impl Error {
    /// Whether it says that the container is no more, and all that was in it.
    fn container_gone(&self) -> bool {
        matches!(self, Self::Kubelet(error) if error.container_gone())
    }
}
