//! Writes lines to standard output, or to a file that may be moved away at any time. A write that fails
//! half way leaves a torn line; the whole line is then written again after it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(super) struct Sink {
    /// None for standard output.
    path: Option<PathBuf>,
    file: Option<File>,
    /// Whether the last write ended inside a line.
    torn: bool,
}

impl Sink {
    pub(super) fn stdout() -> Self {
        Self {
            path: None,
            file: None,
            torn: false,
        }
    }

    pub(super) fn file(path: &Path) -> Self {
        Self {
            path: Some(path.to_owned()),
            ..Self::stdout()
        }
    }

    /// Opens the file, unless it is open.
    pub(super) fn open(&mut self) -> io::Result<()> {
        self.file = Some(self.current()?);
        Ok(())
    }

    /// Writes lines, and removes those that are written.
    pub(super) fn write(&mut self, lines: &mut Vec<u8>) -> io::Result<()> {
        let mut file = self.current()?;
        if self.torn {
            file.write_all(b"\n")?;
        }
        let mut written = 0;
        let mut result = Ok(());
        while let Some(rest) = lines.get(written..).filter(|rest| !rest.is_empty()) {
            match file.write(rest) {
                Ok(0) => result = Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => result = Err(error),
            }
            if result.is_err() {
                break;
            }
        }
        let ends = lines.get(..written).unwrap_or_default();
        let whole = ends
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |at| at + 1);
        self.torn = whole < written;
        lines.drain(..whole);
        self.file = Some(file);
        result
    }

    /// Takes the open file if its path still names it, and opens the path otherwise. So logs can be moved
    /// away without a signal.
    fn current(&mut self) -> io::Result<File> {
        match (&self.path, self.file.take()) {
            (None, Some(file)) => Ok(file),
            (None, None) => Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?)),
            (Some(path), Some(file)) if same(path, &file)? => Ok(file),
            (Some(path), before) => {
                // A torn line is in the old file.
                self.torn &= before.is_none();
                let mut options = OpenOptions::new();
                // The log tells who entered what: others may not read it.
                options.create(true).append(true).mode(0o600).open(path)
            }
        }
    }
}

fn same(path: &Path, file: &File) -> io::Result<bool> {
    let open = file.metadata()?;
    match path.metadata() {
        Ok(named) => Ok((named.dev(), named.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_file_that_was_moved_away_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join("log"), dir.path().join("log.1"));
        let mut sink = Sink::file(&path);
        let mut write = |text: &str| sink.write(&mut text.into());
        write("a\n").unwrap();
        std::fs::rename(&path, &moved).unwrap();
        write("b\nc\n").unwrap();
        std::fs::remove_file(&path).unwrap();
        write("d\n").unwrap();
        assert_eq!(std::fs::read(&moved).unwrap(), b"a\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"d\n");
        let mode = path.metadata().unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_cannot_be_written_is_kept_and_written_later() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::create_dir(&path).unwrap();
        let mut sink = Sink::file(&path);
        let mut lines = b"a\n".to_vec();
        assert!(sink.write(&mut lines).is_err());
        assert_eq!(lines, b"a\n");
        std::fs::remove_dir(&path).unwrap();
        sink.write(&mut lines).unwrap();
        assert_eq!(
            (lines.len(), std::fs::read(&path).unwrap()),
            (0, b"a\n".to_vec())
        );
    }

    #[test]
    fn a_torn_line_is_written_again_on_its_own() {
        let (writer, mut reader) = UnixStream::pair().unwrap();
        writer.set_nonblocking(true).unwrap();
        reader.set_nonblocking(true).unwrap();
        let mut sink = Sink {
            file: Some(OwnedFd::from(writer).into()),
            ..Sink::stdout()
        };
        let line = |number: usize| format!("{number:07}-{}\n", "x".repeat(3001));
        let mut lines: Vec<u8> = (0..1000).flat_map(|n| line(n).into_bytes()).collect();
        let (mut seen, mut failed) = (Vec::new(), 0);
        while !lines.is_empty() {
            failed += usize::from(sink.write(&mut lines).is_err());
            // It ends where nothing more is there yet.
            let _ = reader.read_to_end(&mut seen);
        }
        assert!(failed > 0, "all had room");
        let seen = String::from_utf8(seen).unwrap();
        let (whole, torn): (Vec<_>, Vec<_>) = seen.lines().partition(|line| line.len() == 3009);
        let expect: Vec<_> = (0..1000).map(line).collect();
        assert_eq!(
            whole,
            expect
                .iter()
                .map(|line| line.trim_end())
                .collect::<Vec<_>>()
        );
        for part in torn {
            assert!(expect.iter().any(|line| line.starts_with(part)), "{part:?}");
        }
    }
}
