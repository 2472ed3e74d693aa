//! The arguments. Only the agent gives them, so there is one way to write each.

use podgate_sftp::access::Access;

use crate::scp::Options;

/// What to serve.
pub(crate) enum Service {
    Sftp(Access),
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
        [b"sftp"] => Service::Sftp(Access::ReadAndWrite),
        [b"sftp", b"--only", b"read"] => Service::Sftp(Access::Read),
        [b"sftp", b"--only", b"write"] => Service::Sftp(Access::Write),
        [b"sockets"] => Service::Sockets,
        [b"scp", rest @ ..] => scp_service(rest)?,
        _ => return None,
    };
    Some(Arguments { tell, service })
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
