//! The kind of socket that an action asks for, in the system's terms: what the worker makes, and what the
//! agent takes from it.

use std::net::SocketAddr;

use rustix::net::{AddressFamily, SocketType};

use crate::sockets::{Action, Transport};

/// `None` for an action that asks for no socket.
pub fn kind(action: &Action) -> Option<(AddressFamily, SocketType)> {
    Some(match action {
        Action::Read(_) | Action::Remove(_) => return None,
        Action::Connect(Transport::Udp, address) => (family(address), SocketType::DGRAM),
        Action::Connect(Transport::Tcp, address) | Action::Listen(address) => {
            (family(address), SocketType::STREAM)
        }
        Action::ConnectUnix(_) | Action::ListenUnix { .. } | Action::ListenAgent => {
            (AddressFamily::UNIX, SocketType::STREAM)
        }
    })
}

fn family(address: &SocketAddr) -> AddressFamily {
    match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    }
}
