//! Connects to an address as a pod reaches it: by a worker in its network where the node entry starts
//! one, else by the kubelet. What a name leads to is checked, and what was checked is dialled.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use podgate_proto::v1::TcpAddress;
use podgate_proto::v1::address::Address as Kind;
use podgate_worker::sockets::Transport;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::maker::{self, Maker};
use super::makers::{Makers, no_worker};
use super::refused::Refused;
use super::request::DialRequest;
use super::resolve::{self, resolve};
use super::socket::Socket;
use super::words::words;
use crate::connection::Connection;
use crate::files::NoWorker;
use crate::grant::Granted;
use crate::refusal::Refusal;
use crate::runtime::START_TIMEOUT;
use crate::runtime::dialer::{self, Dialer};

/// Between two attempts at a unix socket whose queue is full.
const PAUSE: Duration = Duration::from_millis(20);

/// Why no connection stands.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Dialer(#[from] dialer::Error),
    #[error("connections to {0} are refused here (forwards.refuse)")]
    Address(IpAddr),
    #[error("the connection could not be opened: {0}")]
    Worker(NoWorker),
    /// The kubelet can stand in for a worker, but not for this address.
    #[error("on the pod's node only 127.0.0.1 and localhost of the pod can be reached: {0}")]
    OnlyKubelet(NoWorker),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Dialer(error) => error.into(),
            Error::Address(_) => Self::denied(message),
            Error::Worker(error) | Error::OnlyKubelet(error) => no_worker(error, message),
        }
    }
}

/// Why a worker's attempt failed.
enum Failed {
    /// The worker has ended; another may do it.
    Lost,
    Otherwise(Error),
}

impl From<maker::Error> for Failed {
    fn from(error: maker::Error) -> Self {
        match error {
            maker::Error::Lost => Self::Lost,
            maker::Error::System(error) => error.into(),
        }
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        not_connected(words(&error))
    }
}

fn not_connected(words: String) -> Failed {
    Failed::Otherwise(dialer::Error::NotConnected(words).into())
}

/// Opens connections; one a core.
#[derive(Clone, Debug)]
pub(super) struct Dials {
    pub(super) kubelet: Arc<dyn Dialer>,
    /// Where there is a node entry.
    pub(super) makers: Option<Arc<Makers>>,
}

impl Dials {
    /// Opens a connection; with it comes the word of what has opened it. `who` is the user, and the SSH
    /// connection.
    pub(super) async fn dial(
        &self,
        granted: &Granted,
        request: &DialRequest,
        who: (&str, &str),
    ) -> Result<(Connection, &'static str), Error> {
        let Some(makers) = &self.makers else {
            return self.by_kubelet(granted, request).await;
        };
        // A worker may have ended since it was used last.
        for _ in 0..2 {
            let maker = match makers.find(granted, who).await {
                Ok(maker) => maker,
                Err(error) if error.leaves_the_image() => {
                    tracing::info!(%error, "the kubelet is to open a connection");
                    return match self.by_kubelet(granted, request).await {
                        Err(Error::Dialer(dialer::Error::NeedsEntry))
                            if error.shows_the_container() =>
                        {
                            Err(Error::OnlyKubelet(error))
                        }
                        dialled => dialled,
                    };
                }
                Err(error) => return Err(Error::Worker(error)),
            };
            match by_worker(&maker, request).await {
                Ok(socket) => return Ok((socket.into_connection(), "direct")),
                Err(Failed::Otherwise(error)) => return Err(error),
                Err(Failed::Lost) => makers.forget(&maker),
            }
        }
        let words = maker::Error::Lost.to_string();
        Err(dialer::Error::NotConnected(words).into())
    }

    async fn by_kubelet(
        &self,
        granted: &Granted,
        request: &DialRequest,
    ) -> Result<(Connection, &'static str), Error> {
        // It reaches nothing else.
        let only = IpAddr::from(Ipv4Addr::LOCALHOST);
        let is_tcp = matches!(request.address().address, Some(Kind::Tcp(_)));
        if is_tcp && request.refused().has(only) {
            return Err(Error::Address(only));
        }
        let dialled = self.kubelet.dial(granted, request.address()).await?;
        Ok((dialled, "kubelet"))
    }
}

async fn by_worker(maker: &Maker, request: &DialRequest) -> Result<Socket, Failed> {
    let deadline = Instant::now() + START_TIMEOUT;
    let timed_out = || not_connected("connection timed out".to_owned());
    match &request.address().address {
        Some(Kind::Tcp(address)) => tcp(maker, address, request.refused(), deadline).await,
        Some(Kind::Unix(socket)) => {
            let connected = timeout_at(deadline, unix(maker, &socket.path));
            connected.await.unwrap_or_else(|_| Err(timed_out()))
        }
        Some(Kind::Agent(_)) | None => Err(timed_out()),
    }
}

async fn unix(maker: &Maker, path: &[u8]) -> Result<Socket, Failed> {
    loop {
        match maker.connect_unix(path).await {
            Err(maker::Error::System(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                sleep(PAUSE).await;
            }
            connected => return Ok(connected?),
        }
    }
}

/// Tries one address after the other, as sshd does.
async fn tcp(
    maker: &Maker,
    TcpAddress { host, port }: &TcpAddress,
    refused: &Refused,
    deadline: Instant,
) -> Result<Socket, Failed> {
    let found = match host.parse::<IpAddr>() {
        Ok(address) => vec![address.to_canonical()],
        Err(_) => match resolve(maker, host).await {
            Ok(found) => found,
            Err(resolve::Error::Maker(error)) => return Err(error.into()),
            Err(error) => return Err(not_connected(format!("{host}: {error}"))),
        },
    };
    let port = u16::try_from(*port).unwrap_or_default();
    let mut failed = not_connected("connection timed out".to_owned());
    let mut left = u32::try_from(found.len()).unwrap_or(u32::MAX);
    for address in found {
        let share = deadline.saturating_duration_since(Instant::now()) / left.max(1);
        left = left.saturating_sub(1);
        if refused.has(address) {
            failed = Failed::Otherwise(Error::Address(address));
            continue;
        }
        let to = SocketAddr::new(address, port);
        match timeout(share, one(maker, to, refused)).await {
            Ok(Err(Failed::Otherwise(error))) => failed = Failed::Otherwise(error),
            Ok(connected) => return connected,
            Err(_) => failed = not_connected("connection timed out".to_owned()),
        }
    }
    Err(failed)
}

async fn one(maker: &Maker, to: SocketAddr, refused: &Refused) -> Result<Socket, Failed> {
    let socket = maker.connect(Transport::Tcp, to).await?;
    let peer = socket.connected().await?.ip().to_canonical();
    if refused.has(peer) {
        return Err(Failed::Otherwise(Error::Address(peer)));
    }
    socket.no_delay()?;
    Ok(socket)
}
