//! The signer: holds the CAs, and gives agents, frontdoors and users their certificates. No SSH client
//! reaches it.

mod ca;
mod clock;
mod config;
mod desk;
mod enrol;
mod hosts;
mod metrics;
mod ssh_ca;

use std::sync::Arc;

use podgate_identity::kubernetes::token_claims::is_servers;
use podgate_identity::kubernetes::{self, Client};
use podgate_process::admin::{self, Admin};
use podgate_process::connection_slots::ConnectionSlots;
use podgate_process::daemon::Daemon;
use podgate_process::descriptors;
use podgate_process::listener::{self, address, listen};
use podgate_process::ready::{Ready, Waiting};
use podgate_process::shutdown::Shutdown;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use config::Config;

use ca::Ca;
use desk::DeskThread;
use enrol::Enrol;
use hosts::Hosts;
use metrics::Metrics;

/// Why the signer does not run.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error(transparent)]
    Listen(#[from] listener::Error),
    #[error("kubeconfig: {0}")]
    Kubernetes(#[from] kubernetes::Error),
    #[error("{0}: {1:?} is an audience of the API server, as this signer's own token shows")]
    Audience(&'static str, String),
    #[error("desk: {0}")]
    Desk(#[from] desk::Error),
    #[error("hosts.ca: {0}")]
    Hosts(#[from] ssh_ca::Error),
}

/// A signer that listens, and does not serve yet.
pub struct Signer {
    config: Config,
    listener: TcpListener,
    admin: TcpListener,
    metrics: Arc<Metrics>,
    ca: Arc<Ca>,
    enrol: Enrol,
    client: Client,
    hosts: Option<Arc<Hosts>>,
    desk: Option<DeskThread>,
    ready: Ready,
    /// Held until there is a CA that issues.
    issuer: Waiting,
    shutdown: Shutdown,
}

impl Daemon for Signer {
    const NAME: &'static str = "podgate-signer";
    const LOG: &'static str = "info";
    type Config = Config;
    type Error = Error;

    /// Reads the files, and listens.
    async fn bind(config: Config, shutdown: Shutdown) -> Result<Self, Error> {
        descriptors::raise();
        let metrics = Arc::new(Metrics::new());
        let client = kubernetes::connect(config.kubeconfig.as_deref()).await?;
        let own = kubernetes::own_token(config.kubeconfig.as_deref()).await?;
        audiences(&config, own.as_deref())?;
        let ca = Arc::new(Ca::new(
            client.clone(),
            config.clone(),
            Arc::clone(&metrics),
        ));
        let hosts = config.hosts.clone();
        let hosts = hosts.map(|hosts| Hosts::new(hosts, Arc::clone(&metrics)));
        let hosts = hosts.transpose()?.map(Arc::new);
        let enrol = Enrol::new(
            config.enrolment.clone(),
            client.clone(),
            (Arc::clone(&ca), hosts.clone()),
            Arc::clone(&metrics),
        );
        let listener = listen(config.listen).await?;
        let admin = listen(config.admin).await?;
        let desk = match config.desk.clone() {
            Some(desk) => {
                let metrics = Arc::clone(&metrics);
                let (kubeconfig, bundle) = (config.kubeconfig.clone(), config.bundle.clone());
                Some(DeskThread::bind(desk, kubeconfig, bundle, hosts.clone(), metrics).await?)
            }
            None => None,
        };
        let ready = Ready::default();
        Ok(Self {
            config,
            listener,
            admin,
            metrics,
            ca,
            enrol,
            client,
            hosts,
            desk,
            issuer: ready.wait_for("a CA that issues"),
            ready,
            shutdown,
        })
    }

    /// Serves until `draining`. Calls under way then have the configured time to end, unless `stopped`
    /// comes first.
    async fn run(self) -> Result<(), Error> {
        let (listen, admin_address) = (address(&self.listener), address(&self.admin));
        let desk = self.desk.as_ref().map(|desk| desk.address().to_owned());
        tracing::info!(%listen, %admin_address, desk, "serving");
        let served = CancellationToken::new();
        let metrics = Arc::clone(&self.metrics);
        let told = Admin {
            metrics: Arc::new(move || metrics.render()),
            ready: self.ready,
            draining: self.shutdown.draining.clone(),
            bounds: self.config.admin_connections,
            refused: self.metrics.refused_connections.clone(),
        };
        let admin = admin::serve(self.admin, told, served.clone());
        let (ca, waiting) = (&self.ca, self.issuer);
        let issues = async {
            ca.issues().await;
            drop(waiting);
        };
        let certify = async {
            if let Some(hosts) = &self.hosts {
                hosts.follow(&self.client, &self.config.bundle).await;
            }
        };
        let follow = async { tokio::join!(ca.follow(), issues, certify) };
        let follow = served.run_until_cancelled(follow);
        let parts = TaskTracker::new();
        if let Some(desk) = self.desk {
            parts.spawn(desk.serve(self.shutdown.clone()));
        }
        let slots = ConnectionSlots::new(
            "enrolment",
            self.config.enrolment.connections,
            self.metrics.refused_connections.clone(),
        );
        parts.spawn(enrol::serve(
            self.listener,
            slots,
            self.enrol,
            self.shutdown.clone(),
        ));
        parts.close();
        let serve = async {
            self.shutdown.draining.cancelled().await;
            let ended = async { parts.wait().await };
            self.shutdown
                .drain(self.config.drain, ended, || parts.len())
                .await;
            served.cancel();
        };
        tokio::join!(admin, follow, serve);
        tracing::info!("stopped");
        Ok(())
    }
}

/// Checks that no configured audience is one of the API server's.
fn audiences(config: &Config, own: Option<&str>) -> Result<(), Error> {
    let desk = config.desk.as_ref().map(|desk| &desk.audience);
    for (key, audience) in [
        ("enrolment.audience", Some(&config.enrolment.audience)),
        ("desk.audience", desk),
    ] {
        if let Some(audience) = audience.filter(|audience| is_servers(audience, own)) {
            return Err(Error::Audience(key, audience.clone()));
        }
    }
    Ok(())
}
