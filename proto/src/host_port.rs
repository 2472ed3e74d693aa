//! A host and a port in one word, as ssh(1) takes them.

use std::fmt;

/// `host:port`; an address of IPv6 stands in brackets.
#[derive(Clone, Copy, Debug)]
pub struct HostPort<'a>(pub &'a str, pub u32);

impl fmt::Display for HostPort<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(host, port) = self;
        match host.contains(':') {
            true => write!(f, "[{host}]:{port}"),
            false => write!(f, "{host}:{port}"),
        }
    }
}
