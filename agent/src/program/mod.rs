//! A session's program on its node, from its start to the moment when nothing of it is left: started
//! at the kubelet, signalled and hung up by the node helper where there is one, else through the
//! kubelet. What is started is in the journal until it is known to be over.

mod container;
mod hangup;
mod identify;
pub(crate) mod journal;
mod left;
mod signals;

use std::sync::Arc;
use std::time::Duration;

use podgate_proto::v1::{Exec, exec};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::grant::Granted;
use crate::kubelet::exec::{Input, Output};
use crate::kubelet::{self, Kubelet, Late};
use crate::metrics::Metrics;
use crate::node::{self, Node};
pub(crate) use container::Container;
use identify::{Starts, Unidentified};
use journal::Journal;
pub(crate) use left::Left;
use left::{How, Words};
use podgate_helper::ticks;
use signals::Signals;

/// Hang-ups under way at once: a frontdoor that dies leaves many to be done.
const HANGUPS: usize = 16;

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

    /// Takes the processes that an earlier agent knew, so that none is taken for another session's.
    pub(crate) fn claim(&self, left: &[Left]) {
        for left in left {
            if let How::Words(words) = &left.how
                && let Some(leader) = &words.leader
            {
                self.starts.claim(leader.clone());
            }
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
        left.how = How::Words(Words {
            words: words.clone(),
            since: ticks::now(),
            terminal: exec.terminal.is_some(),
            leader: None,
        });
        self.means.write(left);
        let launched = self
            .kubelet
            .launch_words(&left.granted, &words, exec, deadline);
        let (input, output) = launched.await?;
        // Others that were started while the kubelet was asked are not it.
        if let How::Words(words) = &mut left.how {
            words.since = output.opened();
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

    pub(crate) fn container(&self) -> Container {
        Container {
            programs: self.programs.clone(),
            granted: self.left.granted.clone(),
            id: self.left.container(),
            signals: Arc::clone(&self.signals),
        }
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
