//! Why something that a client has asked for was refused, where the refusal itself has no words: in a debug
//! message, as sshd sends them (`ssh -v` shows it), and at its next terminal.

use std::sync::{Mutex, PoisonError};

use russh::server::Handle;

/// Lines that are kept, at the most.
const MOST: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Notices(Mutex<Vec<String>>);

/// The published russh sends no debug message outside of its callbacks. The patched one has an inherent
/// method, which takes precedence over this trait's.
#[allow(
    dead_code,
    reason = "it depends on the russh that is built with whether this is used"
)]
trait AsPublished {
    fn debug(&self, _always_display: bool, _message: String) -> Result<(), ()> {
        Ok(())
    }
}

impl AsPublished for Handle {}

impl Notices {
    /// Tells the client a line. It is kept for a terminal unless there are too many already.
    pub(super) fn tell(&self, line: String, connection: &Handle) {
        // The client may be gone.
        let _ = connection.debug(true, format!("podgate: {line}"));
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < MOST {
            lines.push(line);
        }
    }

    pub(super) fn take(&self) -> Vec<String> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut lines)
    }
}
