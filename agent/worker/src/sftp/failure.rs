//! Why a request was not served, as a client is told.

use std::borrow::Cow;

use podgate_sftp::reply::Code;
use rustix::io::Errno;

use crate::system::words;

/// The code and the words of an answer. Its codes are those that OpenSSH gives for the same errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) words: Cow<'static, str>,
}

impl Failure {
    pub(crate) const EOF: Self = Self::new(Code::Eof, "End of file");
    pub(crate) const HANDLE: Self = Self::new(Code::Failure, "No such handle");
    pub(crate) const HANDLES: Self = Self::new(Code::Failure, "Too many open files");
    pub(crate) const UNSUPPORTED: Self = Self::new(Code::Unsupported, "Operation unsupported");
    pub(crate) const ACCESS: Self = Self::new(
        Code::PermissionDenied,
        "You have no right to do this with files here",
    );
    pub(crate) const INVALID: Self = Self::new(Code::BadMessage, "Invalid argument");
    pub(crate) const EXISTS: Self = Self::new(Code::Failure, "File exists");
    pub(crate) const NO_USER: Self = Self::new(Code::Failure, "No such user");

    const fn new(code: Code, words: &'static str) -> Self {
        Self {
            code,
            words: Cow::Borrowed(words),
        }
    }
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        let code = match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::BADF | Errno::LOOP => Code::NoSuchFile,
            Errno::PERM | Errno::ACCESS | Errno::FAULT => Code::PermissionDenied,
            Errno::NAMETOOLONG | Errno::INVAL => Code::BadMessage,
            Errno::NOSYS => Code::Unsupported,
            _ => Code::Failure,
        };
        Self {
            code,
            words: words(&std::io::Error::from(errno)).into(),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(errno) => errno.into(),
            None => Self {
                code: Code::Failure,
                words: error.to_string().into(),
            },
        }
    }
}
