//! How often the kernel has killed in a container because its memory limit was reached, by the files of its
//! control group (cgroups(7)).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::node::Root;

/// Bytes of such a file, at most. It has a dozen short lines.
const MAX_BYTES: usize = 4096;

/// A count, as it was at first.
#[derive(Debug)]
pub(crate) struct Kills {
    file: File,
    before: u64,
}

impl Kills {
    /// By the first of these files that counts; none if none does.
    pub(crate) fn open(node: &Root, files: &[PathBuf]) -> Option<Self> {
        files.iter().find_map(|path| {
            let file = node.file(path).ok()??;
            let before = count(&file)?;
            Some(Self { file, before })
        })
    }

    /// Whether there have been more since.
    pub(crate) fn more(&self) -> bool {
        count(&self.file).is_some_and(|now| now > self.before)
    }
}

fn count(file: &File) -> Option<u64> {
    let mut bytes = [0; MAX_BYTES];
    let length = file.read_at(&mut bytes, 0).ok()?;
    parse(std::str::from_utf8(bytes.get(..length)?).ok()?)
}

fn parse(text: &str) -> Option<u64> {
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{MemfdFlags, memfd_create};

    #[test]
    fn both_versions_of_control_groups_count() {
        let second = "low 0\nhigh 0\nmax 7\noom 2\noom_kill 3\noom_group_kill 0\n";
        assert_eq!(parse(second), Some(3));
        let first = "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n";
        assert_eq!(parse(first), Some(4));
        for text in ["", "oom_kill\n", "oom_kill x\n", "oom_kill_disable 0\n"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn it_counts_from_where_it_began() {
        let file = File::from(memfd_create("events", MemfdFlags::CLOEXEC).unwrap());
        file.write_at(b"oom_kill 5\n", 0).unwrap();
        let before = count(&file).unwrap();
        let kills = Kills { file, before };
        assert!(!kills.more());
        kills.file.write_at(b"oom_kill 6\n", 0).unwrap();
        assert!(kills.more());
    }
}
