//! The agent's token for the kubelet, read from its file at each use: the kubelet renews it. A thread
//! reads, and while the file system stalls, the last token serves.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use podgate_process::file_thread::FileThread;

#[derive(Debug)]
pub(super) struct TokenFile {
    pub(super) path: PathBuf,
    thread: FileThread,
    last: Mutex<Option<String>>,
}

impl TokenFile {
    pub(super) fn new(path: PathBuf) -> io::Result<Self> {
        Ok(Self {
            path,
            thread: FileThread::start("token")?,
            last: Mutex::default(),
        })
    }

    /// The token as it is now, or was before the file system stalled.
    pub(super) async fn read(&self) -> io::Result<String> {
        let path = self.path.clone();
        let read = self.thread.run(move || fs::read_to_string(path)).await;
        let last = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(text) => {
                let token = text?.trim().to_owned();
                *last() = Some(token.clone());
                Ok(token)
            }
            Err(stalled) => {
                let token = last().clone();
                token.ok_or_else(|| io::Error::new(ErrorKind::TimedOut, stalled))
            }
        }
    }
}
