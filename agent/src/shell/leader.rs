//! Pure: the process that leads a session, as /proc/PID/stat in its container describes it. Whoever runs
//! there chooses the name in that line.

use serde::{Deserialize, Serialize};

/// The process that leads a session, as its own container sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Leader {
    /// Its pid in there.
    pub(crate) pid: u32,
    /// In clock ticks since boot.
    pub(crate) start_time: u64,
}

impl Leader {
    /// Reads a line of /proc/PID/stat (proc(5)).
    pub(crate) fn from_stat(line: &str) -> Option<Self> {
        let pid = line.split(' ').next()?.parse().ok()?;
        let (_, rest) = line.rsplit_once(") ")?;
        let start_time = rest.split(' ').nth(19)?.parse().ok()?;
        Some(Self { pid, start_time })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_confuse() {
        let fields = "S 1 7 7 0 -1 4194560 100 0 0 0 0 0 0 0 20 0 1 0 987654 0";
        let leader = Leader::from_stat(&format!("7 (a) b (c) {fields}"));
        assert_eq!(
            leader,
            Some(Leader {
                pid: 7,
                start_time: 987_654
            })
        );
        assert_eq!(Leader::from_stat("7 (sh"), None);
    }

    #[test]
    fn replays_the_fuzz_corpus() {
        let corpus = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/fuzz/corpus/process_stat"
        );
        let mut leaders = 0;
        for entry in std::fs::read_dir(corpus).unwrap() {
            let line = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            leaders += usize::from(Leader::from_stat(&line).is_some());
        }
        assert!(leaders > 0, "the corpus is gone");
    }
}
