//! Where a channel of `direct-tcpip` leads: to another target, as a jump, or to an address in the pod of
//! this connection, as a forward. Nothing is looked up here.

use std::net::IpAddr;

use podgate_proto::host_port::HostPort;
use podgate_proto::v1::address::Address as Kind;
use podgate_proto::v1::{Address, Dial, TcpAddress, UnixSocket};

use super::client::{Client, Jump};
use super::jump::{JumpRefusal, PORT, without_suffix};
use crate::authn::Login;
use crate::authn::restrictions::Restrictions;
use crate::config::Forwards;
use crate::login_name::Target;

pub(super) enum Destination {
    Jump(Jump),
    Forward(Endpoint),
}

/// An address in the pod as the client names it.
#[derive(Clone, Debug)]
pub(super) enum Endpoint {
    Tcp {
        host: String,
        port: u32,
    },
    /// A unix socket's path in the container.
    Unix(String),
}

/// Why a forward is refused before anything is looked up.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum EndpointRefusal {
    #[error("a port is from 1 to 65535")]
    Port,
    #[error("this login may not forward ports")]
    Forwarding,
    #[error("this login may not be used to reach that host and port (permitopen)")]
    PermitOpen,
    #[error("connections to {0} are refused here (forwards.refuse)")]
    Address(IpAddr),
}

impl Destination {
    /// Inside a jump every address is one of its pod. A connection whose login name is a target leads on
    /// to other targets by port 22 and a name of one; any other address is one of its pod. A connection
    /// whose login name is no target has no pod, so it serves jumps alone.
    pub(super) fn of(
        client: &Client,
        (login, login_name): (&Login, &str),
        host: &str,
        port: u32,
    ) -> Result<Self, JumpRefusal> {
        let sessions = &client.context.sessions;
        let is_target = |name: &str| is_target(name, &sessions.default_namespace);
        let forward = client.jump.is_some()
            || is_target(login_name)
                && (port != PORT || !may_be_target(host, &sessions.jump_suffix, is_target));
        if forward {
            let host = host.to_owned();
            return Ok(Self::Forward(Endpoint::Tcp { host, port }));
        }
        Jump::parse(client, login, host, port).map(Self::Jump)
    }

    /// A unix socket of this connection's pod.
    pub(super) fn of_socket(
        client: &Client,
        login_name: &str,
        path: &str,
    ) -> Result<Endpoint, JumpRefusal> {
        Self::has_pod(client, login_name)?;
        Ok(Endpoint::Unix(path.to_owned()))
    }

    /// Whether this connection leads to a pod.
    pub(super) fn has_pod(client: &Client, login_name: &str) -> Result<(), JumpRefusal> {
        let default = &client.context.sessions.default_namespace;
        let has_pod = client.jump.is_some() || is_target(login_name, default);
        has_pod.then_some(()).ok_or(JumpRefusal::Port)
    }
}

fn is_target(name: &str, default_namespace: &str) -> bool {
    let target = Target::parse(name, default_namespace);
    target.is_ok_and(|target| !matches!(target, Target::Reserved(_)))
}

/// Whether a host at port 22 is meant as a target: one with the suffix always, and else any name of a
/// target that is no host of every machine.
fn may_be_target(host: &str, suffix: &str, is_target: impl Fn(&str) -> bool) -> bool {
    let everywhere = host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok();
    without_suffix(host, suffix) != host || !everywhere && is_target(host)
}

impl Endpoint {
    /// Whether this login may reach it, and anybody may.
    pub(super) fn check(
        &self,
        restrictions: &Restrictions,
        forwards: &Forwards,
    ) -> Result<(), EndpointRefusal> {
        if !restrictions.port_forwarding {
            return Err(EndpointRefusal::Forwarding);
        }
        let (host, port) = match self {
            Self::Tcp { host, port } => (host, *port),
            // A list of hosts and ports has no unix socket.
            Self::Unix(_) if !restrictions.open.is_empty() => {
                return Err(EndpointRefusal::PermitOpen);
            }
            Self::Unix(_) => return Ok(()),
        };
        let port = u16::try_from(port).ok().filter(|port| *port != 0);
        let port = port.ok_or(EndpointRefusal::Port)?;
        if !restrictions.may_open(host, port) {
            return Err(EndpointRefusal::PermitOpen);
        }
        // A name is checked once the pod has resolved it.
        match host.parse::<IpAddr>() {
            Ok(address) if forwards.refuses(address) => {
                Err(EndpointRefusal::Address(address.to_canonical()))
            }
            _ => Ok(()),
        }
    }

    /// What the agent is asked for.
    pub(super) fn dial(&self, forwards: &Forwards) -> Dial {
        let address = match self.clone() {
            Self::Tcp { host, port } => Kind::Tcp(TcpAddress { host, port }),
            Self::Unix(path) => Kind::Unix(UnixSocket {
                path: path.into_bytes().into(),
            }),
        };
        let address = Some(Address {
            address: Some(address),
        });
        let refuse = forwards.refuse.clone();
        Dial { address, refuse }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { host, port } => HostPort(host, *port).fmt(f),
            Self::Unix(path) => f.write_str(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_at_port_22_may_be_a_target() {
        let is_target = |name: &str| Target::parse(name, "default").is_ok();
        let check = |host: &str, suffix: &str, expect: bool| {
            assert_eq!(
                may_be_target(host, suffix, is_target),
                expect,
                "{host} {suffix}"
            );
        };
        check("web-0.prod.pod", "pod", true);
        check("web_0.pod", "pod", true);
        check("web-0.prod", "pod", true);
        check("web-0.prod", "", true);
        check("web_0", "pod", false);
        check("localhost", "pod", false);
        check("LOCALHOST", "", false);
        check("localhost.pod", "pod", true);
        check("127.0.0.1", "pod", false);
        check("::1", "pod", false);
    }

    #[test]
    fn an_endpoint_is_permitted_or_not() {
        let forwards = Forwards::default();
        let check = |host: &str, port, expect: Result<(), EndpointRefusal>| {
            let endpoint = Endpoint::Tcp {
                host: host.to_owned(),
                port,
            };
            let checked = endpoint.check(&Restrictions::none(), &forwards);
            assert_eq!(checked, expect, "{host} {port}");
        };
        check("db", 5432, Ok(()));
        check("db", 0, Err(EndpointRefusal::Port));
        check("db", 65_536, Err(EndpointRefusal::Port));
        for (spelling, address) in [
            ("169.254.169.254", "169.254.169.254"),
            ("::ffff:169.254.169.254", "169.254.169.254"),
            ("::ffff:a9fe:a9fe", "169.254.169.254"),
            ("fd00:ec2::254", "fd00:ec2::254"),
            ("FD00:0EC2:0:0:0:0:0:0254", "fd00:ec2::254"),
        ] {
            let address = address.parse().unwrap();
            check(spelling, 80, Err(EndpointRefusal::Address(address)));
        }
        let shut = Restrictions {
            port_forwarding: false,
            ..Restrictions::none()
        };
        let endpoint = Endpoint::Tcp {
            host: "db".to_owned(),
            port: 80,
        };
        let refused = endpoint.check(&shut, &forwards);
        assert_eq!(refused, Err(EndpointRefusal::Forwarding));
        let socket = Endpoint::Unix("/run/x.sock".to_owned());
        assert_eq!(socket.check(&Restrictions::none(), &forwards), Ok(()));
        let refused = socket.check(&shut, &forwards);
        assert_eq!(refused, Err(EndpointRefusal::Forwarding));
        let listed = Restrictions {
            open: vec![Vec::new()],
            ..Restrictions::none()
        };
        let refused = socket.check(&listed, &forwards);
        assert_eq!(refused, Err(EndpointRefusal::PermitOpen));
    }

    #[test]
    fn an_endpoint_is_written_as_an_address() {
        let shown = |host: &str| {
            let host = host.to_owned();
            Endpoint::Tcp { host, port: 80 }.to_string()
        };
        assert_eq!(
            (shown("db").as_str(), shown("::1").as_str()),
            ("db:80", "[::1]:80")
        );
    }
}
