//! Which files a session reads and writes, as its streams of bytes show it on their way. What comes from
//! a container is taken for no more than what a stranger says, and everything that is kept is bounded.

mod done;
mod scp;
mod sftp;
mod summary;

use podgate_proto::v1::files::Protocol;
use podgate_proto::v1::open::Action;

pub(super) use done::FileDone;
#[cfg(test)]
pub(super) use done::{Direction, FileHash};
use scp::ScpWatch;
use sftp::SftpWatch;
pub(super) use summary::{Summary, Summed};

/// Watches one session of files.
#[derive(Debug)]
pub(super) enum FilesWatch {
    Sftp(SftpWatch),
    Scp(ScpWatch),
}

impl FilesWatch {
    /// Its word in metrics.
    pub(super) fn protocol(&self) -> &'static str {
        match self {
            Self::Sftp(_) => "sftp",
            Self::Scp(_) => "scp",
        }
    }

    /// That of an action, if it is about files.
    pub(super) fn of(action: &Action) -> Option<Self> {
        let Action::Files(files) = action else {
            return None;
        };
        Some(match files.protocol.as_ref()? {
            Protocol::Sftp(_) => Self::Sftp(SftpWatch::default()),
            Protocol::Scp(scp) => Self::Scp(ScpWatch::new(scp)),
        })
    }

    /// Makes the SHA-256 of what is read and written from now on, or does not.
    pub(super) fn hash(&mut self, wanted: bool) {
        match self {
            Self::Sftp(sftp) => sftp.hash(wanted),
            Self::Scp(scp) => scp.hash(wanted),
        }
    }

    /// Sees bytes from the client. Answers what is over.
    pub(super) fn took(&mut self, bytes: &[u8]) -> Vec<FileDone> {
        match self {
            Self::Sftp(sftp) => sftp.took(bytes),
            Self::Scp(scp) => scp.took(bytes),
        }
    }

    /// Sees bytes to the client. Answers what is over.
    pub(super) fn gave(&mut self, bytes: &[u8]) -> Vec<FileDone> {
        match self {
            Self::Sftp(sftp) => sftp.gave(bytes),
            Self::Scp(scp) => scp.gave(bytes),
        }
    }

    /// How many files are open.
    pub(super) fn open(&self) -> usize {
        match self {
            Self::Sftp(sftp) => sftp.open(),
            Self::Scp(scp) => scp.open(),
        }
    }

    /// What is not over at the end of the session.
    pub(super) fn unfinished(&mut self) -> Vec<FileDone> {
        match self {
            Self::Sftp(sftp) => sftp.unfinished(),
            Self::Scp(scp) => scp.unfinished(),
        }
    }
}
