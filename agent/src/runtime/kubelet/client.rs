//! A client of the kubelet: opens execs and port-forwards in granted containers, and says which containers live. No
//! exec's streams are opened before the live container is the granted one.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use podgate_process::mtls;
use podgate_proto::v1::Terminal;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::Config;
use super::dial::{self, Dialer};
use super::error::Error;
use super::pods::{self, Lists, Pods};
use super::token::TokenFile;
use super::upgrade;
use crate::connection::Connection;
use crate::exec::{self, port_forward};
use crate::grant::{self, Deny, Facts, Granted};
use crate::shell::hangup::{self, Script};
use crate::shell::sh;

/// How far the kubelet's list of pods usually is behind its runtime.
const STATUS_LAG: Duration = Duration::from_millis(300);
/// The pause between two checks whether the containers of running sessions live. All sessions share an
/// answer.
const WATCH: Duration = Duration::from_secs(1);
/// The limit for one exec of the hang-up script.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no client of the kubelet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Tls(#[from] mtls::Error),
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// A client of the kubelet. There is one per core.
#[derive(Debug)]
pub(super) struct Client {
    config: Config,
    deny: Deny,
    token: Option<TokenFile>,
    dialer: Arc<Dialer>,
    pods: Pods,
}

impl Client {
    /// Reads the TLS files. Connections are opened ahead on `tasks`, until `stopped`.
    pub(super) fn start(
        config: Config,
        deny: Deny,
        lists: Arc<Lists>,
        tasks: &TaskTracker,
        stopped: &CancellationToken,
    ) -> Result<Self, StartError> {
        let token = config.token_file.clone().map(TokenFile::new).transpose()?;
        let dialer = Dialer::start(&config, tasks, stopped)?;
        let host = config.server_name.to_str().into_owned();
        let (tasks, stopped) = (tasks.clone(), stopped.clone());
        let labels = deny.labels.keys().cloned().collect();
        let pods = Pods::new(Arc::clone(&dialer), host, tasks, stopped, lists, labels);
        Ok(Self {
            config,
            deny,
            token,
            dialer,
            pods,
        })
    }

    /// Starts a program by its words.
    pub(super) async fn exec(
        &self,
        granted: &Granted,
        argv: &[String],
        terminal: Option<&Terminal>,
    ) -> Result<(exec::Input, exec::Output), Error> {
        let path = upgrade::exec_path(
            &granted.namespace,
            &granted.pod,
            &granted.uid,
            &granted.container,
            argv,
            terminal.is_some(),
        );
        let (connection, bytes) = self.upgraded(granted, (&path, upgrade::EXEC)).await?;
        Ok(exec::open(connection, bytes, terminal).await?)
    }

    /// Connects to a port of the pod's loopback.
    pub(super) async fn port_forward(
        &self,
        granted: &Granted,
        port: u16,
    ) -> Result<Connection, Error> {
        let path = upgrade::port_forward_path(&granted.namespace, &granted.pod, &granted.uid);
        let asked = (path.as_str(), port_forward::PROTOCOL);
        let (connection, bytes) = self.upgraded(granted, asked).await?;
        Ok(port_forward::open(connection, bytes, port).await?)
    }

    /// Turns a connection into what is asked for by path and protocol. The bytes have come on it already.
    async fn upgraded(
        &self,
        granted: &Granted,
        asked: (&str, &str),
    ) -> Result<(dial::Connection, BytesMut), Error> {
        let token = self.token().await?;
        let mut connection = self.dialer.connect().await?;
        let host = self.config.server_name.to_str();
        let asked = upgrade::upgrade(&mut connection, &host, asked, token.as_deref()).await;
        let bytes = match asked {
            Err(error @ upgrade::Error::Refused { status: 404, .. }) => {
                // A kubelet that has just started refuses every pod.
                return match self.pods.check(granted, token.as_deref()).await {
                    Err(not_ready @ pods::Error::NoPods) => Err(not_ready.into()),
                    _ => Err(error.into()),
                };
            }
            asked => asked?,
        };
        // By now the kubelet has bound the connection to one container, but the runtime starts
        // nothing until the streams are there. A pod of another UID is never entered: the list of
        // pods is what the request's path was looked up in. Container ids in it are as the kubelet last
        // reported them, a moment behind a restart, so a first mismatch is looked at again.
        let live = match self.pods.check(granted, token.as_deref()).await {
            Err(pods::Error::NotRunning | pods::Error::Restarted) => {
                sleep(STATUS_LAG).await;
                self.pods.check(granted, token.as_deref()).await?
            }
            checked => checked?,
        };
        grant::check_facts(&self.deny, &live)?;
        Ok((connection, bytes))
    }

    /// Runs the hang-up script; `None` if the process is gone.
    pub(super) async fn run(
        &self,
        granted: &Granted,
        script: &Script,
    ) -> Result<Option<String>, Error> {
        let run = async {
            for shell in sh::NAMES {
                let argv = script.argv(shell);
                let (input, output) = self.exec(granted, &argv, None).await?;
                match hangup::answer(input, output).await {
                    Err(hangup::Error::NoShell) => {}
                    answer => return Ok(answer?),
                }
            }
            // In an image without a shell, no program was ever started by one.
            Ok(None)
        };
        timeout(SCRIPT_TIMEOUT, run)
            .await
            .unwrap_or(Err(Error::HangUpTimeout))
    }

    /// Whether the granted container lives, and what the kubelet says of its pod.
    pub(super) async fn live(&self, granted: &Granted) -> Result<Facts, Error> {
        let token = self.token().await?;
        Ok(self.pods.check(granted, token.as_deref()).await?)
    }

    /// Whether no rule of this node denies the granted pod.
    pub(super) async fn allows(&self, granted: &Granted) -> Result<(), Error> {
        if self.deny.needs_facts() {
            grant::check_facts(&self.deny, &self.live(granted).await?)?;
        }
        Ok(())
    }

    /// Waits until the granted container is no more, and says why. A kubelet that does not answer
    /// says nothing of its containers.
    pub(super) async fn until_gone(&self, granted: &Granted) -> pods::Error {
        loop {
            sleep(WATCH).await;
            let live = match self.pods.recently(granted, WATCH) {
                Some(live) => live.map_err(Error::Pods),
                // Boxed: every session waits here, and few ask at a time.
                None => Box::pin(self.live(granted)).await.map(drop),
            };
            match live {
                Err(Error::Pods(error)) if error.container_gone() => return error,
                _ => {}
            }
        }
    }

    async fn token(&self) -> Result<Option<String>, Error> {
        let Some(file) = &self.token else {
            return Ok(None);
        };
        let token = file.read().await.map_err(|source| Error::Token {
            path: file.path.clone(),
            source,
        })?;
        Ok(Some(token))
    }
}
