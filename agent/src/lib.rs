//! The agent of one node: runs what frontdoors are granted, at the node's own kubelet.

pub mod audit;
pub mod config;
pub mod grant;
pub mod metrics;
pub mod telemetry;
pub mod version;

mod admin;
mod descriptors;
mod exec;
mod exit;
mod listener;
mod node;
mod program;
mod refusal;
mod runtime;
mod service;
mod session;
mod shell;
mod streams;
mod ticks;
mod workers;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use podgate_proto::enrolment::Enrolment;
use podgate_proto::mtls::{self, Identity};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use audit::Audit;
use config::Config;
use metrics::Metrics;
use node::Node;
use program::journal::{self, Journal};
use program::{JournalEntry, ProgramServices, Programs};
use runtime::kubelet::{Kubelet, NodeState};
use service::{Service, Shared};
use workers::Workers;

/// Why the agent does not run.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: std::net::SocketAddr,
        source: io::Error,
    },
    #[error("tls: {0}")]
    Tls(mtls::Error),
    #[error("kubelet: {0}")]
    Kubelet(mtls::Error),
    #[error("journal: {0}")]
    Journal(#[from] journal::Error),
    #[error("audit: {0}")]
    Audit(#[from] audit::Error),
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

impl Agent {
    /// Reads the TLS files and the journal, and listens.
    pub async fn bind(config: Config) -> Result<Self, Error> {
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
        let audit = Arc::new(Audit::start(&config.audit, Arc::clone(&metrics))?);
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
    pub async fn run(
        self,
        draining: CancellationToken,
        stopped: CancellationToken,
    ) -> Result<(), Error> {
        let (metrics, audit) = (self.metrics, self.audit);
        let shared = Arc::new(Shared {
            places: Semaphore::new(self.config.sessions),
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
        metrics.watch(workers.runtimes());

        // What port 0 of the configuration has become.
        let (listen, admin_address) = (address(&self.listener), address(&self.admin));
        let admin = admin::serve(
            self.admin,
            Arc::clone(&metrics),
            Arc::clone(&self.enrolment),
            draining.clone(),
            closed.clone(),
        );
        let keep = async {
            tokio::select! {
                () = closed.cancelled() => {}
                () = self.enrolment.keep(|told| metrics.enrolment(told)) => {}
            }
        };
        let serve = async {
            tracing::info!(node = %self.config.node, %listen, %admin_address, "serving");
            tokio::select! {
                () = self.enrolment.enrolled() => {
                    accept(&self.listener, &mut workers, &draining).await;
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

async fn listen(address: std::net::SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .await
        .map_err(|source| Error::Listen { address, source })
}

fn address(listener: &TcpListener) -> String {
    listener
        .local_addr()
        .map_or_else(|error| error.to_string(), |address| address.to_string())
}

async fn accept(
    listener: &TcpListener,
    workers: &mut Workers<std::net::TcpStream>,
    draining: &CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            () = draining.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted.and_then(|(connection, _)| connection.into_std()) {
            Ok(connection) => workers.hand_over(connection).await,
            Err(error) => {
                // Most likely out of descriptors: others must end first.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}
