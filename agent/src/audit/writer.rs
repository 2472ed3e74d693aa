//! The one thread that writes, to standard output or a file that may be moved away at any time. A line
//! that cannot be written is tried again, while those behind it wait.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::To;
use crate::metrics::Metrics;

/// Between two tries.
const AGAIN: Duration = Duration::from_secs(1);

/// Writes until no line can come any more and all are written, or cannot be.
pub(super) fn run(
    lines: &Receiver<Vec<u8>>,
    mut sink: Sink,
    fails: &AtomicBool,
    closed: &CancellationToken,
    metrics: &Metrics,
) {
    while let Ok(line) = lines.recv() {
        loop {
            let last_try = closed.is_cancelled();
            let result = sink.write(&line);
            let failed = fails.swap(result.is_err(), Ordering::Relaxed);
            match result {
                Ok(()) => {
                    if failed {
                        tracing::info!("the audit log is written again");
                    }
                    metrics.audit("written");
                    break;
                }
                Err(error) if !failed => tracing::error!(%error, "the audit log cannot be written"),
                Err(_) => {}
            }
            if last_try {
                metrics.audit("lost");
                break;
            }
            // Woken when it is closed.
            thread::park_timeout(AGAIN);
        }
    }
}

#[derive(Debug)]
pub(super) struct Sink {
    /// None for standard output.
    path: Option<PathBuf>,
    file: Option<File>,
    /// Whether a part of a line is the last that was written.
    torn: bool,
}

impl Sink {
    pub(super) fn new(to: &To) -> Self {
        let path = match to {
            To::File(path) => Some(path.clone()),
            To::Stdout | To::Nowhere => None,
        };
        Self {
            path,
            file: None,
            torn: false,
        }
    }

    /// Opens it, unless it is open.
    pub(super) fn open(&mut self) -> io::Result<()> {
        self.file = Some(self.current()?);
        Ok(())
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let mut file = self.current()?;
        // What was torn stands alone, and the line is written again.
        if self.torn {
            file.write_all(b"\n")?;
        }
        self.torn = false;
        let mut written = 0;
        let result = loop {
            match file.write(line.get(written..).unwrap_or_default()) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
            if written >= line.len() {
                break Ok(());
            }
        };
        self.torn = result.is_err() && written > 0;
        self.file = Some(file);
        result
    }

    /// Takes what is open, if it is still what the path names: whoever moves logs away need tell nobody.
    fn current(&mut self) -> io::Result<File> {
        match (&self.path, self.file.take()) {
            (None, Some(file)) => Ok(file),
            (None, None) => Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?)),
            (Some(path), Some(file)) if same(path, &file)? => Ok(file),
            (Some(path), before) => {
                // The half of a line is in the one before.
                self.torn &= before.is_none();
                let mut options = OpenOptions::new();
                // Others need not read who enters what.
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
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn what_cannot_be_written_by_the_end_is_counted() {
        let metrics = Metrics::new();
        let (sender, lines) = mpsc::sync_channel(3);
        for line in ["{}\n"; 3] {
            sender.try_send(line.into()).unwrap();
        }
        drop(sender);
        let (fails, closed) = (AtomicBool::new(false), CancellationToken::new());
        closed.cancel();
        let full = Sink::new(&To::File("/dev/full".into()));
        run(&lines, full, &fails, &closed, &metrics);
        let text = metrics.render().unwrap();
        let lost = "podgate_agent_audit_events_total{outcome=\"lost\"} 3";
        assert!(text.lines().any(|line| line == lost), "{text}");
    }
}
