//! The page of recordings: shows in a browser what the recordings' store has, to whoever comes with a link
//! of the frontdoor's or a Kubernetes token, and may. It links no SSH server.

mod audit;
mod config;
mod entry;
mod metrics;
mod rights;
mod show;
mod web;

use std::sync::Arc;

use podgate_identity::kubernetes::token_claims::is_servers;
use podgate_identity::kubernetes::token_users::TokenUsers;
use podgate_identity::kubernetes::{self, Client};
use podgate_process::admin::{self, Admin};
use podgate_process::audit::AuditLog;
use podgate_process::connection_slots::ConnectionSlots;
use podgate_process::daemon::Daemon;
use podgate_process::listener::{self, address, listen};
use podgate_process::ready::Ready;
use podgate_process::shutdown::Shutdown;
use podgate_process::{descriptors, https, mtls};
use podgate_recording::{Archive, Library};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use config::Config;

use config::Limits;
use entry::Door;
use metrics::Metrics;
use rights::Rights;
use show::{Desk, Kind, Places};
use web::Parts;

/// Why the page is not served.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error(transparent)]
    Listen(#[from] listener::Error),
    #[error("kubeconfig: {0}")]
    Kubernetes(#[from] kubernetes::Error),
    #[error("tls: {0}")]
    Tls(#[from] mtls::Error),
    #[error("{0}")]
    Store(#[from] podgate_recording::ArchiveError),
    #[error("key: {0}")]
    Key(#[from] kubernetes::KeyError),
    #[error("audit: {0}")]
    Audit(#[from] podgate_process::audit::Error),
    #[error(
        "tokens.audience: {0:?} is an audience of the API server, as this program's own token shows"
    )]
    Audience(String),
}

/// A page that listens, and is not served yet.
pub struct Replay {
    config: Config,
    listener: TcpListener,
    admin: TcpListener,
    certificate: https::Certificate,
    parts: Parts,
    /// Its thread ends when this is dropped.
    archive: Archive,
    audit: Arc<AuditLog>,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
}

impl Daemon for Replay {
    const NAME: &'static str = "podgate-replay";
    const LOG: &'static str = "info";
    type Config = Config;
    type Error = Error;

    /// Reads the files and the key, and listens.
    async fn bind(config: Config, shutdown: Shutdown) -> Result<Self, Error> {
        descriptors::raise();
        let metrics = Arc::new(Metrics::new());
        let client = kubernetes::connect(config.kubeconfig.as_deref()).await?;
        if let Some(audience) = &config.tokens {
            let own = kubernetes::own_token(config.kubeconfig.as_deref()).await?;
            if is_servers(audience, own.as_deref()) {
                return Err(Error::Audience(audience.clone()));
            }
        }
        let archive = Archive::open(&config.store)?;
        let certificate = https::certificate(config.tls.clone())?;
        let audit = AuditLog::start(&config.audit, metrics.audit_events.clone())?;
        let audit = Arc::new(audit);
        let door = door(&config, &client, archive.library()).await?;
        let limits = config.limits;
        let [requests, streams, followers] = places(limits, &metrics);
        let desk = Desk {
            library: archive.library().clone(),
            rights: Rights::new(client, limits.lookups_per_user_per_minute),
            audit: Arc::clone(&audit),
            metrics: Arc::clone(&metrics),
            requests,
        };
        let parts = Parts {
            door: Arc::new(door),
            desk,
            streams,
            followers,
            url: config.url.as_str().into(),
            audience: config.tokens.as_deref().map(Into::into),
            draining: shutdown.draining.clone(),
        };
        if !web::has_player() {
            tracing::warn!("built without frontdoor/replay/player: pages show no recording");
        }
        let listener = listen(config.listen).await?;
        let admin = listen(config.admin).await?;
        Ok(Self {
            config,
            listener,
            admin,
            certificate,
            parts,
            archive,
            audit,
            metrics,
            shutdown,
        })
    }

    /// Serves until `draining`. Requests under way then have the configured time to end, unless `stopped`
    /// comes first.
    async fn run(self) -> Result<(), Error> {
        let (listen, admin_address) = (address(&self.listener), address(&self.admin));
        tracing::info!(%listen, %admin_address, "serving");
        let served = CancellationToken::new();
        let metrics = Arc::clone(&self.metrics);
        let told = Admin {
            metrics: Arc::new(move || metrics.render()),
            ready: Ready::default(),
            draining: self.shutdown.draining.clone(),
            bounds: self.config.admin_connections,
            refused: self.metrics.refused_connections.clone(),
        };
        let admin = admin::serve(self.admin, told, served.clone());
        let refused = self.metrics.refused_connections.clone();
        let slots = ConnectionSlots::new("page", self.config.connections, refused);
        let pages = TaskTracker::new();
        let listener = (self.listener, slots);
        let shutdown = self.shutdown.clone();
        pages.spawn(web::serve(listener, self.certificate, self.parts, shutdown));
        pages.close();
        let serve = async {
            self.shutdown.draining.cancelled().await;
            let ended = async { pages.wait().await };
            let limit = self.config.drain;
            self.shutdown.drain(limit, ended, || pages.len()).await;
            served.cancel();
        };
        tokio::join!(admin, serve);
        self.audit.finish().await;
        drop(self.archive);
        tracing::info!("stopped");
        Ok(())
    }
}

/// The places for requests, for streams and for followers.
fn places(limits: Limits, metrics: &Metrics) -> [Arc<Places>; 3] {
    let Limits {
        requests,
        requests_per_user,
        streams,
        streams_per_user,
        followers,
        followers_per_user,
        ..
    } = limits;
    [
        (
            Kind::REQUESTS,
            requests,
            requests_per_user,
            &metrics.requests,
        ),
        (Kind::STREAMS, streams, streams_per_user, &metrics.streams),
        (
            Kind::FOLLOWERS,
            followers,
            followers_per_user,
            &metrics.followers,
        ),
    ]
    .map(|(kind, all, each, taken)| Arc::new(Places::new(kind, all, each, taken.clone())))
}

/// Who lets visitors in.
async fn door(config: &Config, client: &Client, library: &Library) -> Result<Door, Error> {
    let key = config.key.load(client).await?;
    let tokens = config.tokens.clone();
    let tokens = tokens.map(|audience| TokenUsers::new(client.clone(), audience));
    let refused = config.limits.refused_per_minute_and_address;
    let library = library.clone();
    Ok(Door::new(key, library, tokens, refused, config.session))
}
