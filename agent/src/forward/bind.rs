//! Has a worker listen in a container: at addresses of its pod's network, or at a path of its own files. The
//! sockets are this agent's then; only a path needs the worker on, to be removed.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use podgate_proto::v1::address::Address as Kind;
use podgate_proto::v1::{Address, TcpAddress, UnixSocket};
use rustix::io::Errno;

use super::listener::Listener;
use super::maker::{self, Maker};
use super::makers::{Makers, no_worker};
use super::request::ListenRequest;
use super::resolve::{self, resolve};
use super::words::words;
use crate::files::NoWorker;
use crate::grant::Granted;
use crate::refusal::Refusal;

/// How often a port is chosen that is to be free in all families.
const CHOICES: usize = 8;

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(
        "listening in a pod (ssh -R, ssh -A) needs the node entry, which the pod's node does not have or which does not enter this container"
    )]
    NeedsEntry,
    /// With the system's words.
    #[error("{0}")]
    System(String),
    #[error("nothing can listen in the container: {0}")]
    Worker(NoWorker),
    #[error(transparent)]
    Lost(maker::Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::NeedsEntry => Self::needs_entry(message),
            Error::System(_) | Error::Lost(_) => Self::not_listening(message),
            Error::Worker(error) => no_worker(error, message),
        }
    }
}

/// Why a worker's attempt failed.
enum Failed {
    /// The worker has ended; another may do it.
    Lost,
    /// In the system's error, at an address.
    System(String, io::Error),
    Name(String),
}

impl Failed {
    fn at(address: impl ToString) -> impl FnOnce(maker::Error) -> Self {
        move |error| match error {
            maker::Error::Lost => Self::Lost,
            maker::Error::System(error) => Self::System(address.to_string(), error),
        }
    }

    fn is(&self, errors: &[Errno]) -> bool {
        matches!(self, Self::System(_, error)
            if Errno::from_io_error(error).is_some_and(|errno| errors.contains(&errno)))
    }
}

/// Sockets that listen.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) listeners: Vec<Listener>,
    /// With the port that was chosen, or the path.
    pub(super) address: Address,
    /// Whoever removes the path.
    remover: Option<Remover>,
}

#[derive(Debug)]
struct Remover {
    path: Vec<u8>,
    maker: Arc<Maker>,
}

/// Listens for a user on an SSH connection.
pub(super) async fn bind(
    makers: Option<&Makers>,
    granted: &Granted,
    request: &ListenRequest,
    who: (&str, &str),
) -> Result<Bound, Error> {
    let makers = makers.ok_or(Error::NeedsEntry)?;
    // A worker may have ended since it was used last.
    for _ in 0..2 {
        let maker = match makers.find(granted, who).await {
            Ok(maker) => maker,
            Err(error) if error.leaves_the_image() && !error.shows_the_container() => {
                tracing::info!(%error, "nothing can listen in the container");
                return Err(Error::NeedsEntry);
            }
            Err(error) => return Err(Error::Worker(error)),
        };
        match by_worker(&maker, request).await {
            Ok(bound) => return Ok(bound),
            Err(Failed::System(address, error)) => {
                return Err(Error::System(format!("{address}: {}", words(&error))));
            }
            Err(Failed::Name(words)) => return Err(Error::System(words)),
            Err(Failed::Lost) => makers.forget(&maker),
        }
    }
    Err(Error::Lost(maker::Error::Lost))
}

async fn by_worker(maker: &Arc<Maker>, request: &ListenRequest) -> Result<Bound, Failed> {
    let at_path = |listener, path: Vec<u8>| Bound {
        listeners: vec![listener],
        address: Address {
            address: Some(Kind::Unix(UnixSocket {
                path: path.clone().into(),
            })),
        },
        remover: Some(Remover {
            path,
            maker: Arc::clone(maker),
        }),
    };
    match request {
        ListenRequest::Tcp { host, port } => tcp(maker, host, *port).await,
        ListenRequest::Unix { path, replace } => {
            let listener = maker.listen_unix(path, *replace).await;
            let listener = listener.map_err(Failed::at(path.escape_ascii()))?;
            Ok(at_path(listener, path.clone()))
        }
        ListenRequest::Agent => {
            let made = maker.listen_agent().await;
            let (path, listener) = made.map_err(Failed::at("no folder for the agent's socket"))?;
            Ok(at_path(listener, path))
        }
    }
}

/// Listens at all addresses that a host stands for, with one port.
async fn tcp(maker: &Maker, host: &str, port: u16) -> Result<Bound, Failed> {
    let addresses = match host {
        "" => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
        "localhost" => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        host => match host.parse::<IpAddr>() {
            Ok(address) => vec![address.to_canonical()],
            Err(_) => match resolve(maker, host).await {
                Ok(found) => found,
                Err(resolve::Error::Maker(error)) => return Err(Failed::at(host)(error)),
                Err(error) => return Err(Failed::Name(format!("{host}: {error}"))),
            },
        },
    };
    let mut choices = 1..CHOICES;
    let (listeners, port) = loop {
        match all(maker, &addresses, port).await {
            // The port that is free in one family is not in the other.
            Err(failed)
                if port == 0 && failed.is(&[Errno::ADDRINUSE]) && choices.next().is_some() => {}
            bound => break bound?,
        }
    };
    let tcp = TcpAddress {
        host: host.to_owned(),
        port: port.into(),
    };
    Ok(Bound {
        listeners,
        address: Address {
            address: Some(Kind::Tcp(tcp)),
        },
        remover: None,
    })
}

/// One listener for each address. A pod may have no address of a family; it has one of them.
async fn all(
    maker: &Maker,
    addresses: &[IpAddr],
    mut port: u16,
) -> Result<(Vec<Listener>, u16), Failed> {
    let mut listeners = Vec::new();
    let mut absent = None;
    for address in addresses {
        let address = SocketAddr::new(*address, port);
        match maker.listen(address).await.map_err(Failed::at(address)) {
            Ok((listener, chosen)) => {
                port = chosen;
                listeners.push(listener);
            }
            Err(failed) if failed.is(&[Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL]) => {
                absent = Some(failed);
            }
            Err(failed) => return Err(failed),
        }
    }
    match absent {
        Some(failed) if listeners.is_empty() => Err(failed),
        _ => Ok((listeners, port)),
    }
}

impl Bound {
    /// Removes the path, by another worker if the one that made it is gone. What cannot be removed now is
    /// known by its mark to the next worker that wants the path.
    pub(super) async fn remove(
        self,
        makers: Option<&Makers>,
        granted: &Granted,
        who: (&str, &str),
    ) {
        let Self {
            listeners, remover, ..
        } = self;
        drop(listeners);
        let (Some(Remover { path, maker }), Some(makers)) = (remover, makers) else {
            return;
        };
        let Err(error) = maker.remove(&path).await else {
            return;
        };
        tracing::debug!(%error, "another worker removes a socket's path");
        makers.forget(&maker);
        drop(maker);
        let removed = match makers.find(granted, who).await {
            Ok(maker) => maker.remove(&path).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = removed {
            let path = path.escape_ascii().to_string();
            tracing::warn!(path, error, "a socket's path stays in the container");
        }
    }
}
