//! Sends files: `scp -f`.

use std::ffi::OsStr;
use std::fs::{DirEntry, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{self, Mode, OFlags};

use super::error::Error;
use super::line::{Options, tell};
use super::link::{BUFFER, Link};

/// Folders within folders, at most: links can lead round in circles.
const MAX_DEPTH: usize = 256;

/// Sends each path.
pub(crate) fn run<R: Read, W: Write>(
    link: &mut Link<R, W>,
    paths: impl Iterator<Item = Vec<u8>>,
    options: Options,
) -> Result<(), Error> {
    let mut source = Source {
        link,
        options,
        buffer: vec![0; BUFFER],
    };
    // The client is ready.
    source.link.answer()?;
    for path in paths {
        source.send(Path::new(OsStr::from_bytes(&path)), 0)?;
    }
    Ok(())
}

struct Source<'a, R, W> {
    link: &'a mut Link<R, W>,
    options: Options,
    buffer: Vec<u8>,
}

impl<R: Read, W: Write> Source<'_, R, W> {
    fn send(&mut self, path: &Path, depth: usize) -> Result<(), Error> {
        // Without waiting for whoever writes to a FIFO.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = fs::open(path, flags, Mode::empty()).map_err(io::Error::from);
        let opened = opened.map(File::from);
        let opened = opened.and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.warn(path, &error),
        };
        if metadata.is_file() {
            return self.file(path, &metadata, file);
        }
        match metadata.is_dir() && self.options.recursive {
            true if depth < MAX_DEPTH => self.folder(path, &metadata, depth),
            true => self.warn(path, &"folders within folders too deep"),
            false => self.warn(path, &"not a regular file"),
        }
    }

    fn warn(&mut self, path: &Path, why: &dyn std::fmt::Display) -> Result<(), Error> {
        self.link.warn(path.as_os_str().as_bytes(), why)
    }

    /// Tells the client of a file or folder. Returns whether the client wants it.
    fn tell(&mut self, kind: char, path: &Path, metadata: &Metadata) -> Result<bool, Error> {
        if self.options.preserve {
            let (changed, accessed) = (metadata.mtime().max(0), metadata.atime().max(0));
            let line = format!("T{changed} 0 {accessed} 0\n");
            self.link.write(line.as_bytes())?;
            if !self.link.answer()? {
                return Ok(false);
            }
        }
        let size = if kind == 'C' { metadata.len() } else { 0 };
        // `..` and `/` have no name of their own.
        let real = path.canonicalize().unwrap_or_default();
        let name = path.file_name().or(real.file_name());
        let name = name.map_or(&b"."[..], OsStr::as_bytes);
        self.link.write(&tell(kind, metadata.mode(), size, name))?;
        self.link.answer()
    }

    fn file(&mut self, path: &Path, metadata: &Metadata, mut file: File) -> Result<(), Error> {
        if !self.tell('C', path, metadata)? {
            return Ok(());
        }
        let (mut due, mut failed) = (metadata.len(), None);
        while due > 0 {
            let most = usize::try_from(due).unwrap_or(BUFFER).min(BUFFER);
            let part = self.buffer.get_mut(..most).unwrap_or_default();
            let read = match failed {
                None => file.read(part),
                Some(_) => Ok(0),
            };
            let read = match read {
                Ok(0) => {
                    // The client waits for all bytes that were announced. It gets zeros, and is told of
                    // the failure.
                    failed.get_or_insert_with(|| io::Error::other("the file became shorter"));
                    part.fill(0);
                    most
                }
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    failed = Some(error);
                    continue;
                }
            };
            self.link.write(part.get(..read).unwrap_or_default())?;
            due -= read as u64;
        }
        match failed {
            None => self.link.accept()?,
            Some(error) => self.warn(path, &error)?,
        }
        self.link.answer()?;
        Ok(())
    }

    fn folder(&mut self, path: &Path, metadata: &Metadata, depth: usize) -> Result<(), Error> {
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return self.warn(path, &error),
        };
        if !self.tell('D', path, metadata)? {
            return Ok(());
        }
        for entry in entries {
            match entry.as_ref().map(DirEntry::path) {
                Ok(path) => self.send(&path, depth + 1)?,
                Err(error) => self.warn(path, error)?,
            }
        }
        self.link.write(b"E\n")?;
        self.link.answer()?;
        Ok(())
    }
}
