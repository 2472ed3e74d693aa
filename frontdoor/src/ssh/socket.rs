//! Options of a client's TCP connection that decide how soon a keystroke goes out and a dead peer is
//! noticed. A socket that cannot have one still works, so none is an error.

use std::time::Duration;

use rustix::net::sockopt;
use socket2::SockRef;
use tokio::net::TcpStream;

/// Bytes that were sent and not acknowledged for this long mean that the peer is gone.
const USER_TIMEOUT: Duration = Duration::from_secs(90);

/// Bytes that wait in the socket before it takes more. A shell's echo waits behind what its connection's
/// bulk channels have there.
const NOT_SENT: u32 = 128 * 1024;

pub(super) fn tune(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = sockopt::set_tcp_user_timeout(stream, USER_TIMEOUT.as_millis() as u32);
    // OpenSSH's first packets wait in its Nagle buffer for our acknowledgement; a delayed one costs
    // each login 40 ms. The kernel returns to delaying them by itself.
    let _ = sockopt::set_tcp_quickack(stream, true);
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(NOT_SENT);
}
