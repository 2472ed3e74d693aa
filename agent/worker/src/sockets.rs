//! Messages of a SEQPACKET unix socket: each request has one answer, with its number. A socket that was
//! made comes beside its answer. Numbers are big-endian.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Bytes of a file that the worker reads, at the most.
pub const MAX_FILE: usize = 64 * 1024;
/// Bytes of an answer, without those of a file and with them.
pub const MIN_ANSWER: usize = 8;
/// See [`MIN_ANSWER`].
pub const MAX_ANSWER: usize = MAX_FILE + MIN_ANSWER;
/// Bytes of a request, at the most.
pub const MAX_REQUEST: usize = 256;
/// Bytes of a unix socket's path, at the most: sockaddr_un without the NUL at the end.
pub const MAX_PATH: usize = 107;

/// What the agent asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The bytes of a file that says how names are resolved.
    Read(File),
    /// A socket that connects to an address. It is answered at once; whether it connects, the socket
    /// says.
    Connect(Transport, SocketAddr),
    /// A socket that is connected to a unix socket.
    ConnectUnix(Vec<u8>),
    /// A socket that listens at an address; port 0 is any free one.
    Listen(SocketAddr),
    /// A socket that listens at a path. The worker removes the path at its own end.
    ListenUnix {
        /// Where.
        path: Vec<u8>,
        /// Whether what is there may be removed first.
        replace: bool,
    },
    /// A socket that listens in a folder of its own, for the client's ssh-agent. Its path is the answer.
    ListenAgent,
    /// Removes a path that this worker, or one before it, has made for a socket.
    Remove(Vec<u8>),
}

/// A file of the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// `/etc/hosts`.
    Hosts,
    /// `/etc/resolv.conf`.
    Resolver,
}

/// The protocol of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Transport {
    Tcp,
    Udp,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The agent's own.
    pub number: u32,
    /// What to do.
    pub action: Action,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The request's.
    pub number: u32,
    /// The bytes of a file, a path, or nothing; else the system's error number.
    pub outcome: Result<Vec<u8>, i32>,
}

impl Request {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.number.to_be_bytes().to_vec();
        match &self.action {
            Action::Read(File::Hosts) => bytes.push(b'h'),
            Action::Read(File::Resolver) => bytes.push(b'r'),
            Action::Connect(transport, address) => {
                bytes.push(match transport {
                    Transport::Tcp => b't',
                    Transport::Udp => b'u',
                });
                put(address, &mut bytes);
            }
            Action::Listen(address) => {
                bytes.push(b'l');
                put(address, &mut bytes);
            }
            Action::ListenAgent => bytes.push(b'a'),
            Action::ConnectUnix(path) => {
                bytes.push(b'x');
                bytes.extend(path);
            }
            Action::ListenUnix { path, replace } => {
                bytes.push(if *replace { b'R' } else { b'L' });
                bytes.extend(path);
            }
            Action::Remove(path) => {
                bytes.push(b'd');
                bytes.extend(path);
            }
        }
        bytes
    }

    /// From bytes.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (number, rest) = bytes.split_first_chunk()?;
        let (kind, rest) = rest.split_first()?;
        let action = match (kind, rest) {
            (b'h', []) => Action::Read(File::Hosts),
            (b'r', []) => Action::Read(File::Resolver),
            (b't', rest) => Action::Connect(Transport::Tcp, address(rest)?),
            (b'u', rest) => Action::Connect(Transport::Udp, address(rest)?),
            (b'l', rest) => Action::Listen(address(rest)?),
            (b'a', []) => Action::ListenAgent,
            (kind, path) if is_path(path) => {
                let path = path.to_vec();
                match kind {
                    b'x' => Action::ConnectUnix(path),
                    b'd' => Action::Remove(path),
                    b'L' | b'R' => Action::ListenUnix {
                        path,
                        replace: *kind == b'R',
                    },
                    _ => return None,
                }
            }
            _ => return None,
        };
        let number = u32::from_be_bytes(*number);
        Some(Self { number, action })
    }
}

/// Whether it can be the path of a unix socket.
pub fn is_path(bytes: &[u8]) -> bool {
    (1..=MAX_PATH).contains(&bytes.len()) && !bytes.contains(&0)
}

fn put(address: &SocketAddr, bytes: &mut Vec<u8>) {
    bytes.extend(address.port().to_be_bytes());
    match address.ip() {
        IpAddr::V4(ip) => bytes.extend(ip.octets()),
        IpAddr::V6(ip) => bytes.extend(ip.octets()),
    }
}

fn address(bytes: &[u8]) -> Option<SocketAddr> {
    let (port, ip) = bytes.split_first_chunk()?;
    let ip = match ip.len() {
        4 => Ipv4Addr::from(<[u8; 4]>::try_from(ip).ok()?).into(),
        _ => Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?).into(),
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes(*port)))
}

impl Answer {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.number.to_be_bytes().to_vec();
        let (errno, rest) = match &self.outcome {
            Ok(rest) => (0, rest.as_slice()),
            Err(errno) => (*errno, [].as_slice()),
        };
        bytes.extend(errno.to_be_bytes());
        bytes.extend(rest);
        bytes
    }

    /// From bytes.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (number, rest) = bytes.split_first_chunk()?;
        let (errno, rest) = rest.split_first_chunk()?;
        let outcome = match i32::from_be_bytes(*errno) {
            0 => Ok(rest.to_vec()),
            errno => Err(errno),
        };
        let number = u32::from_be_bytes(*number);
        Some(Self { number, outcome })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let (v4, v6) = ("10.1.2.3:80", "[fd00::1]:65535");
        for action in [
            Action::Read(File::Hosts),
            Action::Read(File::Resolver),
            Action::Connect(Transport::Tcp, v4.parse().unwrap()),
            Action::Connect(Transport::Udp, v6.parse().unwrap()),
            Action::ConnectUnix(b"/run/\xff.sock".to_vec()),
            Action::Listen(v4.parse().unwrap()),
            Action::Listen(v6.parse().unwrap()),
            Action::ListenUnix {
                path: b"a".to_vec(),
                replace: false,
            },
            Action::ListenUnix {
                path: b"a".to_vec(),
                replace: true,
            },
            Action::ListenAgent,
            Action::Remove(b"/run/\xff.sock".to_vec()),
        ] {
            let number = 0x0102_0304;
            let request = Request { number, action };
            assert_eq!(Request::parse(&request.encode()), Some(request));
        }
        for outcome in [Ok(Vec::new()), Ok(b"x".to_vec()), Err(111)] {
            let answer = Answer { number: 7, outcome };
            assert_eq!(Answer::parse(&answer.encode()), Some(answer));
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let long = [b"\0\0\0\x01x".as_slice(), &[b'a'; MAX_PATH + 1]].concat();
        for bytes in [
            b"".as_slice(),
            b"\0\0\0\x01",
            b"\0\0\0\x01z",
            b"\0\0\0\x01hh",
            b"\0\0\0\x01t\0\x50\x7f\0\0",
            b"\0\0\0\x01x",
            b"\0\0\0\x01xa\0b",
            b"\0\0\0\x01zab",
            b"\0\0\0\x01l\0\x50\x7f\0\0",
            b"\0\0\0\x01aa",
            b"\0\0\0\x01L",
            &long,
        ] {
            assert_eq!(Request::parse(bytes), None, "{bytes:?}");
        }
        assert_eq!(Answer::parse(b"\0\0\0\x01\0\0\0"), None);
    }
}
