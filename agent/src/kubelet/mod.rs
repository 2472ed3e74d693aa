//! The kubelet of this node: runs programs in its containers over SPDY/3.1, sub-protocol v4, and
//! says which containers live. Nothing is started before the live container is the granted one.

pub mod dial;
pub mod exec;
pub mod hangup;
mod launch;
pub mod pods;
pub mod spdy;
pub mod status;
mod stty;
mod trust;
pub mod upgrade;
pub mod wrapper;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use podgate_process::mtls;
use podgate_proto::v1::Exec;

use crate::grant::{self, Deny, Granted};
use dial::Dialer;
pub use launch::{Late, NotStarted, Started};
use pods::Pods;
pub use pods::Recent;
pub use trust::Trust;

/// From the request to the running program. The user hears of a failed leg within 10 s.
pub(crate) const START_TIMEOUT: Duration = Duration::from_secs(9);

/// How far the kubelet's list of pods may be behind its runtime, mostly.
const STATUS_LAG: Duration = Duration::from_millis(300);
/// Between looks at whether running sessions' containers live; all sessions share an answer.
const WATCH: Duration = Duration::from_secs(1);

/// How to reach and to trust the kubelet, in checked form.
#[derive(Clone, Debug)]
pub struct Config {
    /// Host and port to dial.
    pub address: String,
    /// Its name: what its certificate must have, where a CA is trusted.
    pub server_name: ServerName<'static>,
    /// Which certificate is trusted.
    pub trust: Trust,
    /// A file with a bearer token, read anew for each request.
    pub token_file: Option<PathBuf>,
    /// A certificate to show instead of a token, or beside it.
    pub client: Option<ClientFiles>,
}

/// A client certificate and its key, PEM.
#[derive(Clone, Debug)]
pub struct ClientFiles {
    /// The certificate chain.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Why a program did not come to run.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error(transparent)]
    Dial(#[from] dial::Error),
    #[error(transparent)]
    Upgrade(#[from] upgrade::Error),
    #[error(transparent)]
    Pods(#[from] pods::Error),
    #[error(transparent)]
    Denied(#[from] grant::Error),
    #[error(transparent)]
    Exec(#[from] exec::Error),
    #[error(transparent)]
    Command(#[from] wrapper::Error),
    #[error("cannot read the kubelet token {path}: {source}")]
    Token {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the runtime could not start the program: {0}")]
    Runtime(String),
    #[error("the image's shell ended with status {0} before it ran anything")]
    Wrapper(u8),
    #[error("the image has no shell")]
    NoShell,
    #[error("the hang-up script ended with status {0}")]
    HangUp(u8),
    #[error("the hang-up script did not end in time")]
    HangUpTimeout,
    #[error("the program did not start within {START_TIMEOUT:?}")]
    StartTimeout,
}

impl Error {
    /// Whether it says that the granted container is no more.
    pub(crate) fn container_gone(&self) -> bool {
        match self {
            Self::Pods(error) => error.container_gone(),
            Self::Upgrade(upgrade::Error::Refused { status, text }) => {
                *status == 404 || text.starts_with("container not found")
            }
            _ => false,
        }
    }
}

/// A client of the kubelet; one a core.
#[derive(Debug)]
pub struct Kubelet {
    config: Config,
    deny: Deny,
    dialer: Arc<Dialer>,
    pods: Pods,
}

impl Kubelet {
    /// Reads the TLS files; connections are opened ahead on `tasks`, until `stopped`.
    pub fn start(
        config: Config,
        deny: Deny,
        recent: Arc<Recent>,
        tasks: &TaskTracker,
        stopped: &CancellationToken,
    ) -> Result<Self, mtls::Error> {
        let dialer = Dialer::start(&config, tasks, stopped)?;
        let host = config.server_name.to_str().into_owned();
        let (tasks, stopped) = (tasks.clone(), stopped.clone());
        let pods = Pods::new(Arc::clone(&dialer), host, tasks, stopped, recent);
        Ok(Self {
            config,
            deny,
            dialer,
            pods,
        })
    }

    /// Whether the TLS files make a client. Says so where nothing is verified.
    pub fn check(config: &Config) -> Result<(), mtls::Error> {
        if config.trust == Trust::Anything {
            tracing::warn!(
                address = config.address,
                "the kubelet's certificate is not verified: whoever answers there gets this agent's token"
            );
        }
        dial::client_config(config).map(drop)
    }

    /// Starts a session's program behind the wrapper.
    pub async fn launch(
        &self,
        granted: &Granted,
        session: &str,
        exec: &Exec,
        deadline: Instant,
    ) -> Result<Started, NotStarted> {
        launch::start(self, granted, session, exec, deadline).await
    }

    /// Starts a program by its words, in an image without a shell.
    pub async fn launch_words(
        &self,
        granted: &Granted,
        words: &[String],
        exec: &Exec,
        deadline: Instant,
    ) -> Result<(exec::Input, exec::Output), Error> {
        launch::open(self, granted, words, exec, deadline).await
    }

    /// Waits until the granted container is no more, and says why. A kubelet that does not answer
    /// says nothing of its containers.
    pub async fn until_gone(&self, granted: &Granted) -> pods::Error {
        loop {
            sleep(WATCH).await;
            let live = match self.pods.recently(granted, WATCH) {
                Some(live) => live,
                // Boxed: every session waits here, and few ask at a time.
                None => match self.token() {
                    Ok(token) => Box::pin(self.pods.check(granted, token.as_deref()))
                        .await
                        .map(drop),
                    Err(_) => continue,
                },
            };
            match live {
                Err(error) if error.container_gone() => return error,
                _ => {}
            }
        }
    }

    /// Why the granted container is no more, if the kubelet knows that.
    pub async fn is_gone(&self, granted: &Granted) -> Option<pods::Error> {
        let token = self.token().ok()?;
        let live = self.pods.check(granted, token.as_deref()).await;
        live.err().filter(pods::Error::container_gone)
    }

    async fn exec(
        &self,
        granted: &Granted,
        argv: &[String],
        tty: bool,
    ) -> Result<(exec::Input, exec::Output), Error> {
        let token = self.token()?;
        let path = upgrade::exec_path(
            &granted.namespace,
            &granted.pod,
            &granted.uid,
            &granted.container,
            argv,
            tty,
        );
        let mut connection = self.dialer.connect().await?;
        let host = self.config.server_name.to_str();
        let bytes = upgrade::upgrade(&mut connection, &host, &path, token.as_deref()).await?;
        // By now the kubelet has bound the connection to one container, but the runtime starts
        // nothing until the streams are there. A pod of another UID is never entered: the list of
        // pods is what the exec's path was looked up in. Container ids in it are as the kubelet last
        // reported them, a moment behind a restart, so a first mismatch is looked at again.
        let live = match self.pods.check(granted, token.as_deref()).await {
            Err(pods::Error::NotRunning | pods::Error::Restarted) => {
                sleep(STATUS_LAG).await;
                self.pods.check(granted, token.as_deref()).await?
            }
            checked => checked?,
        };
        grant::check_facts(&self.deny, &live)?;
        Ok(exec::open(connection, bytes, tty).await?)
    }

    fn token(&self) -> Result<Option<String>, Error> {
        let Some(path) = &self.config.token_file else {
            return Ok(None);
        };
        let token = std::fs::read_to_string(path).map_err(|source| Error::Token {
            path: path.clone(),
            source,
        })?;
        Ok(Some(token.trim().to_owned()))
    }
}
