//! Accepts a request line as long as Go's servers do (1 MiB). A 100 KiB command is longer than any URI
//! that the `http` crate holds, so the query of such a request travels in a header instead.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Join, ReadHalf, WriteHalf, join, split};

/// The header that holds the query of a request line that was too long.
pub(crate) const QUERY: &str = "x-stand-query";
/// Go's `DefaultMaxHeaderBytes`.
pub(crate) const MAX_HEAD: usize = 1 << 20;
/// The longest URI of the `http` crate, less room for the path.
const MAX_URI: usize = 60 * 1024;

/// A connection from its first byte on, the head of its first request made bearable.
pub(crate) type Bearable<T> =
    Join<tokio::io::Chain<std::io::Cursor<Vec<u8>>, ReadHalf<T>>, WriteHalf<T>>;

/// Reads the first request's head; gives the connection back with it in front.
///
/// # Errors
/// When the connection breaks before the head is whole, or the head is longer than Go allows.
pub(crate) async fn bearable<T: AsyncRead + AsyncWrite>(stream: T) -> std::io::Result<Bearable<T>> {
    let (mut read, write) = split(stream);
    let mut head = Vec::with_capacity(4 * 1024);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > MAX_HEAD || read.read_buf(&mut head).await? == 0 {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
    }
    let head = shortened(&head).unwrap_or(head);
    Ok(join(std::io::Cursor::new(head).chain(read), write))
}

/// The same head with its query in a header; `None` where it is short enough.
fn shortened(head: &[u8]) -> Option<Vec<u8>> {
    let line = head
        .windows(2)
        .position(|end| end == b"\r\n")
        .filter(|length| *length > MAX_URI)?;
    let (line, rest) = head.split_at_checked(line)?;
    let (path, query) = line.split_at_checked(line.iter().position(|&byte| byte == b'?')?)?;
    let (query, version) = query.split_at_checked(query.iter().position(|&byte| byte == b' ')?)?;
    let query = query.strip_prefix(b"?")?;
    Some([path, version, b"\r\n", QUERY.as_bytes(), b": ", query, rest].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_long_query_moves() {
        let head = |query: &str| format!("POST /exec/a?{query} HTTP/1.1\r\nHost: b\r\n\r\n");
        assert_eq!(shortened(head("command=x").as_bytes()), None);
        let long = "x".repeat(100 * 1024);
        let expect = format!("POST /exec/a HTTP/1.1\r\n{QUERY}: {long}\r\nHost: b\r\n\r\n");
        assert_eq!(shortened(head(&long).as_bytes()), Some(expect.into_bytes()));
    }
}
