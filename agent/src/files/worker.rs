//! The worker: Podgate's own program, which the node entry starts in a container, so that nothing of the
//! image is needed. It has what any program in that container has, and no more. It serves files, or makes
//! sockets for forwards.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use podgate_node_entry::ids::{ContainerName, NotAName, PodUid, User};
use podgate_node_entry::launch::{Folder, Launch, Program};
use podgate_node_entry::protocol::{self, Start};
use podgate_node_entry::report::Failure;
use podgate_node_entry::status::Status;
use podgate_proto::v1::{FilesRights, WorkingDirectory};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::time::{Instant, timeout_at};

use super::pipes::{Broken, Input, Output, from_program, hint, to_program};
use super::request::{FilesRequest, Service};
use crate::grant::Granted;
use crate::node_entry::{self, End, Launcher, NodeEntry};
use crate::runtime::{self, Runtime, START_TIMEOUT};
use crate::streams::Streams;

/// Bytes of a user's name that the entry takes.
const MAX_USER: usize = 256;
/// Bytes of the sentence with which a worker says that it cannot serve.
const MAX_SENTENCE: u64 = 1024;

/// Starts workers; one a core.
#[derive(Debug, Clone)]
pub(crate) struct Workers {
    entry: Arc<NodeEntry>,
    /// It knows the pods.
    runtime: Arc<dyn Runtime>,
}

/// A worker that serves.
pub(crate) struct Worker {
    pub(crate) streams: Streams,
    pub(crate) program: node_entry::Program,
}

/// A worker that serves, and what is to be done with its output.
pub(crate) struct Launched {
    stdout: pipe::Receiver,
    stderr: pipe::Receiver,
    pub(crate) program: node_entry::Program,
}

/// Why no worker serves.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoWorker {
    #[error("this node has no node entry")]
    None,
    /// A rule of this node, or the container is another.
    #[error(transparent)]
    Runtime(#[from] runtime::Error),
    #[error(transparent)]
    Name(#[from] NotAName),
    #[error("the container's id is not one of a node's runtime")]
    Container,
    #[error(transparent)]
    Entry(#[from] node_entry::Error),
    #[error(transparent)]
    Launcher(#[from] Failure),
    /// In its own words.
    #[error("{0}")]
    Said(String),
    #[error("Podgate's program in the container was ended by signal {0}{hint}", hint = hint(*.0))]
    Signalled(u8),
    #[error("Podgate's program in the container ended at once")]
    AtOnce,
    #[error("Podgate's program in the container did not come to run in time")]
    Timeout,
    #[error("the agent has no descriptor to spare: {0}")]
    Io(#[from] io::Error),
}

impl NoWorker {
    /// Whether the image's own programs may serve instead. Nothing was started, or it could not serve
    /// there.
    pub(crate) fn leaves_the_image(&self) -> bool {
        match self {
            Self::None | Self::Entry(node_entry::Error::Absent) | Self::Container => true,
            Self::Entry(node_entry::Error::Refused(reason)) => {
                reason.leaves_the_kubelet().is_some()
            }
            error => error.shows_the_container(),
        }
    }

    /// Whether it failed in the container, so that the reason says what is wrong there.
    pub(crate) fn shows_the_container(&self) -> bool {
        matches!(
            self,
            Self::Launcher(_) | Self::Said(_) | Self::Signalled(_) | Self::AtOnce
        )
    }

    /// The same of a worker that was to serve files.
    fn of_files(self) -> Self {
        match self {
            Self::Signalled(signal) => Self::Said(Broken::Signalled(signal).to_string()),
            Self::AtOnce => Self::Said("the file server in the container ended at once".to_owned()),
            error => error,
        }
    }
}

impl Workers {
    pub(crate) fn new(entry: Arc<NodeEntry>, runtime: Arc<dyn Runtime>) -> Self {
        Self { entry, runtime }
    }

    /// Starts a worker, and waits until it serves.
    pub(crate) async fn start(
        &self,
        granted: &Granted,
        user: &str,
        request: &FilesRequest,
        folder: WorkingDirectory,
    ) -> Result<Worker, NoWorker> {
        let folder = match folder {
            WorkingDirectory::Home => Folder::Home,
            WorkingDirectory::Image | WorkingDirectory::Unspecified => Folder::Stay,
        };
        let (stdin, to_stdin) = to_program()?;
        let what = (arguments(request), folder);
        let launched = self.launch(granted, user, what, stdin).await;
        let Launched {
            stdout,
            stderr,
            program,
        } = launched.map_err(NoWorker::of_files)?;
        let streams = Streams {
            input: Box::new(Input::new(to_stdin)),
            output: Box::new(Output::new(stdout, stderr, program.end())),
        };
        Ok(Worker { streams, program })
    }

    /// Whether no rule of this node denies what is granted.
    pub(crate) async fn allows(&self, granted: &Granted) -> Result<(), NoWorker> {
        Ok(self.runtime.allows(granted).await?)
    }

    /// Starts a worker with these arguments and this stdin, and waits until it serves.
    pub(crate) async fn launch(
        &self,
        granted: &Granted,
        user: &str,
        (arguments, folder): (Vec<Vec<u8>>, Folder),
        stdin: OwnedFd,
    ) -> Result<Launched, NoWorker> {
        let deadline = Instant::now() + START_TIMEOUT;
        let start = start(granted, user)?;
        self.allows(granted).await?;
        let launch = Launch {
            program: Program::Worker(arguments),
            environment: Vec::new(),
            folder,
        };
        let (stdout, mut from_stdout) = from_program()?;
        let (stderr, from_stderr) = from_program()?;
        let beside = vec![node_entry::sealed(&launch)?, stdin, stdout, stderr];
        let started = self.entry.start(start, beside, deadline).await?;
        tracing::debug!(pid = started.process.pid, "a worker is started");
        let control = started.beside.into_iter().next();
        let control = control.ok_or(node_entry::Error::OtherAnswer)?;
        let mut end = started.program.end();
        let run = async {
            let launcher = Launcher::new(control)?;
            launcher.ready().await??;
            if let Some(failure) = launcher.go().await? {
                return Err(failure.into());
            }
            serves(&mut from_stdout, from_stderr, &mut end).await
        };
        let from_stderr = timeout_at(deadline, run)
            .await
            .unwrap_or(Err(NoWorker::Timeout))?;
        Ok(Launched {
            stdout: from_stdout,
            stderr: from_stderr,
            program: started.program,
        })
    }
}

impl Worker {
    /// Ends it, if it has not ended.
    pub(crate) async fn end(self) {
        drop(self.streams);
        if let Err(error) = self.program.kill().await {
            tracing::warn!(%error, "a worker was not ended; it ends with its input");
        }
    }
}

/// Waits for the byte by which a worker says that it serves. Without it, what it says on stderr is why, or
/// how it ended.
async fn serves(
    stdout: &mut pipe::Receiver,
    mut stderr: pipe::Receiver,
    end: &mut End,
) -> Result<pipe::Receiver, NoWorker> {
    if stdout.read(&mut [0]).await? > 0 {
        return Ok(stderr);
    }
    let mut words = Vec::new();
    let mut limited = (&mut stderr).take(MAX_SENTENCE);
    limited.read_to_end(&mut words).await?;
    let words = String::from_utf8_lossy(&words);
    let words = words.trim();
    let words = words.strip_prefix("podgate: ").unwrap_or(words);
    if !words.is_empty() {
        return Err(NoWorker::Said(words.to_owned()));
    }
    Err(match end.wait().await {
        Some(Status::Signalled { signal, .. }) => NoWorker::Signalled(signal),
        _ => NoWorker::AtOnce,
    })
}

/// As the worker reads them.
fn arguments(request: &FilesRequest) -> Vec<Vec<u8>> {
    let mut words: Vec<&[u8]> = vec![b"--tell"];
    match &request.service {
        Service::Sftp(sftp) => {
            words.push(b"sftp");
            let FilesRights { read, write, .. } = request.rights;
            match (read, write) {
                (true, true) => {}
                (true, false) => words.extend([b"--only".as_slice(), b"read"]),
                (false, _) => words.extend([b"--only".as_slice(), b"write"]),
            }
            if sftp.draft_links {
                words.push(b"--draft-links");
            }
        }
        Service::Scp(scp) => {
            words.push(b"scp");
            for (flag, set) in [
                (b"-r".as_slice(), scp.recursive),
                (b"-p", scp.preserve),
                (b"-d", scp.into_folder),
            ] {
                words.extend(set.then_some(flag));
            }
            words.push(if scp.receive { b"-t" } else { b"-f" });
            words.push(b"--");
            words.extend(scp.paths.iter().map(|path| path.as_ref()));
        }
    }
    words.into_iter().map(<[u8]>::to_vec).collect()
}

fn start(granted: &Granted, user: &str) -> Result<Start, NoWorker> {
    let id = granted.container_id.split_once("://");
    let id = id.and_then(|(_, id)| id.to_owned().try_into().ok());
    // The entry only counts by it.
    let user: String = user
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let end = user.floor_char_boundary(MAX_USER);
    Ok(Start {
        container: id.ok_or(NoWorker::Container)?,
        pod: PodUid::try_from(granted.uid.clone())?,
        name: ContainerName::try_from(granted.container.clone())?,
        user: User::try_from(user.get(..end).unwrap_or_default().to_owned())?,
        streams: protocol::Streams::Pipes,
        folder: protocol::Folder::Container,
    })
}

#[cfg(test)]
mod tests {
    use podgate_proto::v1::{Scp, Sftp};

    use super::*;

    #[test]
    fn a_worker_is_told_what_it_may() {
        let check = |service, read, write, expect: &str| {
            let rights = FilesRights {
                read,
                write,
                programs: false,
            };
            let words = arguments(&FilesRequest { service, rights });
            assert_eq!(words.join(&b' '), expect.as_bytes());
        };
        let sftp = |draft_links| Service::Sftp(Sftp { draft_links });
        check(sftp(false), true, true, "--tell sftp");
        check(sftp(false), true, false, "--tell sftp --only read");
        check(sftp(false), false, true, "--tell sftp --only write");
        let all = "--tell sftp --only read --draft-links";
        check(sftp(true), true, false, all);
        let scp = |receive| {
            Service::Scp(Scp {
                receive,
                recursive: true,
                preserve: receive,
                into_folder: receive,
                paths: vec![b"/a".as_slice().into()],
            })
        };
        check(scp(true), false, true, "--tell scp -r -p -d -t -- /a");
        check(scp(false), true, false, "--tell scp -r -f -- /a");
    }
}
