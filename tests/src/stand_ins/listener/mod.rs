//! A TLS listener on a free port of the loopback that tests can break: close, mute, restart. Every
//! connection, upgraded or not, is a tracked task under one token, so all of them end when the value is
//! dropped.

mod long_uri;

use std::convert::Infallible;
use std::future::{Future, pending};
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use long_uri::QUERY;
use long_uri::{MAX_HEAD, bearable};

/// How a listener treats those who dial it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Leg {
    /// Answers.
    #[default]
    Up,
    /// The socket is closed: dialling is refused. Connections that are open stay.
    Refused,
    /// Accepts and never answers the TLS handshake, nor any request on an open connection.
    TlsSilent,
    /// Shakes hands and never answers a request, also on open connections.
    HttpSilent,
}

/// The other end of a connection.
#[derive(Clone)]
pub(crate) struct Peer {
    /// The chain the client showed, unchecked; often empty.
    pub(crate) certificates: Arc<Vec<CertificateDer<'static>>>,
    open: Open,
}

impl Peer {
    /// Runs what an upgraded connection needs; it is dropped with the connection's generation.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.open.spawn(task);
    }
}

/// What answers the requests.
pub(crate) trait Service: Send + Sync + 'static {
    /// What an answer carries.
    type Body: Body<Data = Bytes, Error = Infallible> + Send + 'static;

    /// Asked at each handshake, so that a certificate can change at run time.
    fn tls(&self) -> Arc<ServerConfig>;

    /// Answers one request.
    fn answer(
        self: Arc<Self>,
        peer: Peer,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// The listener; stops on drop.
pub(crate) struct Listener {
    port: u16,
    orders: mpsc::Sender<Order>,
    stop: CancellationToken,
}

struct Order {
    what: What,
    done: oneshot::Sender<Result<()>>,
}

#[derive(Clone, Copy)]
enum What {
    Leg(Leg),
    Cut,
    Restart,
}

impl Listener {
    pub(crate) async fn start<S: Service>(service: Arc<S>, address: SocketAddrV4) -> Result<Self> {
        Self::on(service, TcpListener::bind(address).await?)
    }

    /// The same on a socket that listens already.
    pub(crate) fn on<S: Service>(service: Arc<S>, listener: TcpListener) -> Result<Self> {
        let address = listener.local_addr()?;
        let (orders, receiver) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let accept = Accept {
            address,
            socket: Socket::Listening(listener),
            leg: watch::Sender::new(Leg::Up),
            open: Open::under(&stop),
            stop: stop.clone(),
            service,
        };
        tokio::spawn(accept.run(receiver));
        Ok(Self {
            port: address.port(),
            orders,
            stop,
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns once the new state holds.
    pub(crate) async fn set_leg(&self, leg: Leg) -> Result<()> {
        self.order(What::Leg(leg)).await
    }

    /// Drops every connection; returns when they are gone.
    pub(crate) async fn cut(&self) -> Result<()> {
        self.order(What::Cut).await
    }

    /// Closes the socket, drops every connection and listens again.
    pub(crate) async fn restart(&self) -> Result<()> {
        self.order(What::Restart).await
    }

    async fn order(&self, what: What) -> Result<()> {
        let (done, answer) = oneshot::channel();
        self.orders
            .send(Order { what, done })
            .await
            .context("the listener has stopped")?;
        answer.await.context("the listener has stopped")?
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The connections that one restart drops together.
#[derive(Clone)]
struct Open {
    cut: CancellationToken,
    tasks: TaskTracker,
}

impl Open {
    fn under(stop: &CancellationToken) -> Self {
        Self {
            cut: stop.child_token(),
            tasks: TaskTracker::new(),
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let cut = self.cut.clone();
        self.tasks.spawn(async move {
            cut.run_until_cancelled(task).await;
        });
    }

    async fn drop_all(self) {
        self.cut.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

enum Socket {
    Listening(TcpListener),
    /// Bound and not listening: dialling is refused, and nobody else gets the port.
    Reserved(TcpSocket),
    /// The port was lost while reopening.
    Lost,
}

impl Socket {
    async fn accept(&self) -> std::io::Result<TcpStream> {
        match self {
            Self::Listening(listener) => Ok(listener.accept().await?.0),
            Self::Reserved(_) | Self::Lost => pending().await,
        }
    }
}

struct Accept<S> {
    address: SocketAddr,
    socket: Socket,
    leg: watch::Sender<Leg>,
    open: Open,
    stop: CancellationToken,
    service: Arc<S>,
}

impl<S: Service> Accept<S> {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                order = orders.recv() => {
                    let Some(order) = order else { return };
                    let result = self.obey(order.what).await;
                    // The caller may have stopped waiting.
                    let _ = order.done.send(result);
                }
                accepted = self.socket.accept() => match accepted {
                    Ok(tcp) => self.take(tcp),
                    // Usually there are no descriptors left: some connections must end first.
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                },
            }
        }
    }

    async fn obey(&mut self, what: What) -> Result<()> {
        match what {
            What::Leg(leg) => {
                self.leg.send_replace(leg);
                if leg == Leg::Refused {
                    self.close()
                } else {
                    self.listen()
                }
            }
            What::Cut => {
                self.cut().await;
                Ok(())
            }
            What::Restart => {
                self.close()?;
                self.cut().await;
                self.leg.send_replace(Leg::Up);
                self.listen()
            }
        }
    }

    async fn cut(&mut self) {
        std::mem::replace(&mut self.open, Open::under(&self.stop))
            .drop_all()
            .await;
    }

    fn close(&mut self) -> Result<()> {
        if let Socket::Listening(listener) = &self.socket {
            // Closing alone is not enough: a child that another thread has just forked holds the
            // descriptor until it executes its program, and the port listens on.
            rustix::net::shutdown(listener, rustix::net::Shutdown::Both)?;
            self.socket = Socket::Lost;
            self.socket = Socket::Reserved(self.reserve()?);
        }
        Ok(())
    }

    fn listen(&mut self) -> Result<()> {
        self.socket = match std::mem::replace(&mut self.socket, Socket::Lost) {
            Socket::Listening(listener) => Socket::Listening(listener),
            Socket::Reserved(socket) => Socket::Listening(socket.listen(1024)?),
            Socket::Lost => Socket::Listening(self.reserve()?.listen(1024)?),
        };
        Ok(())
    }

    fn reserve(&self) -> Result<TcpSocket> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket
            .bind(self.address)
            .with_context(|| format!("binding {} again", self.address))?;
        Ok(socket)
    }

    fn take(&self, tcp: TcpStream) {
        let (service, leg) = (self.service.clone(), self.leg.subscribe());
        self.open
            .spawn(connection(tcp, service, leg, self.open.clone()));
    }
}

async fn connection<S: Service>(
    tcp: TcpStream,
    service: Arc<S>,
    leg: watch::Receiver<Leg>,
    open: Open,
) {
    if tcp.set_nodelay(true).is_err() {
        return;
    }
    if *leg.borrow() == Leg::TlsSilent {
        return swallow(tcp).await;
    }
    let Ok(tls) = TlsAcceptor::from(service.tls()).accept(tcp).await else {
        return;
    };
    if *leg.borrow() == Leg::HttpSilent {
        return swallow(tls).await;
    }
    let certificates = tls
        .get_ref()
        .1
        .peer_certificates()
        .unwrap_or_default()
        .to_vec();
    let peer = Peer {
        certificates: Arc::new(certificates),
        open,
    };
    let Ok(stream) = bearable(tls).await else {
        return;
    };
    let answer = service_fn(move |request| {
        let (service, peer, leg) = (service.clone(), peer.clone(), leg.clone());
        async move {
            if matches!(*leg.borrow(), Leg::TlsSilent | Leg::HttpSilent) {
                pending::<()>().await;
            }
            let upgrade = request.extensions().get::<OnUpgrade>().cloned();
            let open = peer.open.clone();
            let answer = service.answer(peer, request).await;
            if let Some(upgrade) = upgrade
                && answer.status() != StatusCode::SWITCHING_PROTOCOLS
            {
                open.spawn(close_refused(upgrade));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    // This ends when the client has gone, and nobody is left to be told of an error.
    let _ = hyper::server::conn::http1::Builder::new()
        .title_case_headers(true)
        .max_buf_size(2 * MAX_HEAD)
        .serve_connection(TokioIo::new(stream), answer)
        .with_upgrades()
        .await;
}

/// hyper hands the stream over at the end of a connection on which an upgrade was asked for, also
/// if it was refused, and leaves its clean end to us.
async fn close_refused(upgrade: OnUpgrade) {
    if let Ok(upgraded) = upgrade.await {
        // The client may have gone first.
        let _ = TokioIo::new(upgraded).shutdown().await;
    }
}

/// Reads to the end and answers nothing.
async fn swallow(mut from: impl AsyncRead + Unpin) {
    let mut buffer = [0; 4096];
    while matches!(from.read(&mut buffer).await, Ok(1..)) {}
}
