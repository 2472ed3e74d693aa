//! The header by which a proxy names the client of a connection (The PROXY protocol, versions 1 and 2,
//! Willy Tarreau, 2020). Pure: it says how many more bytes to read, and never asks for one beyond the
//! header.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str;

/// Bytes of the longest header that is read. In version 2, a description of a TLS connection may follow
/// the addresses; certificates do not fit.
pub(crate) const LONGEST: usize = 2048;

/// Begins each header of version 2 (§2.2).
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of version 2 before the addresses.
const FIXED: usize = 16;
/// Begins each header of version 1, and the longest of these (§2.1).
const WORD: &[u8] = b"PROXY ";
const LONGEST_LINE: usize = 107;
/// The shortest of either version: `PROXY UNKNOWN` and the line's end.
const SHORTEST: usize = 15;

/// Why bytes are not a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("it does not begin as a PROXY header")]
    Start,
    #[error("it is longer than a PROXY header may be here")]
    Long,
    #[error("its addresses cannot be read")]
    Addresses,
    #[error("its version or command is not known")]
    Version,
}

/// What the bytes so far are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A header that needs at least this many more bytes.
    More(usize),
    /// A whole header. Without a client's addresses, the connection is the proxy's own.
    Whole(Option<Ends>),
}

/// The addresses of a client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) client: SocketAddr,
    /// Where the client has connected to.
    pub(crate) server: SocketAddr,
}

/// Reads a header as far as it has arrived.
pub(crate) fn read(header: &[u8]) -> Result<Step, Error> {
    let begins = |with: &[u8]| header.iter().zip(with).all(|(a, b)| a == b);
    match (begins(SIGNATURE), begins(WORD)) {
        (false, false) => Err(Error::Start),
        _ if header.len() < SHORTEST => Ok(Step::More(SHORTEST - header.len())),
        (true, _) => binary(header),
        (_, true) => line(header),
    }
}

/// Version 1: one line of text.
fn line(header: &[u8]) -> Result<Step, Error> {
    let Some(text) = header.strip_suffix(b"\r\n") else {
        // Two bytes end it. One of them may have come.
        let missing = if header.ends_with(b"\r") { 1 } else { 2 };
        if header.len() + missing > LONGEST_LINE {
            return Err(Error::Long);
        }
        return Ok(Step::More(missing));
    };
    let text = str::from_utf8(text).map_err(|_| Error::Addresses)?;
    let mut words = text.split(' ').skip(1);
    let family = words.next();
    // Whatever follows it (§2.1).
    if family == Some("UNKNOWN") {
        return Ok(Step::Whole(None));
    }
    let words: Vec<_> = words.collect();
    let [source, destination, port, destination_port] = words.as_slice() else {
        return Err(Error::Addresses);
    };
    let source = address(family, source).ok_or(Error::Addresses)?;
    let destination = address(family, destination).ok_or(Error::Addresses)?;
    let destination_port = number(destination_port).ok_or(Error::Addresses)?;
    let port = number(port).ok_or(Error::Addresses)?;
    Ok(Step::Whole(Some(Ends {
        client: SocketAddr::new(source, port),
        server: SocketAddr::new(destination, destination_port),
    })))
}

fn address(family: Option<&str>, text: &str) -> Option<IpAddr> {
    match family {
        Some("TCP4") => text.parse().ok().map(IpAddr::V4),
        Some("TCP6") => text.parse().ok().map(IpAddr::V6),
        _ => None,
    }
}

/// Parses a number. A sign, which `parse` would accept, is an error.
fn number(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// Version 2: a signature, version and command, family, length, addresses, and the rest.
fn binary(header: &[u8]) -> Result<Step, Error> {
    let Some((fixed, rest)) = header.split_first_chunk::<FIXED>() else {
        return Ok(Step::More(FIXED - header.len()));
    };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if FIXED + length > LONGEST {
        return Err(Error::Long);
    }
    match length.checked_sub(rest.len()) {
        Some(0) => {}
        Some(more) => return Ok(Step::More(more)),
        None => return Err(Error::Long),
    }
    match command {
        // LOCAL: the connection is the proxy's own, whatever the rest says.
        0x20 => return Ok(Step::Whole(None)),
        0x21 => {}
        _ => return Err(Error::Version),
    }
    Ok(Step::Whole(match family {
        // TCP over IPv4: two addresses, two ports.
        0x11 => {
            let block = rest.first_chunk::<12>().ok_or(Error::Addresses)?;
            let [a, b, c, d, e, f, g, h, ports @ ..] = *block;
            let client = Ipv4Addr::new(a, b, c, d).into();
            let server = Ipv4Addr::new(e, f, g, h).into();
            Some(ends(client, server, ports))
        }
        // TCP over IPv6.
        0x21 => {
            let (addresses, ports) = rest.split_first_chunk::<32>().ok_or(Error::Addresses)?;
            let client = addresses.first_chunk::<16>().ok_or(Error::Addresses)?;
            let server = addresses.last_chunk::<16>().ok_or(Error::Addresses)?;
            let ports = *ports.first_chunk::<4>().ok_or(Error::Addresses)?;
            let (client, server) = (Ipv6Addr::from(*client), Ipv6Addr::from(*server));
            Some(ends(client.into(), server.into(), ports))
        }
        // Another family, of which a receiver keeps what it knows: the proxy (§2.2).
        _ => None,
    }))
}

fn ends(client: IpAddr, server: IpAddr, [a, b, c, d]: [u8; 4]) -> Ends {
    Ends {
        client: SocketAddr::new(client, u16::from_be_bytes([a, b])),
        server: SocketAddr::new(server, u16::from_be_bytes([c, d])),
    }
}

#[cfg(test)]
mod tests;
