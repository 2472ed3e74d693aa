//! What tests can break in a kubelet while it runs, besides its listener. Each setting applies to later
//! requests; settings for byte streams also apply to open execs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What becomes of the next execs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ExecFault {
    /// They are served.
    #[default]
    None,
    /// The request is read and never answered.
    Unanswered,
    /// 101 comes; then the client's bytes are read and nothing is ever sent.
    Mute,
    /// Answered with this status and body instead; 429 with `Retry-After: 1`.
    Answer(u16, String),
}

/// Which certificate the kubelet shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerCertificate {
    /// Of the stand's authority, for the node's name alone.
    #[default]
    Good,
    /// For the node's name, of another authority.
    Untrusted,
    /// Of the stand's authority, for another node's name.
    WrongName,
}

/// The faults of one kubelet; all off at first.
#[derive(Debug, Default)]
pub struct Faults {
    exec: Mutex<ExecFault>,
    pods: Mutex<Option<(u16, String)>>,
    certificate: Mutex<ServerCertificate>,
    read_rate: AtomicU64,
    /// One more than the limit; 0 for none.
    cut_after: AtomicU64,
    omit_status: AtomicBool,
    lose_input: AtomicBool,
    frozen: AtomicBool,
}

impl Faults {
    /// What becomes of the next execs.
    pub fn set_exec(&self, fault: ExecFault) {
        *self.exec.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// Answers `/pods` with this status and body; `None` serves it again.
    pub fn set_pods(&self, answer: Option<(u16, String)>) {
        *self.pods.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    /// The certificate shown at the next handshakes.
    pub fn set_certificate(&self, certificate: ServerCertificate) {
        *self
            .certificate
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = certificate;
    }

    /// Reads the bytes of exec clients at most this fast, in bytes per second; 0 is unlimited.
    pub fn set_read_rate(&self, bytes_per_second: u64) {
        self.read_rate.store(bytes_per_second, Ordering::Relaxed);
    }

    /// Sends each exec client at most this many bytes after the 101, then drops the connection,
    /// in the middle of a frame or not.
    pub fn set_cut_after(&self, bytes: Option<u64>) {
        let bytes = bytes.map_or(0, |bytes| bytes.saturating_add(1));
        self.cut_after.store(bytes, Ordering::Relaxed);
    }

    /// Leaves the status out at the end of an exec. With containerd it holds for execs started
    /// after it, and any data frame that looks like a status is left out.
    pub fn set_omit_status(&self, omit: bool) {
        self.omit_status.store(omit, Ordering::Relaxed);
    }

    /// Loses what clients send as input, and its end. With containerd it holds for execs started after it
    /// whose stdin has the id 3.
    pub fn set_lose_input(&self, lose: bool) {
        self.lose_input.store(lose, Ordering::Relaxed);
    }

    /// From now on passes nothing more on of what runtimes say, and does not end its clients'
    /// connections as theirs end (kubernetes issue 129144). With containerd alone.
    pub fn set_frozen(&self, frozen: bool) {
        self.frozen.store(frozen, Ordering::Relaxed);
    }

    pub(super) fn frozen(&self) -> bool {
        self.frozen.load(Ordering::Relaxed)
    }

    pub(super) fn exec(&self) -> ExecFault {
        self.exec
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn pods(&self) -> Option<(u16, String)> {
        self.pods
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn certificate(&self) -> ServerCertificate {
        *self
            .certificate
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read_rate(&self) -> u64 {
        self.read_rate.load(Ordering::Relaxed)
    }

    pub(super) fn cut_after(&self) -> Option<u64> {
        self.cut_after.load(Ordering::Relaxed).checked_sub(1)
    }

    pub(super) fn omit_status(&self) -> bool {
        self.omit_status.load(Ordering::Relaxed)
    }

    pub(super) fn lose_input(&self) -> bool {
        self.lose_input.load(Ordering::Relaxed)
    }
}
