//! The kind of socket that an action asks for, in the system's terms: what the worker makes, and what the
//! agent takes from it.

use std::net::SocketAddr;

use rustix::net::{AddressFamily, SocketType};

use crate::sockets::{Action, Transport};

/// `None` for an action that asks for no socket.
pub fn kind(action: &Action) -> Option<(AddressFamily, SocketType)> {
    Some(match action {
        Action::Read(_) => return None,
        Action::Connect(transport, address) => {
            let family = match address {
                SocketAddr::V4(_) => AddressFamily::INET,
                SocketAddr::V6(_) => AddressFamily::INET6,
            };
            let kind = match transport {
                Transport::Tcp => SocketType::STREAM,
                Transport::Udp => SocketType::DGRAM,
            };
            (family, kind)
        }
        Action::ConnectUnix(_) => (AddressFamily::UNIX, SocketType::STREAM),
    })
}
