//! Options of a client's TCP connection. They decide how soon a keystroke goes out, how soon a client that waits
//! for our acknowledgement goes on, and how soon a dead peer is noticed. A socket without one of them still works,
//! so a failure is no error.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::net::sockopt;
use socket2::SockRef;
use tokio::io::AsyncRead;
use tokio::net::TcpStream;
use tokio_util::io::InspectReader;
use tokio_util::sync::CancellationToken;

/// Bytes that may wait in the socket. A shell's echo waits behind those of bulk channels on the same
/// connection.
const NOT_SENT: u32 = 128 * 1024;

/// A peer that has not acknowledged bytes for `silence` is gone.
pub(super) fn tune(stream: &TcpStream, silence: Duration) {
    let _ = stream.set_nodelay(true);
    // The kernel takes an int, and 0 would leave it to the kernel.
    let silence = silence.as_millis().clamp(1, i32::MAX as u128);
    let _ = sockopt::set_tcp_user_timeout(stream, silence as u32);
    acknowledge(stream);
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(NOT_SENT);
}

/// Sends an acknowledgement that the kernel holds back, and tells it not to delay the next ones.
pub(super) fn acknowledge(stream: impl AsFd) {
    let _ = sockopt::set_tcp_quickack(stream, true);
}

/// Calls `acknowledge` for each read that gives bytes, until the login. OpenSSH's packets of the key exchange wait
/// in its Nagle buffer for our acknowledgement, and a delayed one costs a login 40 ms. The kernel returns to
/// delaying them by itself (tcp(7), TCP_QUICKACK), so this is asked for after each read.
pub(super) fn quick_ack<S: AsyncRead>(
    stream: S,
    logged_in: CancellationToken,
    acknowledge: impl Fn(),
) -> InspectReader<S, impl FnMut(&[u8])> {
    InspectReader::new(stream, move |bytes: &[u8]| {
        if !bytes.is_empty() && !logged_in.is_cancelled() {
            acknowledge();
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn each_read_is_acknowledged_until_the_login() {
        let (mut client, ours) = duplex(64);
        let (count, logged_in) = (AtomicUsize::new(0), CancellationToken::new());
        let acknowledge = || {
            count.fetch_add(1, Ordering::Relaxed);
        };
        let mut stream = quick_ack(ours, logged_in.clone(), acknowledge);
        client.write_all(b"four more").await.unwrap();
        for (bytes, expect) in [(4, 1), (4, 2), (1, 3)] {
            stream.read_exact(&mut vec![0; bytes]).await.unwrap();
            assert_eq!(count.load(Ordering::Relaxed), expect);
        }
        logged_in.cancel();
        client.write_all(b"later").await.unwrap();
        stream.read_exact(&mut [0; 5]).await.unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 3, "after the login");
    }

    #[tokio::test]
    async fn an_end_is_not_acknowledged() {
        let (client, ours) = duplex(64);
        let count = AtomicUsize::new(0);
        let acknowledge = || {
            count.fetch_add(1, Ordering::Relaxed);
        };
        let mut stream = quick_ack(ours, CancellationToken::new(), acknowledge);
        drop(client);
        assert_eq!(stream.read(&mut [0; 4]).await.unwrap(), 0);
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_peer_is_lost_as_soon_as_by_keepalives() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let check = |seconds, expect: u32| {
            tune(&stream, Duration::from_secs(seconds));
            let set = sockopt::tcp_user_timeout(&stream).unwrap();
            assert_eq!(set, expect, "{seconds}");
        };
        check(90, 90_000);
        check(10, 10_000);
        check(u64::MAX, i32::MAX as u32);
    }
}
