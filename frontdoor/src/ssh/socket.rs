//! Options of a client's TCP connection: they decide how soon a keystroke goes out, and how soon a dead peer
//! is noticed. A socket without one of them still works, so a failure is no error.

use std::time::Duration;

use rustix::net::sockopt;
use socket2::SockRef;
use tokio::net::TcpStream;

/// A peer that has not acknowledged bytes for this long is gone.
const USER_TIMEOUT: Duration = Duration::from_secs(90);

/// Bytes that may wait in the socket. A shell's echo waits behind those of its connection's bulk channels.
const NOT_SENT: u32 = 128 * 1024;

pub(super) fn tune(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = sockopt::set_tcp_user_timeout(stream, USER_TIMEOUT.as_millis() as u32);
    // OpenSSH's first packets wait in its Nagle buffer for our acknowledgement; a delayed one costs
    // each login 40 ms. The kernel returns to delaying them by itself.
    let _ = sockopt::set_tcp_quickack(stream, true);
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(NOT_SENT);
}
