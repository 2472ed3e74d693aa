//! What users read when they come: the banner before the login, and the message of the day when a shell opens
//! on a terminal. Both are files, which may be replaced at any time. As in sshd, a missing one says nothing.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use podgate_process::reload::Reloaded;

use crate::config;

/// Bytes of such a file, at most: it is sent to strangers.
const MOST: usize = 128 * 1024;

/// Why a greeting cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} has more than {MOST} bytes")]
    Long { path: PathBuf },
}

/// The greetings of this frontdoor. All cores share them.
#[derive(Debug)]
pub(crate) struct Greetings {
    banner: Option<Greeting>,
    motd: Option<Greeting>,
}

type Greeting = Reloaded<String, Error>;

impl Greetings {
    /// Reads the files for the first time.
    pub(crate) fn load(files: &config::Greetings) -> Result<Self, Error> {
        let load = |path: &Option<PathBuf>| path.clone().map(follow).transpose();
        Ok(Self {
            banner: load(&files.banner)?,
            motd: load(&files.motd)?,
        })
    }

    /// What everybody reads before the login.
    pub(super) async fn banner(&self) -> Option<String> {
        current(self.banner.as_ref()).await
    }

    /// What a terminal shows before a shell's first prompt.
    pub(super) async fn motd(&self) -> Option<String> {
        // The client's terminal is raw, and no pty here adds the carriage return.
        let text = current(self.motd.as_ref()).await?;
        Some(text.replace("\r\n", "\n").replace('\n', "\r\n"))
    }
}

async fn current(greeting: Option<&Greeting>) -> Option<String> {
    let text = greeting?.current().await;
    (!text.is_empty()).then(|| text.as_str().to_owned())
}

fn follow(path: PathBuf) -> Result<Greeting, Error> {
    Reloaded::load(vec![path.clone()], move || read(&path))
}

fn read(path: &Path) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let opened = File::open(path).and_then(|file| {
        let most = u64::try_from(MOST).unwrap_or(u64::MAX);
        file.take(most + 1).read_to_end(&mut bytes)
    });
    match opened {
        Ok(..=MOST) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Ok(_) => Err(Error::Long { path: path.into() }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(Error::Read {
            path: path.into(),
            source,
        }),
    }
}
