//! Receives files: `scp -t`.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, CWD, Mode, OFlags, Timestamps};

use super::error::Error;
use super::line::{Line, Options};
use super::link::Link;
use crate::system::{close, timestamps};

/// Folders within folders, at most.
const MAX_DEPTH: usize = 256;
/// What the receiver needs of a folder while it fills it.
const OWN: u32 = 0o700;

/// Receives into this path.
pub(crate) fn run<R: Read, W: Write>(
    link: &mut Link<R, W>,
    path: &[u8],
    options: Options,
) -> Result<(), Error> {
    let target = Path::new(OsStr::from_bytes(path));
    if options.into_folder && !target.is_dir() {
        return link.warn(path, &"Not a directory");
    }
    let mut sink = Sink { link, options };
    sink.link.accept()?;
    sink.receive(target, 0)
}

struct Sink<'a, R, W> {
    link: &'a mut Link<R, W>,
    options: Options,
}

/// What a line says of a file or folder.
struct Told {
    path: PathBuf,
    mode: u32,
    times: Option<Timestamps>,
}

impl<R: Read, W: Write> Sink<'_, R, W> {
    /// Receives what comes into a path, until the folder ends, or the input.
    fn receive(&mut self, target: &Path, depth: usize) -> Result<(), Error> {
        let mut times = None;
        while let Some(line) = self.link.line()? {
            let read = Line::read(&line).ok_or(Error::Protocol("a line that tells of no file"))?;
            let told = |name: &[u8], mode, times| Told {
                // A name is given below a folder, and else stands for the path itself.
                path: match target.is_dir() {
                    true => target.join(OsStr::from_bytes(name)),
                    false => target.to_owned(),
                },
                mode,
                times,
            };
            match read {
                Line::File { mode, size, name } => {
                    self.file(&told(name, mode, times.take()), size)?;
                }
                Line::Folder { .. } if !self.options.recursive => {
                    return Err(Error::Protocol("a folder without -r"));
                }
                Line::Folder { .. } if depth >= MAX_DEPTH => {
                    return Err(Error::Protocol("folders within folders too deep"));
                }
                Line::Folder { mode, name } => {
                    self.folder(&told(name, mode, times.take()), depth)?;
                }
                Line::End if depth > 0 => return Ok(()),
                Line::End => return Err(Error::Protocol("the end of a folder that has not begun")),
                Line::Times { changed, accessed } => {
                    times = Some(timestamps(accessed, changed));
                    self.link.accept()?;
                }
                Line::Warning(_) => self.link.fail(),
                Line::Fatal(words) => {
                    return Err(Error::GivenUp(words.escape_ascii().to_string()));
                }
            }
        }
        match depth {
            0 => Ok(()),
            _ => Err(Error::Protocol("no end of a folder")),
        }
    }

    fn folder(&mut self, told: &Told, depth: usize) -> Result<(), Error> {
        let path = &told.path;
        let made = match fs::mkdir(path, Mode::from_raw_mode(told.mode | OWN)) {
            Err(rustix::io::Errno::EXIST) if path.is_dir() => Ok(false),
            made => made.map(|()| true),
        };
        let made = match made {
            Ok(made) => made,
            Err(error) => return self.link.warn(path.as_os_str().as_bytes(), &error),
        };
        self.link.accept()?;
        self.receive(path, depth + 1)?;
        let mut done = Ok(());
        if let Some(times) = &told.times {
            done = fs::utimensat(CWD, path, times, AtFlags::empty());
        }
        if self.options.preserve || (made && told.mode & OWN != OWN) {
            done = done.and(fs::chmod(path, Mode::from_raw_mode(told.mode)));
        }
        self.finish(path, done.map_err(io::Error::from))
    }

    fn file(&mut self, told: &Told, size: u64) -> Result<(), Error> {
        let path = &told.path;
        let before = path.metadata().ok();
        let mode = Mode::from_raw_mode(told.mode);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOCTTY;
        let mut file = match fs::open(path, flags, mode) {
            Ok(fd) => File::from(fd),
            Err(error) => return self.link.warn(path.as_os_str().as_bytes(), &error),
        };
        self.link.accept()?;
        let written = self.bytes(&mut file, size)?;
        // The sender tells whether it could read all of them.
        let sent = self.link.answer()?;
        let done = written.and_then(|()| self.attributes(&file, size, told, before.as_ref()));
        let done = done.and(close(file));
        match sent {
            true => self.finish(path, done),
            false => Ok(()),
        }
    }

    /// Takes all bytes of a file, even after a failure.
    fn bytes(&mut self, file: &mut File, size: u64) -> Result<io::Result<()>, Error> {
        let (mut due, mut written) = (size, Ok(()));
        while due > 0 {
            let bytes = self.link.take(due)?;
            let length = bytes.len();
            if written.is_ok() {
                written = file.write_all(bytes);
            }
            self.link.taken(length);
            due -= length as u64;
        }
        Ok(written)
    }

    fn attributes(
        &self,
        file: &File,
        size: u64,
        told: &Told,
        before: Option<&Metadata>,
    ) -> io::Result<()> {
        if before.is_some_and(Metadata::is_file) {
            file.set_len(size)?;
        }
        if self.options.preserve {
            fs::fchmod(file, Mode::from_raw_mode(told.mode))?;
        }
        match &told.times {
            Some(times) => Ok(fs::futimens(file, times)?),
            None => Ok(()),
        }
    }

    fn finish(&mut self, path: &Path, done: io::Result<()>) -> Result<(), Error> {
        match done {
            Ok(()) => self.link.accept(),
            Err(error) => self.link.warn(path.as_os_str().as_bytes(), &error),
        }
    }
}
