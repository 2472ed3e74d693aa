//! The agent of one node: runs what frontdoors are granted, at the node's own kubelet.

pub mod config;

mod activity;
mod admit;
mod answers;
mod audit;
mod command;
mod connection;
mod core;
mod exec;
mod exit;
mod files;
mod forward;
mod grant;
mod listener;
mod metrics;
mod node_entry;
mod node_helper;
mod program;
mod quotas;
mod rates;
mod refusal;
mod room;
mod runtime;
mod service;
mod session;
mod session_ids;
mod shell;
mod streams;
mod trouble;
mod watched;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use podgate_process::admin::{self, Admin};
use podgate_process::audit::{self as audit_log, AuditLog};
use podgate_process::connection_slots::ConnectionSlots;
use podgate_process::daemon::Daemon;
use podgate_process::enrolment::Enrolment;
use podgate_process::listener::{self as listening, accept_until, address, listen};
use podgate_process::ready::Ready;
use podgate_process::shutdown::Shutdown;
use podgate_process::workers::Workers;
use podgate_process::{descriptors, mtls};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use config::Config;
use core::Core;
use listener::Accepted;
use metrics::Metrics;
use program::journal::{self, Journal};
use runtime::kubelet::Kubelet;

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
    Audit(#[from] audit_log::Error),
    #[error("cannot start a worker: {0}")]
    Worker(io::Error),
}

/// An agent that listens.
#[derive(Debug)]
pub struct Agent {
    config: Config,
    listener: TcpListener,
    admin: TcpListener,
    enrolment: Enrolment,
    ready: Ready,
    shutdown: Shutdown,
    metrics: Arc<Metrics>,
    core: Arc<Core>,
}

impl Daemon for Agent {
    const NAME: &'static str = "podgate-agent";
    const LOG: &'static str = "info";
    type Config = Config;
    type Error = Error;

    /// Reads the TLS files and the journal, and listens.
    async fn bind(config: Config, shutdown: Shutdown) -> Result<Self, Error> {
        descriptors::raise();
        let ready = Ready::default();
        let opened = config.certificate.clone().open(&ready);
        let (identity, enrolment) = opened.map_err(Error::Tls)?;
        let metrics = Arc::new(Metrics::new());
        let missing = metrics.missing_in_journal.clone();
        let counts = (metrics.unjournaled_sessions.clone(), missing);
        let journal = config.journal.as_deref();
        let journal = journal.map(|folder| Journal::open(folder, config.journal_bytes, counts));
        let journal = journal.transpose()?;
        // Each core reads the kubelet's files; this makes wrong files an error of the program.
        Kubelet::check(&config.kubelet).map_err(Error::Kubelet)?;
        let listener = listen(config.listen).await?;
        let admin = listen(config.admin).await?;
        let audit = AuditLog::start(&config.audit, metrics.audit_events.clone())?;
        let counted = (audit, Arc::clone(&metrics));
        let core = Core::new(&config, identity, journal, counted, shutdown.clone());
        Ok(Self {
            config,
            listener,
            admin,
            enrolment,
            ready,
            shutdown,
            metrics,
            core: Arc::new(core),
        })
    }

    async fn run(self) -> Result<(), Error> {
        let (core, closed) = (Arc::clone(&self.core), self.core.closed());
        let serve = move |accepted| Arc::clone(&core).serve(accepted);
        let workers = Workers::start(self.config.workers, serve).map_err(Error::Worker)?;
        self.metrics.tasks.watch(workers.runtimes());
        let (listen, admin_address) = (address(&self.listener), address(&self.admin));
        tracing::info!(node = %self.config.node, %listen, %admin_address, "serving");

        let (core, metrics) = (Arc::clone(&self.core), Arc::clone(&self.metrics));
        let told = Admin {
            metrics: Arc::new(move || metrics.render()),
            ready: self.ready.clone(),
            draining: self.shutdown.draining.clone(),
            bounds: self.config.admin_connections,
            refused: self.metrics.refused_connections.clone(),
        };
        let admin = admin::serve(self.admin, told, closed.clone());
        let count = |event| self.metrics.enrolment.count(event);
        let enrol = closed.run_until_cancelled(self.enrolment.keep(count));
        let (limit, draining) = (self.config.drain, &self.shutdown.draining);
        let serve = async {
            let mut workers = workers;
            let enrolled = self.enrolment.enrolled();
            if draining.run_until_cancelled(enrolled).await.is_some() {
                let refused = self.metrics.refused_connections.clone();
                let slots = ConnectionSlots::new("link", self.config.handshakes, refused);
                accept(self.listener, &slots, &mut workers, draining).await;
            } else {
                drop(self.listener);
            }
            core.drain(limit).await;
            workers.finish().await;
        };
        tokio::join!(admin, enrol, serve);
        self.core.finish().await;
        tracing::info!("stopped");
        Ok(())
    }
}

/// Hands connections to the workers until the agent drains.
async fn accept(
    listener: TcpListener,
    slots: &Arc<ConnectionSlots>,
    workers: &mut Workers<Accepted>,
    draining: &CancellationToken,
) {
    let take = async |stream: tokio::net::TcpStream, peer: SocketAddr| {
        let Ok(slot) = slots.take(peer.ip()) else {
            return;
        };
        match stream.into_std() {
            Ok(stream) => workers.hand_over(Accepted { stream, peer, slot }).await,
            Err(error) => tracing::warn!(%error, "cannot hand a connection over"),
        }
    };
    accept_until(listener, draining, take).await;
}
