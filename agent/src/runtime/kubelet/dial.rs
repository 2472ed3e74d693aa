//! TLS connections to the local kubelet, verified as `trust` says. On a core that has sessions, some are
//! opened ahead.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use podgate_process::mtls;
use podgate_process::reload::Reloaded;

use super::config::Config;

/// A connection to the kubelet.
pub(super) type Connection = TlsStream<TcpStream>;

/// For TCP connect and TLS handshake together. The kubelet is on this node.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections kept open ahead on a core that has sessions.
const WARM: usize = 2;
/// The greatest age of a connection without a request. A kubelet closes one after 32 s (its
/// ReadHeaderTimeout).
const WARM_AGE: Duration = Duration::from_secs(25);

/// Why there is no connection to the kubelet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// Host and port of the configured URL.
        address: String,
        source: std::io::Error,
    },
    #[error("TLS with {address} as {name}: {source}")]
    Tls {
        address: String,
        /// The name that its certificate should have.
        name: String,
        source: std::io::Error,
    },
    #[error("{0} did not answer within {DIAL_TIMEOUT:?}")]
    Timeout(String),
}

/// Dials the kubelet.
#[derive(Debug)]
pub(super) struct Dialer {
    address: String,
    name: ServerName<'static>,
    tls: Reloaded<ClientConfig, mtls::Error>,
    /// Opened ahead, the oldest first.
    ready: Mutex<VecDeque<(Instant, Connection)>>,
    /// Notified when a connection was taken.
    taken: Notify,
}

impl Dialer {
    /// Reads the TLS files and begins to open connections ahead, until `stopped`.
    pub(super) fn start(
        config: &Config,
        tasks: &TaskTracker,
        stopped: &CancellationToken,
    ) -> Result<Arc<Self>, mtls::Error> {
        let files: Vec<PathBuf> = config
            .trust
            .file()
            .cloned()
            .into_iter()
            .chain(
                config
                    .client
                    .iter()
                    .flat_map(|c| [c.cert.clone(), c.key.clone()]),
            )
            .collect();
        let read = config.clone();
        let dialer = Arc::new(Self {
            address: config.address.clone(),
            name: config.server_name.clone(),
            tls: Reloaded::load(files, move || client_config(&read))?,
            ready: Mutex::default(),
            taken: Notify::new(),
        });
        let ahead = Arc::clone(&dialer);
        let stopped = stopped.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                () = ahead.open_ahead() => {}
            }
        });
        Ok(dialer)
    }

    /// A connection on which nothing was sent yet.
    pub(super) async fn connect(&self) -> Result<Connection, Error> {
        self.taken.notify_one();
        while let Some((opened, connection)) = self.take() {
            if opened.elapsed() < WARM_AGE
                && let Some(connection) = alive(connection).await
            {
                return Ok(connection);
            }
        }
        self.dial().await
    }

    async fn dial(&self) -> Result<Connection, Error> {
        let address = || self.address.clone();
        let connect = async {
            let tcp = TcpStream::connect(&self.address)
                .await
                .map_err(|source| Error::Connect {
                    address: address(),
                    source,
                })?;
            // Without it a keystroke's frame would wait until the one before is acknowledged. A socket
            // that refuses the option still works.
            let _ = tcp.set_nodelay(true);
            let config = self.tls.current().await;
            TlsConnector::from(config)
                .connect(self.name.clone(), tcp)
                .await
                .map_err(|source| Error::Tls {
                    address: address(),
                    name: self.name.to_str().into_owned(),
                    source,
                })
        };
        timeout(DIAL_TIMEOUT, connect)
            .await
            .unwrap_or_else(|_| Err(Error::Timeout(address())))
    }

    fn ready(&self) -> MutexGuard<'_, VecDeque<(Instant, Connection)>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<(Instant, Connection)> {
        self.ready().pop_front()
    }

    /// Opens new connections for those that are taken, and drops those that are too old.
    async fn open_ahead(&self) {
        loop {
            let oldest = self.ready().front().map(|(opened, _)| *opened);
            tokio::select! {
                () = self.taken.notified() => self.refill().await,
                () = until(oldest) => drop(self.take()),
            }
        }
    }

    async fn refill(&self) {
        while self.ready().len() < WARM {
            match self.dial().await {
                Ok(connection) => self.ready().push_back((Instant::now(), connection)),
                Err(error) => {
                    tracing::debug!(%error, "no kubelet connection opened ahead");
                    return;
                }
            }
        }
    }
}

/// Waits until a connection that was opened at this time is too old.
async fn until(opened: Option<Instant>) {
    match opened {
        Some(opened) => sleep_until(opened + WARM_AGE).await,
        None => std::future::pending().await,
    }
}

/// Gives the connection back if the kubelet has neither closed it nor sent anything on it. The read
/// also consumes the session tickets that follow a handshake.
async fn alive(mut connection: Connection) -> Option<Connection> {
    let mut byte = [0; 1];
    let quiet = std::future::poll_fn(|cx| {
        let mut buffer = ReadBuf::new(&mut byte);
        Poll::Ready(
            std::pin::Pin::new(&mut connection)
                .poll_read(cx, &mut buffer)
                .is_pending(),
        )
    })
    .await;
    quiet.then_some(connection)
}

/// The TLS configuration, from the files as they are now.
pub(super) fn client_config(config: &Config) -> Result<ClientConfig, mtls::Error> {
    let builder = config.trust.client()?;
    let mut tls = match &config.client {
        Some(client) => builder.with_client_auth_cert(
            mtls::certificates(&client.cert)?,
            mtls::private_key(&client.key)?,
        )?,
        None => builder.with_no_client_auth(),
    };
    // Only HTTP/1.1 has upgrades.
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(tls)
}
