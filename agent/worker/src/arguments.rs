//! The arguments. Only the agent gives them, so there is one way to write each.

use podgate_sftp::access::Access;

use crate::scp::Options;
use crate::sftp::Links;

/// What to serve.
pub(crate) enum Service {
    Sftp(Access, Links),
    ScpReceive(Vec<u8>, Options),
    ScpSend(Vec<Vec<u8>>, Options),
    /// Makes sockets for the agent.
    Sockets,
}

/// All arguments.
pub(crate) struct Arguments {
    /// Whether one byte on stdout says that it serves. If it cannot, it ends without that byte, and has
    /// read nothing.
    pub(crate) tell: bool,
    pub(crate) service: Service,
}

/// Reads the arguments.
pub(crate) fn read(words: &[Vec<u8>]) -> Option<Arguments> {
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    let (tell, words) = match words.as_slice() {
        [b"--tell", rest @ ..] => (true, rest),
        words => (false, words),
    };
    let service = match words {
        [b"sftp", rest @ ..] => sftp_service(rest)?,
        [b"sockets"] => Service::Sockets,
        [b"scp", rest @ ..] => scp_service(rest)?,
        _ => return None,
    };
    Some(Arguments { tell, service })
}

fn sftp_service(words: &[&[u8]]) -> Option<Service> {
    let (links, words) = match words {
        [rest @ .., b"--draft-links"] => (Links::Draft, rest),
        words => (Links::OpenSsh, words),
    };
    let access = match words {
        [] => Access::ReadAndWrite,
        [b"--only", b"read"] => Access::Read,
        [b"--only", b"write"] => Access::Write,
        _ => return None,
    };
    Some(Service::Sftp(access, links))
}

fn scp_service(words: &[&[u8]]) -> Option<Service> {
    let end = words.iter().position(|word| *word == b"--")?;
    let (flags, paths) = words.split_at(end);
    let has = |flag: &[u8]| flags.contains(&flag);
    let options = Options {
        recursive: has(b"-r"),
        preserve: has(b"-p"),
        into_folder: has(b"-d"),
    };
    let paths: Vec<_> = paths.iter().skip(1).map(|path| path.to_vec()).collect();
    match (has(b"-t"), has(b"-f"), paths.as_slice()) {
        (true, false, [path]) => Some(Service::ScpReceive(path.clone(), options)),
        (false, true, [_, ..]) => Some(Service::ScpSend(paths, options)),
        _ => None,
    }
}
