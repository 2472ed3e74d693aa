//! Requests about the bytes of files.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;

use podgate_sftp::attributes::Attributes;
use podgate_sftp::request::{CopyData, OpenFlags};
use rustix::fs::{self, OFlags};
use rustix::io::Errno;

use super::failure::Failure;
use super::handles::{Handles, OpenFile};
use super::metadata;
use crate::system::close;

/// The mode of a new file where the client gives none. The process's umask narrows it.
const NEW: u32 = 0o666;
/// Bytes that one step of a copy moves.
const STEP: usize = 64 * 1024;

/// Opens a file.
pub(crate) fn open(
    path: &[u8],
    flags: OpenFlags,
    attributes: &Attributes,
) -> Result<OpenFile, Failure> {
    let mode = metadata::mode(attributes.permissions.unwrap_or(NEW));
    let fd = fs::open(path, open_flags(flags), mode)?;
    Ok(OpenFile {
        file: File::from(fd),
        path: path.to_vec(),
        append: flags.append(),
        told: false,
    })
}

fn open_flags(flags: OpenFlags) -> OFlags {
    let mut open = match (flags.read(), flags.write()) {
        (true, true) => OFlags::RDWR,
        (false, true) => OFlags::WRONLY,
        (_, false) => OFlags::RDONLY,
    };
    let optional = [
        (flags.append(), OFlags::APPEND),
        (flags.create(), OFlags::CREATE),
        (flags.truncate(), OFlags::TRUNC),
        (flags.exclusive(), OFlags::EXCL),
    ];
    for (asked, flag) in optional {
        open.set(flag, asked);
    }
    open | OFlags::CLOEXEC | OFlags::NOCTTY
}

impl OpenFile {
    pub(crate) fn read(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Failure> {
        match self.file.read_at(buffer, offset) {
            Ok(0) => Err(Failure::EOF),
            read => Ok(read?),
        }
    }

    /// Writes all of it.
    pub(crate) fn write(&mut self, bytes: &[u8], offset: u64) -> Result<(), Failure> {
        let written = match self.append {
            true => self.file.write_all(bytes),
            false => self.file.write_all_at(bytes, offset),
        };
        written.inspect_err(|error| self.told = tell(self.told, &self.path, error))?;
        Ok(())
    }

    /// Closes it.
    pub(crate) fn close(self) -> Result<(), Failure> {
        let Self {
            file, path, told, ..
        } = self;
        close(file).inspect_err(|error| {
            tell(told, &path, error);
        })?;
        Ok(())
    }
}

/// A client shows its user no more than "Failure" when a disk is full. So the reason goes to stderr, once
/// a file. Answers whether it was told.
fn tell(told: bool, path: &[u8], error: &std::io::Error) -> bool {
    let full = [Errno::NOSPC, Errno::DQUOT, Errno::FBIG, Errno::IO];
    let errno = Errno::from_io_error(error).filter(|errno| full.contains(errno));
    if let Some(errno) = errno.filter(|_| !told) {
        let words = Failure::from(errno).words;
        eprintln!("podgate: {}: {words}", path.escape_ascii());
    }
    told || errno.is_some()
}

/// Copies from one open file to another.
pub(crate) fn copy(handles: &mut Handles, copy: &CopyData<'_>) -> Result<(), Failure> {
    let limit = match copy.length {
        0 => u64::MAX,
        length => length,
    };
    let end = |offset: u64| offset.saturating_add(limit);
    let overlap = copy.from_offset < end(copy.to_offset) && copy.to_offset < end(copy.from_offset);
    if copy.from == copy.to && overlap {
        return Err(Failure::INVALID);
    }
    let from = handles.file(copy.from)?.file.try_clone()?;
    let to = handles.file(copy.to)?;
    let mut buffer = vec![0; STEP];
    let mut copied = 0;
    while copied < limit {
        let most = usize::try_from(limit - copied).unwrap_or(STEP).min(STEP);
        let step = buffer.get_mut(..most).unwrap_or_default();
        let read = from.read_at(step, copy.from_offset.saturating_add(copied))?;
        if read == 0 && copy.length == 0 {
            break;
        }
        if read == 0 {
            return Err(Failure::EOF);
        }
        let bytes = step.get(..read).unwrap_or_default();
        to.write(bytes, copy.to_offset.saturating_add(copied))?;
        copied += read as u64;
    }
    Ok(())
}
