//! What the launcher tells the agent over its socket, and the one thing that it is told. The launcher is
//! in somebody's container, so the agent takes a report for no more than what a stranger says. The
//! socket closes when the program has taken the launcher's place.

/// Bytes of a report, at the most.
pub const MAX_REPORT: usize = 16 * 1024;
/// Bytes of a field of it, at the most. The launcher shortens what is longer.
pub const MAX_FIELD: usize = 4096;
/// What the launcher waits for. If the socket closes instead, it ends and nothing has run.
pub const GO: &[u8] = b"go";

/// A report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The launcher waits for [`GO`].
    Ready(Ready),
    /// The program cannot be run; the launcher ends with [`Failure::status`].
    Failed(Failure),
}

/// What only the inside of the container knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// The name of the container's user; empty if it has none.
    pub user: Vec<u8>,
    /// Its home.
    pub home: Vec<u8>,
    /// Its shell.
    pub shell: Vec<u8>,
    /// Whether the folder that was asked for is not there.
    pub folder_is_missing: bool,
}

/// Why a program cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Failure {
    #[error("{0}: not found")]
    NotFound(String),
    #[error("{0}: not executable")]
    NotExecutable(String),
    #[error("arguments and environment are too long")]
    TooLong,
    #[error("{program}: error {errno}")]
    Other { program: String, errno: i32 },
    #[error("the launch cannot be read")]
    Launch,
    /// As SELinux does with descriptors that a program may not have: it has /dev/null in their place.
    #[error("the node keeps the program's input and output from it")]
    Streams,
}

impl Failure {
    /// Whether the node itself is in the way, so that the kubelet may start what cannot be started here. No
    /// program has run.
    pub fn leaves_the_kubelet(&self) -> bool {
        matches!(self, Self::Launch | Self::Streams)
    }

    /// The exit status, as a shell has it (POSIX Shell Command Language §2.8.2).
    pub fn status(&self) -> u8 {
        match self {
            Self::NotFound(_) => 127,
            Self::NotExecutable(_) | Self::TooLong => 126,
            Self::Other { .. } | Self::Launch | Self::Streams => 255,
        }
    }
}

/// Not a report.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the container's launcher sent something else than a report")]
pub struct NotAReport;

impl Report {
    /// The bytes of the message.
    pub fn encode(&self) -> Vec<u8> {
        let cut = |field: &[u8]| field.get(..MAX_FIELD).unwrap_or(field).to_vec();
        let fields = match self {
            Self::Ready(ready) => {
                let missing = if ready.folder_is_missing { "1" } else { "0" };
                let (user, home, shell) = (cut(&ready.user), cut(&ready.home), cut(&ready.shell));
                vec![b"ready".to_vec(), missing.into(), user, home, shell]
            }
            Self::Failed(failure) => {
                let (kind, program, errno) = match failure {
                    Failure::NotFound(program) => ("not-found", program.as_str(), 0),
                    Failure::NotExecutable(program) => ("not-executable", program.as_str(), 0),
                    Failure::TooLong => ("too-long", "", 0),
                    Failure::Other { program, errno } => ("other", program.as_str(), *errno),
                    Failure::Launch => ("launch", "", 0),
                    Failure::Streams => ("streams", "", 0),
                };
                let errno = errno.to_string().into_bytes();
                vec![
                    b"failed".to_vec(),
                    kind.into(),
                    cut(program.as_bytes()),
                    errno,
                ]
            }
        };
        fields.join(&0)
    }

    /// From a message.
    ///
    /// # Errors
    /// When it is no report.
    pub fn parse(bytes: &[u8]) -> Result<Self, NotAReport> {
        if bytes.len() > MAX_REPORT {
            return Err(NotAReport);
        }
        let fields: Vec<&[u8]> = bytes.split(|&byte| byte == 0).collect();
        if fields.iter().any(|field| field.len() > MAX_FIELD) {
            return Err(NotAReport);
        }
        match fields.as_slice() {
            [b"ready", missing @ (b"0" | b"1"), user, home, shell] => Ok(Self::Ready(Ready {
                user: user.to_vec(),
                home: home.to_vec(),
                shell: shell.to_vec(),
                folder_is_missing: *missing == b"1",
            })),
            [b"failed", kind, program, errno] => {
                let program = String::from_utf8_lossy(program).into_owned();
                let errno = std::str::from_utf8(errno)
                    .ok()
                    .and_then(|it| it.parse().ok());
                let errno = errno.ok_or(NotAReport)?;
                Ok(Self::Failed(match *kind {
                    b"not-found" => Failure::NotFound(program),
                    b"not-executable" => Failure::NotExecutable(program),
                    b"too-long" => Failure::TooLong,
                    b"other" => Failure::Other { program, errno },
                    b"launch" => Failure::Launch,
                    b"streams" => Failure::Streams,
                    _ => return Err(NotAReport),
                }))
            }
            _ => Err(NotAReport),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::Launch;

    #[test]
    fn what_is_written_is_read_again() {
        let ready = Ready {
            user: b"app".to_vec(),
            home: b"/home/\xff".to_vec(),
            shell: b"".to_vec(),
            folder_is_missing: true,
        };
        let failures = [
            Failure::NotFound("x".into()),
            Failure::NotExecutable("x".into()),
            Failure::TooLong,
            Failure::Other {
                program: "x".into(),
                errno: 40,
            },
            Failure::Launch,
            Failure::Streams,
        ];
        let reports = failures.map(Report::Failed).into_iter();
        for report in reports.chain([Report::Ready(ready)]) {
            assert_eq!(Report::parse(&report.encode()), Ok(report));
        }
    }

    #[test]
    fn replays_the_fuzz_corpus() {
        let corpus = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/fuzz/corpus/launcher_report"
        );
        let (mut reports, mut launches) = (0, 0);
        for file in std::fs::read_dir(corpus).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            reports += usize::from(Report::parse(&bytes).is_ok());
            launches += usize::from(Launch::parse(&bytes).is_ok());
        }
        assert_eq!((reports, launches), (5, 2));
    }

    #[test]
    fn a_report_is_bounded_and_nothing_else_is_one() {
        let ready = Ready {
            home: vec![b'a'; 2 * MAX_FIELD],
            ..Ready::default()
        };
        assert!(Report::Ready(ready).encode().len() < MAX_REPORT);
        let long = [b"ready\x000\0\0\0".as_slice(), &[b'a'; MAX_FIELD + 1]].concat();
        for bytes in [
            b"".as_slice(),
            b"go",
            b"ready\x002\0\0\0",
            b"failed\0x\0\x001",
            &long,
        ] {
            assert_eq!(Report::parse(bytes), Err(NotAReport), "{bytes:?}");
        }
    }
}
