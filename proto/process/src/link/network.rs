//! What the kernel knows of a connection's network. There is no safe wrapper for this call.
#![allow(unsafe_code, reason = "each block says why it is sound")]

use std::os::fd::AsRawFd;
use std::time::Duration;

use podgate_proto::limits::UNACKNOWLEDGED;
use tokio::net::TcpStream;

/// Questions in a row without an answer: one may be on its way.
const UNANSWERED: u8 = 2;

/// Whether the peer's system no longer answers what the kernel sends (tcp(7), TCP_INFO). A system answers
/// also for a program that reads nothing, which TCP_USER_TIMEOUT would give up.
pub(super) fn is_gone(stream: &TcpStream) -> bool {
    let Some(info) = info(stream) else {
        return false;
    };
    let quiet = Duration::from_millis(info.tcpi_last_ack_recv.into());
    let asked = info.tcpi_retransmits.saturating_add(info.tcpi_probes);
    quiet >= UNACKNOWLEDGED && asked >= UNANSWERED
}

fn info(stream: &TcpStream) -> Option<libc::tcp_info> {
    // SAFETY: all of its fields are numbers, for which zero is valid.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).ok()?;
    // SAFETY: the kernel writes no more than `length` bytes to `info`, and `stream` is open.
    let failed = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &mut length,
        )
    };
    (failed == 0).then_some(info)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_kernel_tells_of_a_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let told = info(&stream).unwrap();
        assert!(told.tcpi_snd_mss > 0 && told.tcpi_last_ack_recv < 60_000);
        assert!(!is_gone(&stream));
    }
}
