//! What all cores of an agent share, and the work of one core: it serves its connections, with a
//! kubelet client of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use podgate_process::audit::AuditLog;
use podgate_process::connection_slots::ConnectionSlots;
use podgate_process::mtls::Identity;
use podgate_process::shutdown::Shutdown;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::audit::Audit;
use crate::config::{Choice as Chosen, Config};
use crate::files::Workers;
use crate::forward::{Forwards, Makers, Waiting};
use crate::listener::{self, Accepted};
use crate::metrics::Metrics;
use crate::node_entry::NodeEntry;
use crate::node_helper::NodeHelper;
use crate::program::journal::Journal;
use crate::program::{JournalEntry, ProgramServices, Programs};
use crate::quotas::Quotas;
use crate::rates::Throttles;
use crate::runtime::direct::{Direct, PipeShare};
use crate::runtime::kubelet::{self, Kubelet, NodeState};
use crate::runtime::{Choice, Runtime};
use crate::service::{Service, Shared};
use crate::session_ids::SessionIds;

/// Between two looks at what other agents of this node have left.
const LOOK: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Core {
    kubelet: kubelet::Config,
    identity: Arc<Identity>,
    /// For frontdoors' connections.
    links: Arc<ConnectionSlots>,
    node: Arc<NodeState>,
    /// Unless only the kubelet starts programs.
    entry: Option<Arc<NodeEntry>>,
    runtime: Chosen,
    pipes: Arc<PipeShare>,
    services: Arc<ProgramServices>,
    /// What an earlier agent has not ended. The first core takes it.
    left: Mutex<Vec<JournalEntry>>,
    /// Whether a core stays connected to the node helper, and looks at what other agents leave.
    stays: AtomicBool,
    shared: Arc<Shared>,
    waiting: Waiting,
    shutdown: Shutdown,
    /// Cancelled when connections must end: after the sessions and after their hang-ups, which need the
    /// kubelet.
    closed: CancellationToken,
}

impl Core {
    pub(crate) fn new(
        config: &Config,
        identity: Identity,
        journal: Option<(Journal, Vec<JournalEntry>)>,
        (audit, metrics): (AuditLog, Arc<Metrics>),
        shutdown: Shutdown,
    ) -> Self {
        let (journal, left) = journal.unzip();
        let left = left.unwrap_or_default();
        let helper = config.node_helper.clone();
        let helper = helper.map(|socket| NodeHelper::new(socket, metrics.helper.clone()));
        let node = NodeState::new(helper);
        for entry in &left {
            node.claim(entry.trace());
        }
        let entry = config.node_entry.clone();
        let entry = entry.map(|socket| NodeEntry::new(socket, metrics.entry_connected.clone()));
        let pipes = PipeShare::of_node(metrics.pipes_enlarged.clone());
        let services = ProgramServices::new(
            journal,
            (config.hang_up_grace, config.hang_ups),
            Arc::clone(&metrics),
            shutdown.stopped.clone(),
        );
        let refused = metrics.refused_connections.clone();
        let shared = Shared {
            quotas: Quotas::new(
                (config.sessions, config.transfers),
                (config.forwards, config.listeners),
                config.openings,
            ),
            throttles: Arc::new(Throttles::new(&config.transfer_rates, &metrics.throttled)),
            node: config.node.clone(),
            deny: config.deny.clone(),
            audit: Arc::new(Audit::new(audit)),
            metrics,
            ids: SessionIds::default(),
            sessions: TaskTracker::new(),
            draining: shutdown.draining.clone(),
            stopped: shutdown.stopped.clone(),
        };
        Self {
            kubelet: config.kubelet.clone(),
            identity: Arc::new(identity),
            links: ConnectionSlots::new("frontdoors", config.links, refused),
            node: Arc::new(node),
            entry,
            runtime: config.runtime,
            pipes,
            services: Arc::new(services),
            left: Mutex::new(left),
            stays: AtomicBool::new(false),
            shared: Arc::new(shared),
            waiting: Waiting::default(),
            shutdown,
            closed: CancellationToken::new(),
        }
    }

    /// Serves one core's connections until there are no more and the last has ended.
    pub(crate) async fn serve(self: Arc<Self>, accepted: mpsc::Receiver<Accepted>) {
        let tasks = TaskTracker::new();
        let kubelet = Kubelet::start(
            self.kubelet.clone(),
            self.shared.deny.clone(),
            Arc::clone(&self.node),
            &tasks,
            &self.closed,
        );
        match kubelet {
            Ok(kubelet) => {
                let kubelet = Arc::new(kubelet);
                let programs = self.programs(Arc::clone(&kubelet));
                let workers = self
                    .entry
                    .as_ref()
                    .map(|entry| Workers::new(Arc::clone(entry), Arc::<Kubelet>::clone(&kubelet)));
                let makers = workers.clone().map(Makers::new).map(Arc::new);
                if let Some(makers) = makers.clone() {
                    let closed = self.closed.clone();
                    tasks.spawn(async move { makers.keep(&closed).await });
                }
                let metrics = Arc::clone(&self.shared.metrics);
                let dialer = Arc::<Kubelet>::clone(&kubelet);
                let throttles = Arc::clone(&self.shared.throttles);
                let beside = (self.waiting.clone(), throttles);
                let forwards = Forwards::new(dialer, makers, beside, metrics);
                self.recover(&programs);
                if !self.stays.swap(true, Ordering::Relaxed) {
                    let (this, follows) = (Arc::clone(&self), Arc::clone(&self));
                    tasks.spawn(async move { this.node.stay(&this.closed).await });
                    if let Some(entry) = self.entry.clone() {
                        let closed = self.closed.clone();
                        tasks.spawn(async move { entry.stay(&closed).await });
                    }
                    let services = Arc::clone(&self.services);
                    tasks.spawn(async move { services.keep_journal().await });
                    let programs = programs.clone();
                    tasks.spawn(async move { follows.follow_journal(&programs).await });
                }
                let services = (programs, workers, forwards);
                let service = Service::new(Arc::clone(&self.shared), services);
                let known = (Arc::clone(&self.identity), Arc::clone(&self.links));
                let metrics = Arc::clone(&self.shared.metrics);
                listener::serve(accepted, service, known, metrics, self.closed.clone()).await;
            }
            Err(error) => tracing::error!(%error, "no client of the kubelet"),
        }
        tasks.close();
        tasks.wait().await;
    }

    /// What starts programs: the node entry before the kubelet, where there is one.
    fn programs(&self, kubelet: Arc<Kubelet>) -> Programs {
        let starts = self.shared.metrics.starts.clone();
        let direct = self.entry.as_ref();
        let choice = match direct.filter(|_| self.runtime != Chosen::Kubelet) {
            None => Choice::new(Arc::clone(&kubelet) as Arc<dyn Runtime>, None, starts),
            Some(entry) => {
                let pipes = Arc::clone(&self.pipes);
                let direct = Direct::new(Arc::clone(entry), Arc::clone(&kubelet), pipes);
                let other = (self.runtime == Chosen::Auto)
                    .then(|| Arc::clone(&kubelet) as Arc<dyn Runtime>);
                Choice::new(Arc::new(direct), other, starts)
            }
        };
        Programs::new(choice, kubelet, Arc::clone(&self.services))
    }

    /// Ends what an earlier agent has left. It counts as sessions.
    fn recover(&self, programs: &Programs) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        for left in left.drain(..) {
            let programs = programs.clone();
            let recover = async move { programs.recover(left).await };
            self.shared.sessions.spawn(recover);
        }
    }

    /// Ends what agents leave that share this one's journal: an upgrade has two on a node for a while.
    async fn follow_journal(&self, programs: &Programs) {
        let draining = &self.shared.draining;
        while draining.run_until_cancelled(sleep(LOOK)).await.is_some() {
            let found = self.services.left().await;
            for entry in &found {
                self.node.claim(entry.trace());
            }
            let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
            left.extend(found);
            drop(left);
            self.recover(programs);
        }
    }

    /// Ends the sessions of all cores, and then lets their connections end.
    pub(crate) async fn drain(&self, limit: Duration) {
        let sessions = &self.shared.sessions;
        sessions.close();
        let ended = async { sessions.wait().await };
        self.shutdown.drain(limit, ended, || sessions.len()).await;
        // A session may have begun just before `stopped`.
        sessions.wait().await;
        self.closed.cancel();
    }

    /// Cancelled once connections end.
    pub(crate) fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    /// Writes the last of the audit log.
    pub(crate) async fn finish(&self) {
        self.shared.audit.finish().await;
    }
}
