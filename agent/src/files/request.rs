//! A request for files against what its grant allows.

use podgate_proto::v1::files::Protocol;
use podgate_proto::v1::{Files, FilesRights, Scp, Sftp};

/// Bytes of all paths together, at most: they become a program's arguments.
const MAX_PATHS: usize = 128 * 1024;

/// A request that its grant allows.
#[derive(Debug)]
pub(crate) struct FilesRequest {
    pub(crate) service: Service,
    pub(crate) rights: FilesRights,
}

/// What files are served by.
#[derive(Debug)]
pub(crate) enum Service {
    Sftp(Sftp),
    Scp(Scp),
}

/// Why it is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("the frontdoor asked for files by a protocol that this agent does not know")]
    Protocol,
    #[error("the frontdoor asked for paths that cannot be any")]
    Paths,
    #[error("the grant does not allow to read or write these files")]
    Right,
    #[error(
        "you may only read or write files in this pod, and here only the image's own programs could serve them, for which you need the right to create pods/exec ({0})"
    )]
    Programs(String),
}

impl FilesRequest {
    /// Checks a request.
    pub(crate) fn check(files: Files, rights: Option<FilesRights>) -> Result<Self, Error> {
        let rights = rights.unwrap_or_default();
        let (service, allowed) = match files.protocol.ok_or(Error::Protocol)? {
            Protocol::Sftp(sftp) => (Service::Sftp(sftp), rights.read || rights.write),
            Protocol::Scp(scp) => {
                check_paths(&scp)?;
                let allowed = if scp.receive {
                    rights.write
                } else {
                    rights.read
                };
                (Service::Scp(scp), allowed)
            }
        };
        match allowed {
            true => Ok(Self { service, rights }),
            false => Err(Error::Right),
        }
    }
}

fn check_paths(scp: &Scp) -> Result<(), Error> {
    let size = scp.paths.iter().map(|path| path.len() + 1).sum::<usize>();
    let count = match scp.receive {
        true => scp.paths.len() == 1,
        false => !scp.paths.is_empty(),
    };
    let nul = scp.paths.iter().any(|path| path.contains(&0));
    match count && !nul && size <= MAX_PATHS {
        true => Ok(()),
        false => Err(Error::Paths),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_stays_within_its_rights() {
        let read = FilesRights {
            read: true,
            ..FilesRights::default()
        };
        let write = FilesRights {
            write: true,
            ..FilesRights::default()
        };
        let check = |protocol, rights, expect: Result<(), Error>| {
            let files = Files { protocol };
            assert_eq!(FilesRequest::check(files, rights).map(drop), expect);
        };
        let sftp = || Some(Protocol::Sftp(Sftp::default()));
        let scp = |receive, paths: &[&[u8]]| {
            Some(Protocol::Scp(Scp {
                receive,
                paths: paths.iter().map(|path| path.to_vec().into()).collect(),
                ..Scp::default()
            }))
        };
        check(sftp(), Some(read), Ok(()));
        check(sftp(), Some(write), Ok(()));
        check(sftp(), Some(FilesRights::default()), Err(Error::Right));
        check(sftp(), None, Err(Error::Right));
        check(scp(true, &[b"a"]), Some(write), Ok(()));
        check(scp(true, &[b"a"]), Some(read), Err(Error::Right));
        check(scp(false, &[b"a", b"b"]), Some(read), Ok(()));
        check(scp(false, &[b"a"]), Some(write), Err(Error::Right));
        check(scp(true, &[b"a", b"b"]), Some(write), Err(Error::Paths));
        check(scp(false, &[]), Some(read), Err(Error::Paths));
        check(scp(false, &[b"a\0"]), Some(read), Err(Error::Paths));
        let long = vec![b'a'; MAX_PATHS];
        check(scp(false, &[&long]), Some(read), Err(Error::Paths));
        check(None, Some(read), Err(Error::Protocol));
    }
}
