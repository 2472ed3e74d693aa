//! The frontdoor: the SSH server. It authenticates users, asks Kubernetes whether they may enter, finds
//! the pod, and opens a stream to the agent on its node. It has no privilege on any node.

pub mod config;

mod agents;
mod audit;
mod authn;
mod authz;
mod core;
mod file_metrics;
mod forward_metrics;
mod login_name;
mod login_pressure;
mod lookups;
mod metrics;
mod pod;
mod quotas;
mod recordings;
mod route;
mod ssh;

use std::io;
use std::sync::Arc;

use podgate_identity::kubernetes;
use podgate_process::admin::{self, Admin};
use podgate_process::daemon::Daemon;
use podgate_process::enrolment::Enrolment;
use podgate_process::listener::{self, accept_until, address, listen};
use podgate_process::ready::{Ready, Waiting};
use podgate_process::shutdown::Shutdown;
use podgate_process::workers::Workers;
use podgate_process::{descriptors, mtls};
use podgate_recording::Recorder;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use audit::Audit;
use authn::Authenticator;
use config::{Config, HostKeys};
use core::Core;
use metrics::Metrics;
use recordings::{Links, Recordings};
use route::Router;
use ssh::{Accepted, Greetings, HostCertificateError, HostIdentity, greetings, hostkeys};

/// Why the frontdoor does not run.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error(transparent)]
    Listen(#[from] listener::Error),
    #[error("tls: {0}")]
    Tls(#[from] mtls::Error),
    #[error("hostKeys: {0}")]
    HostKeys(#[from] hostkeys::Error),
    #[error("banner, motd: {0}")]
    Greetings(#[from] greetings::Error),
    #[error("hostCertificates: {0}")]
    HostCertificates(#[from] HostCertificateError),
    #[error(transparent)]
    Authn(#[from] authn::Error),
    #[error("audit: {0}")]
    Audit(#[from] podgate_process::audit::Error),
    #[error("recordings.{0}")]
    Recordings(#[from] podgate_recording::RecorderError),
    #[error("recordings.page.key: {0}")]
    Page(#[from] kubernetes::KeyError),
    #[error("kubeconfig: {0}")]
    Kubernetes(#[from] kubernetes::Error),
    #[error("cannot start a worker: {0}")]
    Worker(io::Error),
}

/// A frontdoor that listens.
#[derive(Debug)]
pub struct Frontdoor {
    config: Config,
    listener: TcpListener,
    admin: TcpListener,
    enrolment: Enrolment,
    ready: Ready,
    /// Held until the pods are known, if they are watched.
    pods: Option<Waiting>,
    /// The router that follows the cluster for all cores.
    router: Router,
    recordings: Option<Arc<Recordings>>,
    shutdown: Shutdown,
    metrics: Arc<Metrics>,
    core: Arc<Core>,
}

impl Daemon for Frontdoor {
    const NAME: &'static str = "podgate-frontdoor";
    /// russh's warnings repeat what clients send.
    const LOG: &'static str = "info,russh=error";
    type Config = Config;
    type Error = Error;

    /// Reads the keys, the users and the TLS files, and listens.
    async fn bind(config: Config, shutdown: Shutdown) -> Result<Self, Error> {
        descriptors::raise();
        let ready = Ready::default();
        let (identity, mut enrolment) = config.certificate.clone().open(&ready)?;
        let pods = config.watch_pods;
        let pods = pods.then(|| ready.wait_for("the cluster's pods"));
        let authenticator = Authenticator::load(&config.authn)?;
        let keys = match &config.host_keys {
            HostKeys::Files(paths) => hostkeys::load(paths)?,
            HostKeys::Secret(secret) => {
                let client = kubernetes::connect(config.kubeconfig.as_deref()).await?;
                hostkeys::shared(&client, secret).await?
            }
        };
        hostkeys::tell(&keys);
        let host = if config.host_certificates.is_empty() {
            let issued = enrolment.certify(hostkeys::public(&keys)?);
            HostIdentity::certified(keys, issued, &config.limits)
        } else {
            HostIdentity::load(keys, config.host_certificates.clone(), &config.limits)?
        };
        let ssh = (host, Greetings::load(&config.greetings)?);
        let metrics = Arc::new(Metrics::new());
        let audit = Audit::start(&config.audit, metrics.audit_events.clone())?;
        let links = links(&config).await?;
        let recordings = Recordings::start(config.recordings.as_ref(), links, &metrics)?;
        let counted = (audit, recordings.clone(), Arc::clone(&metrics));
        let who = (identity, authenticator);
        let core = Core::new(&config, who, ssh, counted, shutdown.clone());
        let core = Arc::new(core.map_err(Error::Worker)?);
        let router = core.router().await?;
        let listener = listen(config.listen).await?;
        let admin = listen(config.admin).await?;
        Ok(Self {
            config,
            listener,
            admin,
            enrolment,
            ready,
            pods,
            router,
            recordings,
            shutdown,
            metrics,
            core,
        })
    }

    async fn check(config: Config) -> Result<(), Error> {
        if let Some(recordings) = &config.recordings {
            Recorder::check(&recordings.recorder).await?;
        }
        Ok(())
    }

    async fn run(mut self) -> Result<(), Error> {
        let core = Arc::clone(&self.core);
        let serve = move |accepted| Arc::clone(&core).serve(accepted);
        let mut workers = Workers::start(self.config.workers, serve).map_err(Error::Worker)?;
        self.metrics.tasks.watch(workers.runtimes());
        if !ssh::WINDOW_BY_CONSUMPTION {
            tracing::warn!("built without frontdoor/russh: a slow reader stalls its connection");
        }
        let (listen, admin_address) = (address(&self.listener), address(&self.admin));
        tracing::info!(%listen, %admin_address, "serving");

        let core = Arc::clone(&self.core);
        let told = Admin {
            metrics: Arc::new(move || core.render()),
            ready: self.ready.clone(),
            draining: self.shutdown.draining.clone(),
            bounds: self.config.admin_connections,
            refused: self.metrics.refused_connections.clone(),
        };
        let served = CancellationToken::new();
        let admin = admin::serve(self.admin, told, served.clone());
        let pods = self.pods.take();
        let follow = async {
            let follow = follow(&self.router, &self.metrics, &self.core, pods);
            let stored = async {
                if let Some(recordings) = &self.recordings {
                    recordings.tell(&self.ready).await;
                }
            };
            let enrol = self
                .enrolment
                .keep(|event| self.metrics.enrolment.count(event));
            served
                .run_until_cancelled(async { tokio::join!(follow, enrol, stored) })
                .await;
        };
        let (limit, draining) = (self.config.drain, &self.shutdown.draining);
        let serve = async {
            let enrolled = self.enrolment.enrolled();
            if draining.run_until_cancelled(enrolled).await.is_some() {
                accept(self.listener, &mut workers, &self.core, draining).await;
            } else {
                drop(self.listener);
            }
            let count = || usize::try_from(self.metrics.sessions_active.get()).unwrap_or(0);
            self.shutdown.drain(limit, workers.finish(), count).await;
            served.cancel();
        };
        tokio::join!(admin, follow, serve);
        let finished = self.core.finish().await;
        tracing::info!("stopped");
        Ok(finished?)
    }
}

/// What links to the page of recordings are made with, if there is a page.
async fn links(config: &Config) -> Result<Option<Links>, Error> {
    let page = config.recordings.as_ref();
    let Some(page) = page.and_then(|recordings| recordings.page.as_ref()) else {
        return Ok(None);
    };
    let client = kubernetes::connect(config.kubeconfig.as_deref()).await?;
    let key = page.key.load(&client).await?;
    let url = page.url.clone();
    Ok(Some(Links { url, key }))
}

/// Follows the cluster, for all cores. Does not return.
async fn follow(router: &Router, metrics: &Metrics, core: &Core, pods: Option<Waiting>) {
    let count = |pods| {
        metrics.pods.set(i64::try_from(pods).unwrap_or(i64::MAX));
    };
    let follow_pods = async {
        if let Some(waiting) = pods {
            let known = async {
                core.pods_known().await;
                drop(waiting);
            };
            tokio::join!(router.follow(count), known);
        }
    };
    tokio::join!(follow_pods, router.follow_agents());
}

/// Hands connections to the workers until the frontdoor drains.
async fn accept(
    listener: TcpListener,
    workers: &mut Workers<Accepted>,
    core: &Core,
    draining: &CancellationToken,
) {
    let take = async |stream, peer| {
        if let Some(accepted) = core.admit(stream, peer) {
            workers.hand_over(accepted).await;
        }
    };
    accept_until(listener, draining, take).await;
}
