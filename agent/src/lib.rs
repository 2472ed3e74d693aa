//! The agent of one node: runs what frontdoors are granted, at the node's own kubelet.

mod audit;
pub mod config;
pub mod grant;
pub mod metrics;

mod admit;
mod exec;
mod exit;
mod listener;
mod node;
mod program;
mod quotas;
mod refusal;
mod runtime;
mod service;
mod session;
mod shell;
mod streams;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use podgate_process::admin::{self, Admin};
use podgate_process::audit::AuditLog;
use podgate_process::daemon::Daemon;
use podgate_process::enrolment::Enrolment;
use podgate_process::listener::{accept, address, listen};
use podgate_process::mtls::{self, Identity};
use podgate_process::shutdown::Shutdown;
use podgate_process::workers::Workers;
use podgate_process::{descriptors, listener as listening, log};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use audit::Audit;
use config::Config;
use metrics::Metrics;
use node::Node;
use program::journal::{self, Journal};
use program::{JournalEntry, ProgramServices, Programs};
use quotas::Quotas;
use runtime::kubelet::{Kubelet, NodeState};
use service::{Service, Shared};

/// Why the agent does not run.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error(transparent)]
    Listen(#[from] listening::Error),
    #[error("tls: {0}")]
    Tls(mtls::Error),
    #[error("kubelet: {0}")]
    Kubelet(mtls::Error),
    #[error("journal: {0}")]
    Journal(#[from] journal::Error),
    #[error("audit: {0}")]
    Audit(#[from] podgate_process::audit::Error),
    #[error("cannot start a worker: {0}")]
    Worker(io::Error),
}

/// An agent that listens, and does not serve yet.
#[derive(Debug)]
pub struct Agent {
    config: Config,
    listener: TcpListener,
    admin: TcpListener,
    identity: Arc<Identity>,
    enrolment: Arc<Enrolment>,
    journal: Option<Journal>,
    /// What an earlier agent has not ended.
    left: Vec<JournalEntry>,
    metrics: Arc<Metrics>,
    audit: Arc<Audit>,
}

impl Daemon for Agent {
    const NAME: &'static str = "podgate-agent";
    const LOG: &'static str = "info";
    type Config = Config;
    type Error = Error;

    fn read(path: &Path) -> Result<Config, podgate_process::config::Error> {
        Config::read(path)
    }

    fn log(config: &Config) -> &log::Config {
        &config.log
    }

    /// Reads the TLS files and the journal, and listens.
    async fn bind(config: Config) -> Result<Self, Error> {
        descriptors::raise();
        let (identity, enrolment) = config.certificate.clone().open().map_err(Error::Tls)?;
        let (journal, left) = config
            .journal
            .as_deref()
            .map(Journal::open)
            .transpose()?
            .unzip();
        let listener = listen(config.listen).await?;
        let admin = listen(config.admin).await?;
        let metrics = Arc::new(Metrics::new());
        let audit = AuditLog::start(&config.audit, metrics.audit_events.clone())?;
        let audit = Arc::new(Audit::new(audit));
        Ok(Self {
            config,
            listener,
            admin,
            identity: Arc::new(identity),
            enrolment: Arc::new(enrolment),
            journal,
            left: left.unwrap_or_default(),
            metrics,
            audit,
        })
    }

    /// Serves until `draining`, then lets sessions go on for the configured time, or until
    /// `stopped`, and hangs up the rest.
    async fn run(self, shutdown: Shutdown) -> Result<(), Error> {
        let Shutdown { draining, stopped } = shutdown;
        let (metrics, audit) = (self.metrics, self.audit);
        let shared = Arc::new(Shared {
            quotas: Quotas::new(self.config.sessions),
            node: self.config.node.clone(),
            deny: self.config.deny.clone(),
            audit: Arc::clone(&audit),
            metrics: Arc::clone(&metrics),
            sessions: TaskTracker::new(),
            draining: draining.clone(),
            stopped: stopped.clone(),
        });
        // Connections end after the sessions, and after their hang-ups, which need the kubelet.
        let closed = CancellationToken::new();
        let kubelet = self.config.kubelet.clone();
        let node = self.config.node_helper.clone().map(Node::new);
        let node = Arc::new(NodeState::new(node));
        for entry in &self.left {
            node.claim(entry.trace());
        }
        let services = Arc::new(ProgramServices::new(
            self.journal,
            self.config.hang_up_grace,
            Arc::clone(&metrics),
            stopped.clone(),
        ));
        let left = Arc::new(Mutex::new(self.left));
        let start = {
            let (shared, identity, closed) = (Arc::clone(&shared), self.identity, closed.clone());
            let (metrics, deny) = (Arc::clone(&metrics), self.config.deny.clone());
            move |accepted| {
                let (shared, identity, closed) = (shared.clone(), identity.clone(), closed.clone());
                let (metrics, kubelet, deny) = (metrics.clone(), kubelet.clone(), deny.clone());
                let node = Arc::clone(&node);
                let (services, left) = (Arc::clone(&services), Arc::clone(&left));
                async move {
                    let tasks = TaskTracker::new();
                    match Kubelet::start(kubelet, deny, node, &tasks, &closed) {
                        Err(error) => tracing::error!(%error, "no client of the kubelet"),
                        Ok(kubelet) => {
                            let programs = Programs::new(Arc::new(kubelet), services);
                            // The first worker takes it all.
                            let left = std::mem::take(
                                &mut *left.lock().unwrap_or_else(PoisonError::into_inner),
                            );
                            for left in left {
                                let programs = programs.clone();
                                shared
                                    .sessions
                                    .spawn(async move { programs.recover(left).await });
                            }
                            let service = Service::new(shared, programs);
                            listener::serve(accepted, service, identity, metrics, closed).await;
                        }
                    }
                    tasks.close();
                    tasks.wait().await;
                }
            }
        };
        // Read once before any worker does, so that wrong files are this call's error.
        Kubelet::check(&self.config.kubelet).map_err(Error::Kubelet)?;
        let mut workers = Workers::start(self.config.workers, start).map_err(Error::Worker)?;
        metrics.tasks.watch(workers.runtimes());

        // What port 0 of the configuration has become.
        let (listen, admin_address) = (address(&self.listener), address(&self.admin));
        let told = Admin {
            metrics: {
                let metrics = Arc::clone(&metrics);
                Arc::new(move || metrics.render())
            },
            waits: {
                let enrolment = Arc::clone(&self.enrolment);
                Arc::new(move || enrolment.waits())
            },
            draining: draining.clone(),
        };
        let admin = admin::serve(self.admin, told, closed.clone());
        let keep = async {
            tokio::select! {
                () = closed.cancelled() => {}
                () = self.enrolment.keep(|event| metrics.enrolment.count(event)) => {}
            }
        };
        let serve = async {
            tracing::info!(node = %self.config.node, %listen, %admin_address, "serving");
            tokio::select! {
                () = self.enrolment.enrolled() => {
                    hand_over(&self.listener, &mut workers, &draining).await;
                }
                () = draining.cancelled() => {}
            }
            drop(self.listener);
            shared.sessions.close();
            tracing::info!(sessions = shared.sessions.len(), "draining");
            let drained = tokio::select! {
                drained = timeout(self.config.drain, shared.sessions.wait()) => drained.is_ok(),
                () = stopped.cancelled() => false,
            };
            if !drained {
                tracing::warn!(sessions = shared.sessions.len(), "hanging up");
            }
            // Always: one may have begun between the last look and now.
            stopped.cancel();
            shared.sessions.wait().await;
            closed.cancel();
            workers.finish().await;
        };
        tokio::join!(admin, keep, serve);
        // Whatever is recorded was, by now.
        audit.finish().await;
        tracing::info!("stopped");
        Ok(())
    }
}

async fn hand_over(
    listener: &TcpListener,
    workers: &mut Workers<std::net::TcpStream>,
    draining: &CancellationToken,
) {
    loop {
        let (stream, _) = tokio::select! {
            () = draining.cancelled() => return,
            accepted = accept(listener) => accepted,
        };
        match stream.into_std() {
            Ok(stream) => workers.hand_over(stream).await,
            Err(error) => tracing::warn!(%error, "cannot hand a connection over"),
        }
    }
}
