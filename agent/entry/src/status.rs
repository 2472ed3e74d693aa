//! How a program ended.

use serde::{Deserialize, Serialize};

/// A program's end, as its parent is told (wait(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It exited with this status.
    Exited(u8),
    /// A signal ended it.
    Signalled {
        /// The signal's number.
        signal: u8,
        /// Whether the kernel has written a core file.
        core: bool,
    },
}

impl Status {
    /// From the number that wait(2) gives.
    pub fn from_wait(status: i32) -> Self {
        let [low, high, ..] = status.to_le_bytes();
        match low & 0x7f {
            0 => Self::Exited(high),
            signal => Self::Signalled {
                signal,
                core: low & 0x80 != 0,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_as_the_kernel_writes_it() {
        assert_eq!(Status::from_wait(7 << 8), Status::Exited(7));
        let killed = |core| Status::Signalled { signal: 9, core };
        assert_eq!(Status::from_wait(9), killed(false));
        assert_eq!(Status::from_wait(9 | 0x80), killed(true));
    }
}
