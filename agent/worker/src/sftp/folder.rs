//! Listings of folders.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use podgate_sftp::reply::Name;
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, Stat};

use super::failure::Failure;
use super::metadata;
use super::names::Owners;

/// Names in one answer, at most. With the longest ones, an answer stays below [`MAX_MESSAGE`]
/// (podgate_sftp), and short ones fill what a client that knows only the draft takes (34,000 bytes).
const BATCH: usize = 100;
/// A file that was changed longer ago than this is listed with its year, as ls(1) does.
const HALF_A_YEAR: i64 = 365 * 24 * 3600 / 2;

/// An open folder.
#[derive(Debug)]
pub(crate) struct Folder(Dir);

impl Folder {
    pub(crate) fn open(path: &[u8]) -> Result<Self, Failure> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(Dir::new(fs::open(path, flags, Mode::empty())?)?))
    }

    /// The next names. A name that has gone meanwhile is left out.
    pub(crate) fn next(&mut self, owners: &Owners) -> Result<Vec<Name>, Failure> {
        let mut names = Vec::new();
        while names.len() < BATCH {
            let Some(entry) = self.0.read() else { break };
            let entry = entry?;
            let name = entry.file_name();
            let folder = self.0.fd()?;
            let Ok(stat) = fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            names.push(Name {
                long: long(&stat, name.to_bytes(), owners),
                name: name.to_bytes().to_vec(),
                attributes: metadata::attributes(&stat),
            });
        }
        match names.is_empty() {
            true => Err(Failure::EOF),
            false => Ok(names),
        }
    }
}

/// A line as OpenSSH's server gives it, which is that of `ls -l`.
#[allow(
    clippy::useless_conversion,
    reason = "the types of `Stat` differ between architectures"
)]
fn long(stat: &Stat, name: &[u8], owners: &Owners) -> Vec<u8> {
    let mut line = Vec::with_capacity(64 + name.len());
    line.extend_from_slice(&permissions(stat.st_mode));
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write!(text, " {:3} ", u64::from(stat.st_nlink));
    line.extend_from_slice(text.as_bytes());
    for owner in [owners.user(stat.st_uid), owners.group(stat.st_gid)] {
        line.extend_from_slice(&owner);
        line.resize(
            line.len() + 9_usize.saturating_sub(owner.len()).max(1),
            b' ',
        );
    }
    text.clear();
    let _ = write!(text, "{:8} {} ", stat.st_size, time(stat.st_mtime.into()));
    line.extend_from_slice(text.as_bytes());
    line.extend_from_slice(name);
    line
}

fn permissions(mode: u32) -> [u8; 10] {
    let kind = match FileType::from_raw_mode(mode) {
        FileType::RegularFile => b'-',
        FileType::Directory => b'd',
        FileType::Symlink => b'l',
        FileType::Fifo => b'p',
        FileType::Socket => b's',
        FileType::CharacterDevice => b'c',
        FileType::BlockDevice => b'b',
        FileType::Unknown => b'?',
    };
    let bit = |bit: u32, letter: u8| if mode & bit != 0 { letter } else { b'-' };
    // Shows set-user-id, set-group-id and sticky in place of an x.
    let execute = |bit: u32, special: u32, letter: u8| match (mode & bit != 0, mode & special != 0)
    {
        (true, true) => letter,
        (false, true) => letter.to_ascii_uppercase(),
        (true, false) => b'x',
        (false, false) => b'-',
    };
    [
        kind,
        bit(0o400, b'r'),
        bit(0o200, b'w'),
        execute(0o100, 0o4000, b's'),
        bit(0o40, b'r'),
        bit(0o20, b'w'),
        execute(0o10, 0o2000, b's'),
        bit(0o4, b'r'),
        bit(0o2, b'w'),
        execute(0o1, 0o1000, b't'),
    ]
}

fn time(seconds: i64) -> String {
    let now = Timestamp::now().as_second();
    let format = match (0..HALF_A_YEAR).contains(&(now - seconds)) {
        true => "%b %e %H:%M",
        false => "%b %e  %Y",
    };
    match Timestamp::from_second(seconds) {
        Ok(time) => time
            .to_zoned(TimeZone::system())
            .strftime(format)
            .to_string(),
        Err(_) => seconds.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_shown_as_ls_shows_them() {
        let cases = [
            (0o100_644, b"-rw-r--r--"),
            (0o040_755, b"drwxr-xr-x"),
            (0o120_777, b"lrwxrwxrwx"),
            (0o041_777, b"drwxrwxrwt"),
            (0o041_776, b"drwxrwxrwT"),
            (0o104_755, b"-rwsr-xr-x"),
            (0o102_644, b"-rw-r-Sr--"),
            (0o010_600, b"prw-------"),
            (0o140_000, b"s---------"),
            (0o020_000, b"c---------"),
            (0o060_000, b"b---------"),
        ];
        for (mode, shown) in cases {
            assert_eq!(permissions(mode), *shown, "{mode:o}");
        }
    }
}
