//! The arguments. Only the agent gives them, so there is one way to write each.

use crate::scp::Options;
use crate::sftp::Access;

/// What to serve.
pub(crate) enum Service {
    Sftp(Access),
    ScpReceive(Vec<u8>, Options),
    ScpSend(Vec<Vec<u8>>, Options),
}

/// Reads the arguments.
pub(crate) fn read(words: &[Vec<u8>]) -> Option<Service> {
    let (first, rest) = words.split_first()?;
    let rest: Vec<&[u8]> = rest.iter().map(Vec::as_slice).collect();
    match (first.as_slice(), rest.as_slice()) {
        (b"sftp", []) => Some(Service::Sftp(Access::ReadAndWrite)),
        (b"sftp", [b"--only", b"read"]) => Some(Service::Sftp(Access::Read)),
        (b"sftp", [b"--only", b"write"]) => Some(Service::Sftp(Access::Write)),
        (b"scp", rest) => scp_service(rest),
        _ => None,
    }
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
