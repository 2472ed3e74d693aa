//! How much is measured, from the command line.

use std::time::Duration;

use anyhow::{Result, bail};

/// What can be measured by itself.
pub(crate) const GROUPS: [&str; 9] = [
    "large", "small", "delayed", "scp", "listing", "prompt", "memory", "beside", "rates",
];

#[derive(Clone, Debug)]
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
    /// Keystrokes, idle and beside transfers each.
    pub(crate) keystrokes: usize,
    /// For how long a rate is looked at.
    pub(crate) rated: Duration,
    /// Only these; all if there are none.
    groups: Vec<String>,
}

impl Sizes {
    pub(crate) fn asked() -> Result<Self> {
        let mut sizes = Self {
            large: 1 << 30,
            delayed: 256 << 20,
            small: 10_000,
            listed: 100_000,
            rounds: 5,
            keystrokes: 1000,
            rated: Duration::from_secs(10),
            groups: Vec::new(),
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
                        keystrokes: 200,
                        rated: Duration::from_secs(3),
                        ..sizes
                    }
                }
                group if GROUPS.contains(&group) => sizes.groups.push(word),
                other => bail!("{other:?} is none of: --quick {}", GROUPS.join(" ")),
            }
        }
        Ok(sizes)
    }

    /// Whether this group is to be measured.
    pub(crate) fn has(&self, group: &str) -> bool {
        self.groups.is_empty() || self.groups.iter().any(|it| it == group)
    }
}
