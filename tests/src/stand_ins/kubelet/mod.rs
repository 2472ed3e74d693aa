//! A stand-in for the kubelet's front: TLS, access, `/exec`, `/portForward`, `/pods` and `/healthz`, answered as
//! a kubelet 1.36 does. Behind it stands a real containerd or the embedded runtime.

mod access;
mod damage;
mod exec;
mod faults;
mod port_forward;
mod relay;
mod routes;
mod upgrade;

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use crate::stand_ins::listener::Leg;
pub use access::{Access, Delegate};
pub use faults::{ExecFault, Faults, ServerCertificate};

use crate::fixtures::pki::Pki;
use crate::real::containerd::Containerd;
use crate::stand_ins::cluster::Cluster;
use crate::stand_ins::embedded::Embedded;
use crate::stand_ins::listener::Listener;

/// What runs the commands.
#[derive(Clone)]
pub enum Runtime {
    /// A real containerd, through its CRI streaming server.
    Containerd(Arc<Containerd>),
    /// Plain processes of this machine.
    Embedded(Arc<Embedded>),
}

/// One node's kubelet; stops on drop.
pub struct Kubelet {
    listener: Listener,
    address: IpAddr,
    front: Arc<Front>,
}

/// What all requests share.
struct Front {
    node: String,
    cluster: Cluster,
    access: Access,
    faults: Arc<Faults>,
    certificates: Certificates,
    /// `None` once the kubelet is dropped, so that no request keeps the runtime alive.
    runtime: Mutex<Option<Runtime>>,
    open_execs: watch::Sender<usize>,
    total_execs: AtomicUsize,
    pods_requests: AtomicUsize,
}

struct Certificates {
    good: Shown,
    untrusted: Shown,
    wrong_name: Shown,
}

/// A certificate that is shown.
struct Shown {
    pem: String,
    tls: Arc<ServerConfig>,
}

impl Certificates {
    fn shown(&self, certificate: ServerCertificate) -> &Shown {
        match certificate {
            ServerCertificate::Good => &self.good,
            ServerCertificate::Untrusted => &self.untrusted,
            ServerCertificate::WrongName => &self.wrong_name,
        }
    }
}

impl Kubelet {
    /// The kubelet of `node` on a free port of 127.0.0.1. It serves the cluster's pods of that
    /// node. Its certificate names the node and nothing else, so a client must verify against
    /// the node's name.
    ///
    /// # Errors
    /// When no port or certificate is to be had.
    pub async fn start(node: &str, cluster: Cluster, pki: &Pki, runtime: Runtime) -> Result<Self> {
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
        Self::start_at(address, node, cluster, pki, runtime).await
    }

    /// The same on another address; port 0 is a free one.
    ///
    /// # Errors
    /// As of [`start`](Self::start).
    pub async fn start_at(
        address: SocketAddrV4,
        node: &str,
        cluster: Cluster,
        pki: &Pki,
        runtime: Runtime,
    ) -> Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Self::start_on(listener, node, cluster, pki, runtime)
    }

    /// The same on a socket that listens already, maybe in another network. It cannot restart there.
    ///
    /// # Errors
    /// As of [`start`](Self::start).
    pub fn start_on(
        listener: TcpListener,
        node: &str,
        cluster: Cluster,
        pki: &Pki,
        runtime: Runtime,
    ) -> Result<Self> {
        let other = Pki::new()?;
        let address = listener.local_addr()?.ip();
        let ip = address.to_string();
        let config = |signer: &Pki, names: &[&str]| -> Result<Shown> {
            let issued = signer.issue(names)?;
            let tls = Arc::new(pki.server_config(&issued)?);
            let pem = issued.cert_pem;
            Ok(Shown { pem, tls })
        };
        let front = Arc::new(Front {
            node: node.to_owned(),
            cluster,
            access: Access::new(pki.clients()?),
            faults: Arc::default(),
            certificates: Certificates {
                good: config(pki, &[node, &ip])?,
                untrusted: config(&other, &[node, &ip])?,
                wrong_name: config(pki, &[&format!("not-{node}")])?,
            },
            runtime: Mutex::new(Some(runtime)),
            open_execs: watch::Sender::new(0),
            total_execs: AtomicUsize::new(0),
            pods_requests: AtomicUsize::new(0),
        });
        let listener = Listener::on(front.clone(), listener)?;
        Ok(Self {
            listener,
            front,
            address,
        })
    }

    /// Its port; it stays the same over a restart.
    pub fn port(&self) -> u16 {
        self.listener.port()
    }

    /// `https://<address>:<port>`
    pub fn url(&self) -> String {
        format!("https://{}:{}", self.address, self.port())
    }

    /// The node's name: what the certificate is for.
    pub fn node(&self) -> &str {
        &self.front.node
    }

    /// The file that a kubelet keeps its certificate in, for the node to read.
    pub fn certificate_pem(&self, certificate: ServerCertificate) -> &str {
        &self.front.certificates.shown(certificate).pem
    }

    /// Who may do what.
    pub fn access(&self) -> &Access {
        &self.front.access
    }

    /// What is broken.
    pub fn faults(&self) -> &Faults {
        &self.front.faults
    }

    /// How the listener treats those who dial; returns once it holds.
    ///
    /// # Errors
    /// When the port was lost to another process in between.
    pub async fn set_leg(&self, leg: Leg) -> Result<()> {
        self.listener.set_leg(leg).await
    }

    /// Drops every connection at once, execs too; the socket stays open.
    ///
    /// # Errors
    /// Never while this value lives.
    pub async fn cut(&self) -> Result<()> {
        self.listener.cut().await
    }

    /// Restarts: every connection is dropped, and the same port listens again on return.
    ///
    /// # Errors
    /// When the port was lost to another process in between.
    pub async fn restart(&self) -> Result<()> {
        self.listener.restart().await
    }

    /// Execs that were answered 101 and whose connection is still open.
    pub fn open_execs(&self) -> usize {
        *self.front.open_execs.borrow()
    }

    /// Waits until exactly `count` execs are open.
    pub async fn until_open_execs(&self, count: usize) {
        // The sender is in `self`, so this ends only with the right count.
        let _ = self
            .front
            .open_execs
            .subscribe()
            .wait_for(|open| *open == count)
            .await;
    }

    /// Execs answered 101 since the start.
    pub fn total_execs(&self) -> usize {
        self.front.total_execs.load(Ordering::SeqCst)
    }

    /// Requests for `/pods` that passed access since the start.
    pub fn pods_requests(&self) -> usize {
        self.front.pods_requests.load(Ordering::SeqCst)
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.front
            .runtime
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}
