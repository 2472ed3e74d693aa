//! Whether a request and its descriptors are what they must be.

use std::os::fd::OwnedFd;

use rustix::fs::{FileType, OFlags, SealFlags, fcntl_get_seals, fcntl_getfl, fstat, makedev};
use rustix::net::sockopt::{socket_domain, socket_type};
use rustix::net::{AddressFamily, SocketType};

use podgate_node_entry::launch::MAX_LAUNCH;
use podgate_node_entry::protocol::{Action, MAX_HELD, Streams, VERSION};

/// What is wrong with one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Wrong {
    #[error("the first request must be hold, and no other")]
    Order,
    #[error("the agent is of another version")]
    Version,
    #[error("an agent holds at most {MAX_HELD} programs")]
    Many,
    #[error("it has not the descriptors that it needs")]
    Count,
    #[error("the launch is not a sealed memfd of at most {MAX_LAUNCH} bytes")]
    Launch,
    #[error("it is not the other end of a terminal")]
    Terminal,
    #[error(
        "stdin is not the reading end of a pipe nor a socket of messages, or stdout or stderr not a writing end"
    )]
    Pipe,
}

/// Seals without which a launch could change.
const SEALED: SealFlags = SealFlags::SEAL
    .union(SealFlags::SHRINK)
    .union(SealFlags::GROW)
    .union(SealFlags::WRITE);

/// Checks a request, the first of its connection or a later one.
pub(crate) fn check(action: &Action, beside: &[OwnedFd], is_first: bool) -> Result<(), Wrong> {
    if is_first != matches!(action, Action::Hold { .. }) {
        return Err(Wrong::Order);
    }
    match action {
        Action::Hold { version, handles } => {
            if *version != VERSION {
                return Err(Wrong::Version);
            }
            if handles.len() > MAX_HELD {
                return Err(Wrong::Many);
            }
        }
        Action::Start(start) => return of_start(start.streams, beside),
        Action::Lend { .. } => {
            return match beside {
                [master] => terminal(master),
                _ => Err(Wrong::Count),
            };
        }
        Action::Signal { .. }
        | Action::HangUp { .. }
        | Action::Kill { .. }
        | Action::Release { .. } => {}
    }
    if beside.is_empty() {
        Ok(())
    } else {
        Err(Wrong::Count)
    }
}

fn of_start(streams: Streams, beside: &[OwnedFd]) -> Result<(), Wrong> {
    match (streams, beside) {
        (Streams::Terminal { .. }, [launch]) => sealed(launch),
        (Streams::Pipes, [launch, stdin, stdout, stderr]) => {
            sealed(launch)?;
            pipe(stdin, OFlags::RDONLY).or_else(|wrong| messages(stdin).ok_or(wrong))?;
            pipe(stdout, OFlags::WRONLY)?;
            pipe(stderr, OFlags::WRONLY)
        }
        _ => Err(Wrong::Count),
    }
}

/// The other end of any terminal is the one device, opened once more for each (pts(4)).
fn terminal(master: &OwnedFd) -> Result<(), Wrong> {
    let stat = fstat(master).map_err(|_| Wrong::Terminal)?;
    let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    if is_device && stat.st_rdev == makedev(5, 2) {
        Ok(())
    } else {
        Err(Wrong::Terminal)
    }
}

fn sealed(launch: &OwnedFd) -> Result<(), Wrong> {
    let seals = fcntl_get_seals(launch).map_err(|_| Wrong::Launch)?;
    let size = fstat(launch).map_err(|_| Wrong::Launch)?.st_size;
    let fits = usize::try_from(size).is_ok_and(|size| size <= MAX_LAUNCH);
    if seals.contains(SEALED) && fits {
        Ok(())
    } else {
        Err(Wrong::Launch)
    }
}

fn pipe(end: &OwnedFd, access: OFlags) -> Result<(), Wrong> {
    let stat = fstat(end).map_err(|_| Wrong::Pipe)?;
    let flags = fcntl_getfl(end).map_err(|_| Wrong::Pipe)?;
    let is_pipe = FileType::from_raw_mode(stat.st_mode) == FileType::Fifo;
    if is_pipe && flags & OFlags::ACCMODE == access {
        Ok(())
    } else {
        Err(Wrong::Pipe)
    }
}

/// Whether it is a socket by which a program of Podgate's own and the agent talk.
fn messages(end: &OwnedFd) -> Option<()> {
    let is_unix = socket_domain(end) == Ok(AddressFamily::UNIX);
    (is_unix && socket_type(end) == Ok(SocketType::SEQPACKET)).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use podgate_node_entry::ids::Handle;
    use podgate_node_entry::protocol::{Folder, Start};
    use rustix::fs::{MemfdFlags, fcntl_add_seals, ftruncate, memfd_create};

    fn memfd(size: usize, seals: SealFlags) -> OwnedFd {
        let memfd = memfd_create("launch", MemfdFlags::ALLOW_SEALING).unwrap();
        ftruncate(&memfd, size as u64).unwrap();
        fcntl_add_seals(&memfd, seals).unwrap();
        memfd
    }

    fn start(streams: Streams) -> Action {
        Action::Start(Start {
            container: "a".repeat(64).try_into().unwrap(),
            pod: "u".to_owned().try_into().unwrap(),
            name: "app".to_owned().try_into().unwrap(),
            user: "ann".to_owned().try_into().unwrap(),
            streams,
            folder: Folder::Container,
        })
    }

    fn hold(version: u32, count: usize) -> Action {
        let handles = vec![Handle(1); count];
        Action::Hold { version, handles }
    }

    #[test]
    fn a_connection_begins_with_what_its_agent_holds() {
        assert_eq!(check(&hold(VERSION, MAX_HELD), &[], true), Ok(()));
        assert_eq!(check(&hold(VERSION, 0), &[], false), Err(Wrong::Order));
        assert_eq!(check(&hold(VERSION + 1, 0), &[], true), Err(Wrong::Version));
        assert_eq!(
            check(&hold(VERSION, MAX_HELD + 1), &[], true),
            Err(Wrong::Many)
        );
        let kill = Action::Kill { handle: Handle(1) };
        assert_eq!(check(&kill, &[], true), Err(Wrong::Order));
        assert_eq!(check(&kill, &[], false), Ok(()));
        assert_eq!(check(&kill, &[memfd(1, SEALED)], false), Err(Wrong::Count));
    }

    #[test]
    fn only_the_other_end_of_a_terminal_is_lent() {
        let lend = Action::Lend { handle: Handle(1) };
        let check = |beside: &[OwnedFd]| check(&lend, beside, false);
        let open = |path| OwnedFd::from(std::fs::File::open(path).unwrap());
        assert_eq!(check(&[open("/dev/ptmx")]), Ok(()));
        assert_eq!(check(&[open("/dev/null")]), Err(Wrong::Terminal));
        assert_eq!(check(&[memfd(1, SEALED)]), Err(Wrong::Terminal));
        assert_eq!(check(&[]), Err(Wrong::Count));
    }

    #[test]
    fn a_start_has_its_descriptors_and_no_others() {
        let ends = || {
            let (reader, writer) = std::io::pipe().unwrap();
            (OwnedFd::from(reader), OwnedFd::from(writer))
        };
        let check = |streams, beside: Vec<OwnedFd>| check(&start(streams), &beside, false);
        let pipes = |launch, turned: bool| {
            let ((stdin, other), (another, stdout), (_, stderr)) = (ends(), ends(), ends());
            if turned {
                vec![launch, other, another, stderr]
            } else {
                vec![launch, stdin, stdout, stderr]
            }
        };
        let launch = || memfd(9, SEALED);
        let terminal = Streams::Terminal {
            columns: 80,
            rows: 24,
        };
        assert_eq!(check(Streams::Pipes, pipes(launch(), false)), Ok(()));
        assert_eq!(
            check(Streams::Pipes, pipes(launch(), true)),
            Err(Wrong::Pipe)
        );
        assert_eq!(check(Streams::Pipes, vec![launch()]), Err(Wrong::Count));
        assert_eq!(check(terminal, vec![launch()]), Ok(()));
        assert_eq!(check(terminal, vec![]), Err(Wrong::Count));
        assert_eq!(check(terminal, vec![launch(), launch()]), Err(Wrong::Count));
        let sockets = |kind| {
            let flags = rustix::net::SocketFlags::CLOEXEC;
            let pair = rustix::net::socketpair(AddressFamily::UNIX, kind, flags, None);
            let ((_, stdout), (_, stderr)) = (ends(), ends());
            vec![launch(), pair.unwrap().0, stdout, stderr]
        };
        let messages = sockets(SocketType::SEQPACKET);
        assert_eq!(check(Streams::Pipes, messages), Ok(()));
        let stream = sockets(SocketType::STREAM);
        assert_eq!(check(Streams::Pipes, stream), Err(Wrong::Pipe));
        let files = (0..4).map(|_| std::fs::File::open("/dev/null").unwrap().into());
        assert_eq!(check(Streams::Pipes, files.collect()), Err(Wrong::Launch));
        for launch in [
            memfd(9, SEALED.difference(SealFlags::WRITE)),
            memfd(9, SEALED.difference(SealFlags::SEAL)),
            memfd(MAX_LAUNCH + 1, SEALED),
        ] {
            assert_eq!(check(terminal, vec![launch]), Err(Wrong::Launch));
        }
    }
}
