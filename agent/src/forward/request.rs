//! What a frontdoor asks of connections and listeners in a pod, in proper form.

use podgate_proto::host_port::HostPort;
use podgate_proto::v1::address::Address as Kind;
use podgate_proto::v1::{self, Accept, Address, Dial, Listen, TcpAddress, open};
use podgate_worker::sockets::{MAX_PATH, is_path};

use super::refused::Refused;

/// Bytes of a host name (RFC 1035 §2.3.4).
const MAX_HOST: usize = 253;

/// Why it is not in proper form.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("the frontdoor asked for a connection without an address")]
    NoAddress,
    #[error("a port is from 1 to 65535")]
    Port,
    #[error("the host's name is empty, longer than {MAX_HOST} bytes or has a NUL byte")]
    Host,
    #[error("the socket's path is empty, longer than {MAX_PATH} bytes or has a NUL byte")]
    Path,
    #[error("what nobody may connect to is not a list of networks")]
    Refused,
}

/// What is asked for.
#[derive(Debug)]
pub(crate) enum ForwardRequest {
    Dial(DialRequest),
    Listen(ListenRequest),
    Accept(Accept),
}

impl ForwardRequest {
    /// `None` if it is about no connection.
    pub(crate) fn check(action: open::Action) -> Option<Result<Self, Error>> {
        Some(match action {
            open::Action::Dial(dial) => DialRequest::check(dial).map(Self::Dial),
            open::Action::Listen(listen) => ListenRequest::check(listen).map(Self::Listen),
            open::Action::Accept(accept) => Ok(Self::Accept(accept)),
            open::Action::Exec(_) | open::Action::Files(_) => return None,
        })
    }

    /// Where to in the pod, or where to listen there; none of a connection that came to a listener. A name
    /// and a path are no longer than a request allows.
    pub(crate) fn address(&self) -> Option<String> {
        let tcp = |host: &str, port: u32| HostPort(host, port).to_string();
        let path = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        match self {
            Self::Dial(request) => match &request.address.address {
                Some(Kind::Tcp(address)) => Some(tcp(&address.host, address.port)),
                Some(Kind::Unix(socket)) => Some(path(&socket.path)),
                Some(Kind::Agent(_)) | None => None,
            },
            Self::Listen(ListenRequest::Tcp { host, port }) => Some(tcp(host, (*port).into())),
            Self::Listen(ListenRequest::Unix { path: at, .. }) => Some(path(at)),
            Self::Listen(ListenRequest::Agent) => Some("ssh-agent".to_owned()),
            Self::Accept(_) => None,
        }
    }

    /// What a grant must allow for it.
    pub(crate) fn kind(&self) -> v1::Action {
        match self {
            Self::Dial(_) => v1::Action::Dial,
            Self::Listen(_) | Self::Accept(_) => v1::Action::Listen,
        }
    }
}

/// An address to connect to.
#[derive(Debug)]
pub(crate) struct DialRequest {
    address: Address,
    refused: Refused,
}

impl DialRequest {
    fn check(dial: Dial) -> Result<Self, Error> {
        let address = dial.address.unwrap_or_default();
        match &address.address {
            None | Some(Kind::Agent(_)) => return Err(Error::NoAddress),
            Some(Kind::Tcp(tcp)) => {
                if !(1..=65_535).contains(&tcp.port) {
                    return Err(Error::Port);
                }
                if tcp.host.is_empty() || !is_host(&tcp.host) {
                    return Err(Error::Host);
                }
            }
            Some(Kind::Unix(unix)) if !is_path(&unix.path) => return Err(Error::Path),
            Some(Kind::Unix(_)) => {}
        }
        let refused = Refused::parse(&dial.refuse).ok_or(Error::Refused)?;
        Ok(Self { address, refused })
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn refused(&self) -> &Refused {
        &self.refused
    }
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListenRequest {
    /// A host is an address, or a name that the pod resolves; an empty one is all addresses.
    Tcp { host: String, port: u16 },
    Unix {
        path: Vec<u8>,
        /// Whether what is there may be removed first.
        replace: bool,
    },
    /// At a path of the worker's choosing, for the client's ssh-agent.
    Agent,
}

impl ListenRequest {
    fn check(listen: Listen) -> Result<Self, Error> {
        let replace = listen.replace;
        let address = listen.address.and_then(|address| address.address);
        match address.ok_or(Error::NoAddress)? {
            Kind::Tcp(TcpAddress { host, port }) => {
                let port = u16::try_from(port).map_err(|_| Error::Port)?;
                let host = is_host(&host).then_some(host).ok_or(Error::Host)?;
                Ok(Self::Tcp { host, port })
            }
            Kind::Unix(unix) => {
                let path = unix.path.to_vec();
                let path = is_path(&path).then_some(path).ok_or(Error::Path)?;
                Ok(Self::Unix { path, replace })
            }
            Kind::Agent(_) => Ok(Self::Agent),
        }
    }
}

fn is_host(host: &str) -> bool {
    host.len() <= MAX_HOST && !host.contains('\0')
}

#[cfg(test)]
mod tests {
    use podgate_proto::v1::{AgentSocket, UnixSocket};

    use super::*;

    #[test]
    fn an_address_has_a_form() {
        let check = |kind: Option<Kind>, expect: Option<Error>| {
            let address = kind.clone().map(|kind| Address {
                address: Some(kind),
            });
            let checked = DialRequest::check(Dial {
                address,
                ..Dial::default()
            });
            assert_eq!(checked.err(), expect, "{kind:?}");
        };
        let tcp = |host: &str, port| {
            Some(Kind::Tcp(TcpAddress {
                host: host.to_owned(),
                port,
            }))
        };
        let unix = |path: &str| {
            Some(Kind::Unix(UnixSocket {
                path: path.to_owned().into(),
            }))
        };
        check(tcp("db", 5432), None);
        check(tcp("::1", 65_535), None);
        check(tcp("db", 0), Some(Error::Port));
        check(tcp("db", 65_536), Some(Error::Port));
        check(tcp("", 80), Some(Error::Host));
        check(tcp("d\0b", 80), Some(Error::Host));
        check(tcp(&"d".repeat(254), 80), Some(Error::Host));
        check(unix("/run/x.sock"), None);
        check(unix(&"x".repeat(107)), None);
        check(unix(&"x".repeat(108)), Some(Error::Path));
        check(unix(""), Some(Error::Path));
        check(None, Some(Error::NoAddress));
        check(Some(Kind::Agent(AgentSocket {})), Some(Error::NoAddress));
    }

    #[test]
    fn a_listener_has_a_form_of_its_own() {
        let check = |kind: Option<Kind>, expect: Result<ListenRequest, Error>| {
            let address = kind.map(|kind| Address {
                address: Some(kind),
            });
            let replace = true;
            assert_eq!(ListenRequest::check(Listen { address, replace }), expect);
        };
        let tcp = |host: &str, port| {
            Some(Kind::Tcp(TcpAddress {
                host: host.to_owned(),
                port,
            }))
        };
        let at = |host: &str, port| {
            Ok(ListenRequest::Tcp {
                host: host.to_owned(),
                port,
            })
        };
        let unix = |path: &str| {
            Some(Kind::Unix(UnixSocket {
                path: path.to_owned().into(),
            }))
        };
        check(tcp("", 0), at("", 0));
        check(tcp("::", 65_535), at("::", 65_535));
        check(tcp("", 65_536), Err(Error::Port));
        check(tcp(&"d".repeat(254), 80), Err(Error::Host));
        check(tcp("d\0b", 80), Err(Error::Host));
        let path = b"/run/x".to_vec();
        check(
            unix("/run/x"),
            Ok(ListenRequest::Unix {
                path,
                replace: true,
            }),
        );
        check(unix(&"x".repeat(108)), Err(Error::Path));
        check(unix(""), Err(Error::Path));
        check(Some(Kind::Agent(AgentSocket {})), Ok(ListenRequest::Agent));
        check(None, Err(Error::NoAddress));
    }
}
