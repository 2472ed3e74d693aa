//! An address that a frontdoor asks for.

use podgate_proto::v1::address::Address as Kind;
use podgate_proto::v1::{Address, Dial};
use podgate_worker::sockets::MAX_PATH;

use super::refused::Refused;

/// Bytes of a host name (RFC 1035 §2.3.4).
const MAX_HOST: usize = 253;

/// Why an address cannot be dialled.
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

/// An address in proper form.
#[derive(Debug)]
pub(crate) struct DialRequest {
    address: Address,
    refused: Refused,
}

impl DialRequest {
    pub(crate) fn check(dial: Dial) -> Result<Self, Error> {
        let address = dial.address.unwrap_or_default();
        match &address.address {
            None => return Err(Error::NoAddress),
            Some(Kind::Tcp(tcp)) => {
                if !(1..=65_535).contains(&tcp.port) {
                    return Err(Error::Port);
                }
                if tcp.host.is_empty() || tcp.host.len() > MAX_HOST || tcp.host.contains('\0') {
                    return Err(Error::Host);
                }
            }
            Some(Kind::Unix(unix)) => {
                if unix.path.is_empty() || unix.path.len() > MAX_PATH || unix.path.contains(&0) {
                    return Err(Error::Path);
                }
            }
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

#[cfg(test)]
mod tests {
    use podgate_proto::v1::{TcpAddress, UnixSocket};

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
    }
}
