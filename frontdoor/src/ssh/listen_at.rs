//! Where a pod is to listen for a client (`ssh -R`, `ssh -A`), by sshd's rules of addresses.

use podgate_proto::host_port::HostPort;
use podgate_proto::v1::address::Address as Kind;
use podgate_proto::v1::{Address, AgentSocket, Listen, TcpAddress, UnixSocket};

use crate::authn::restrictions::Restrictions;
use crate::config::{Forwards, GatewayPorts};

/// Bytes of a unix socket's path, at the most (unix(7)).
const MAX_PATH: usize = 107;

/// As the client names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ListenAt {
    Tcp {
        host: String,
        /// 0 is any free one.
        port: u32,
    },
    /// A unix socket's path in the container.
    Unix(String),
    /// A socket for the client's ssh-agent: its path, once that is known.
    Agent(String),
}

/// Why it is refused before anything is looked up.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ListenRefusal {
    #[error("a port is from 0 to 65535")]
    Port,
    #[error("this login may not forward ports")]
    Forwarding,
    #[error("this login may not listen at that host and port (permitlisten)")]
    PermitListen,
    #[error("this login may not forward an agent")]
    Agent,
}

impl ListenAt {
    /// Whether this login may listen there.
    pub(super) fn check(&self, restrictions: &Restrictions) -> Result<(), ListenRefusal> {
        let may = match self {
            Self::Agent(_) if restrictions.agent_forwarding => true,
            Self::Agent(_) => return Err(ListenRefusal::Agent),
            _ if !restrictions.port_forwarding => return Err(ListenRefusal::Forwarding),
            Self::Tcp { host, port } => {
                let port = u16::try_from(*port).map_err(|_| ListenRefusal::Port)?;
                restrictions.may_listen(host, port)
            }
            // A list of hosts and ports has no unix socket.
            Self::Unix(_) => restrictions.listen.is_empty(),
        };
        may.then_some(()).ok_or(ListenRefusal::PermitListen)
    }

    /// What the agent is asked for.
    pub(super) fn listen(&self, forwards: &Forwards) -> Listen {
        let address = match self {
            Self::Tcp { host, port } => Kind::Tcp(TcpAddress {
                host: bound(host, forwards.gateway_ports).to_owned(),
                port: *port,
            }),
            Self::Unix(path) => Kind::Unix(UnixSocket {
                path: path.clone().into_bytes().into(),
            }),
            Self::Agent(_) => Kind::Agent(AgentSocket {}),
        };
        Listen {
            address: Some(Address {
                address: Some(address),
            }),
            replace: forwards.unlink_sockets,
        }
    }

    /// The same at the port that was bound. `None` if nothing of this kind was.
    pub(super) fn at(&self, bound: Option<Address>) -> Option<Self> {
        match (self, bound?.address?) {
            (Self::Tcp { host, port }, Kind::Tcp(tcp)) => {
                let host = host.clone();
                let is_it = (1..=65_535).contains(&tcp.port) && (*port == 0 || tcp.port == *port);
                is_it.then_some(Self::Tcp {
                    host,
                    port: tcp.port,
                })
            }
            (Self::Unix(path), Kind::Unix(_)) => Some(Self::Unix(path.clone())),
            (Self::Agent(_), Kind::Unix(bound)) => {
                let path = String::from_utf8(bound.path.to_vec()).ok()?;
                let fits = path.starts_with('/') && path.len() <= MAX_PATH;
                (fits && !path.contains(char::is_control)).then_some(Self::Agent(path))
            }
            _ => None,
        }
    }

    /// The port; 0 of a socket with a path.
    pub(super) fn port(&self) -> u32 {
        match self {
            Self::Tcp { port, .. } => *port,
            Self::Unix(_) | Self::Agent(_) => 0,
        }
    }
}

/// The host that is bound for the one that is asked for (channel_fwd_bind_addr of OpenSSH). An empty one is all
/// addresses, localhost the loopback of both families.
fn bound(asked: &str, gateway_ports: GatewayPorts) -> &str {
    match (gateway_ports, asked) {
        (GatewayPorts::Yes, _) | (GatewayPorts::ClientSpecified, "" | "*") => "",
        (GatewayPorts::No, "127.0.0.1" | "::1") | (GatewayPorts::ClientSpecified, _) => asked,
        (GatewayPorts::No, _) => "localhost",
    }
}

impl std::fmt::Display for ListenAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { host, port } => HostPort(host, *port).fmt(f),
            Self::Unix(path) => f.write_str(path),
            Self::Agent(_) => f.write_str("ssh-agent"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::options::Endpoint;

    #[test]
    fn addresses_are_bound_as_by_sshd() {
        use GatewayPorts::{ClientSpecified, No, Yes};
        for (asked, no, specified) in [
            ("", "localhost", ""),
            ("*", "localhost", ""),
            ("localhost", "localhost", "localhost"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
            ("::1", "::1", "::1"),
            ("0.0.0.0", "localhost", "0.0.0.0"),
            ("::", "localhost", "::"),
            ("10.1.2.3", "localhost", "10.1.2.3"),
            ("web", "localhost", "web"),
        ] {
            assert_eq!(bound(asked, No), no, "{asked}");
            assert_eq!(bound(asked, ClientSpecified), specified, "{asked}");
            assert_eq!(bound(asked, Yes), "", "{asked}");
        }
    }

    fn tcp(host: &str, port: u32) -> ListenAt {
        let host = host.to_owned();
        ListenAt::Tcp { host, port }
    }

    #[test]
    fn a_login_may_listen_or_not() {
        let any = Restrictions::none();
        assert_eq!(tcp("localhost", 0).check(&any), Ok(()));
        assert_eq!(
            tcp("localhost", 65_536).check(&any),
            Err(ListenRefusal::Port)
        );
        let socket = ListenAt::Unix("/run/x".to_owned());
        assert_eq!(socket.check(&any), Ok(()));
        let shut = Restrictions {
            port_forwarding: false,
            ..Restrictions::none()
        };
        let listed = Restrictions {
            listen: vec![vec![Endpoint {
                host: "localhost".to_owned(),
                port: Some(8080),
            }]],
            ..Restrictions::none()
        };
        let not_there = Err(ListenRefusal::PermitListen);
        assert_eq!(tcp("localhost", 8080).check(&listed), Ok(()));
        assert_eq!(tcp("localhost", 8081).check(&listed), not_there);
        assert_eq!(tcp("localhost", 0).check(&listed), not_there);
        assert_eq!(tcp("*", 8080).check(&listed), not_there);
        assert_eq!(socket.check(&listed), not_there);
        for at in [tcp("localhost", 8080), socket] {
            assert_eq!(at.check(&shut), Err(ListenRefusal::Forwarding));
        }
        let agent = ListenAt::Agent(String::new());
        assert_eq!(agent.check(&shut), Ok(()));
        let without = Restrictions {
            agent_forwarding: false,
            ..Restrictions::none()
        };
        assert_eq!(agent.check(&without), Err(ListenRefusal::Agent));
        assert_eq!(tcp("localhost", 8080).check(&without), Ok(()));
    }

    #[test]
    fn the_port_that_is_bound_is_believed_if_it_was_asked_for() {
        let bound = |port| {
            let tcp = TcpAddress {
                host: "localhost".to_owned(),
                port,
            };
            Some(Address {
                address: Some(Kind::Tcp(tcp)),
            })
        };
        assert_eq!(tcp("*", 0).at(bound(4000)), Some(tcp("*", 4000)));
        assert_eq!(tcp("*", 4000).at(bound(4000)), Some(tcp("*", 4000)));
        assert_eq!(tcp("*", 4000).at(bound(4001)), None);
        assert_eq!(tcp("*", 0).at(bound(0)), None);
        assert_eq!(tcp("*", 0).at(bound(65_536)), None);
        assert_eq!(tcp("*", 0).at(None), None);
        assert_eq!(ListenAt::Unix("/a".to_owned()).at(bound(4000)), None);
        let agent = ListenAt::Agent(String::new());
        let at = |path: &[u8]| {
            let path = path.to_vec().into();
            let address = Some(Kind::Unix(UnixSocket { path }));
            agent.at(Some(Address { address }))
        };
        let path = "/tmp/podgate-agent-1/agent";
        let expect = Some(ListenAt::Agent(path.to_owned()));
        assert_eq!(at(path.as_bytes()), expect);
        for path in [b"tmp/a".as_slice(), b"/\n", b"/\xff", &[b'/'; 108]] {
            assert_eq!(at(path), None, "{path:?}");
        }
    }
}
