//! Options of a client's TCP connection: they decide how soon a keystroke goes out, and how soon a dead peer
//! is noticed. A socket without one of them still works, so a failure is no error.

use std::time::Duration;

use rustix::net::sockopt;
use socket2::SockRef;
use tokio::net::TcpStream;

/// Bytes that may wait in the socket. A shell's echo waits behind those of bulk channels on the same
/// connection.
const NOT_SENT: u32 = 128 * 1024;

/// A peer that has not acknowledged bytes for `silence` is gone.
pub(super) fn tune(stream: &TcpStream, silence: Duration) {
    let _ = stream.set_nodelay(true);
    // The kernel takes an int, and 0 would leave it to the kernel.
    let silence = silence.as_millis().clamp(1, i32::MAX as u128);
    let _ = sockopt::set_tcp_user_timeout(stream, silence as u32);
    // OpenSSH's first packets wait in its Nagle buffer for our acknowledgement; a delayed one costs
    // each login 40 ms. The kernel returns to delaying them by itself.
    let _ = sockopt::set_tcp_quickack(stream, true);
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(NOT_SENT);
}

#[cfg(test)]
mod tests {
    use super::*;

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
