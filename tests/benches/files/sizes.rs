//! How much is measured, from the command line.

use anyhow::{Result, bail};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Bytes of the large file.
    pub(crate) large: u64,
    /// Bytes of the file that goes over the slow network.
    pub(crate) delayed: u64,
    /// Files of 1 KiB.
    pub(crate) small: usize,
    /// Entries of the folder that is listed.
    pub(crate) listed: usize,
    /// Runs, each way.
    pub(crate) rounds: usize,
}

impl Sizes {
    pub(crate) fn asked() -> Result<Self> {
        let mut sizes = Self {
            large: 1 << 30,
            delayed: 256 << 20,
            small: 10_000,
            listed: 100_000,
            rounds: 5,
        };
        for word in std::env::args().skip(1) {
            match word.as_str() {
                // cargo's own.
                "--bench" => {}
                "--quick" => {
                    sizes = Self {
                        large: 32 << 20,
                        delayed: 4 << 20,
                        small: 200,
                        listed: 2000,
                        rounds: 1,
                    }
                }
                other => bail!("{other:?} is none of: --quick"),
            }
        }
        Ok(sizes)
    }
}
