//! The socket: who may connect, and one bounded request and answer per connection. A fixed number of
//! threads accept and serve, and others look at processes, so nothing that a peer does makes more of
//! them.

use std::fmt::Display;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;

use crate::agents::Agents;
use crate::{find, look, signal};
use podgate_helper::protocol::{Answer, MAX_LINE, Request};

/// Requests that are served at once; more wait in the socket's backlog.
const THREADS: usize = 8;
/// Bytes of a thread's stack. There are many threads, and none goes deep.
const STACK: usize = 256 * 1024;
/// How long a peer may take to send its request, and as long again to take the answer.
const PEER_TIMEOUT: Duration = Duration::from_secs(2);
/// The pause after the socket gave no connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{path} has no parent folder")]
    NoFolder { path: PathBuf },
    #[error(
        "the socket's folder {path} belongs to another user or is open to others (mode {mode:o})"
    )]
    Open { path: PathBuf, mode: u32 },
    // Not a source: a caller that prints an error with its sources would print it twice.
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
}

/// Why a connection gets no answer.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("user {0} may not connect")]
    Peer(u32),
    #[error("the request was not complete within {PEER_TIMEOUT:?}")]
    Slow,
    #[error("the request is longer than {MAX_LINE} bytes")]
    Long,
    #[error("the request cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    #[error("too many agents are connected")]
    Agents,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A socket that is listened on.
pub(crate) struct Server {
    listener: UnixListener,
    peers: Vec<u32>,
    agents: Agents,
}

impl Server {
    /// Listens. A socket that an earlier run has left is replaced.
    pub(crate) fn bind(path: &Path, agent: Option<u32>) -> Result<Self, Error> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| Error::Io { path, error }
        };
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.ok_or_else(|| Error::NoFolder {
            path: path.to_owned(),
        })?;
        if !folder.exists() {
            let made = DirBuilder::new().recursive(true).mode(0o750).create(folder);
            made.map_err(failed(folder))?;
        }
        let (own, found) = (geteuid().as_raw(), fs::symlink_metadata(folder));
        let found = found.map_err(failed(folder))?;
        // Whoever may write there may replace the socket.
        if !found.is_dir() || found.uid() != own || found.mode() & 0o027 != 0 {
            let (path, mode) = (folder.to_owned(), found.mode() & 0o7777);
            return Err(Error::Open { path, mode });
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(failed(path)(error));
            }
            _ => {}
        }
        let listener = UnixListener::bind(path).map_err(failed(path))?;
        // The agent may be another user, in the folder's group.
        fs::set_permissions(path, Permissions::from_mode(0o660)).map_err(failed(path))?;
        let peers = std::iter::once(own).chain(agent).collect();
        let agents = Agents::default();
        Ok(Self {
            listener,
            peers,
            agents,
        })
    }

    /// Serves until `told` returns and no agent is connected, and then ends the process. It begins once
    /// all threads have started and `narrow` has restricted them.
    pub(crate) fn serve<E: Display>(
        &self,
        narrow: impl FnOnce() -> Result<(), E>,
        told: impl FnOnce() -> Result<(), E>,
    ) {
        let all = THREADS + look::workers(THREADS) + 1;
        let (started, narrowed) = (Barrier::new(all), Barrier::new(all));
        thread::scope(|scope| {
            for index in 1..all {
                let builder = thread::Builder::new().name(format!("serve-{index}"));
                let (started, narrowed) = (&started, &narrowed);
                let thread = builder.stack_size(STACK).spawn_scoped(scope, move || {
                    started.wait();
                    narrowed.wait();
                    if index <= THREADS {
                        self.accept();
                    } else {
                        look::work();
                    }
                });
                exit_on(thread);
            }
            started.wait();
            exit_on(narrow());
            eprintln!("podgate-node-helper: serving");
            narrowed.wait();
            exit_on(told());
            eprintln!("podgate-node-helper: ends once no agent is connected");
            self.agents.until_gone();
            // The threads wait for requests, and some may wait for a dead file system.
            std::process::exit(0);
        });
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "a thread has no other way to pause"
    )]
    fn accept(&self) {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    match self.attend(stream) {
                        // An agent that has gone away needs no answer.
                        Err(Refused::Io(error)) if error.kind() == ErrorKind::BrokenPipe => {}
                        Err(refused) => eprintln!("podgate-node-helper: {refused}"),
                        Ok(()) => {}
                    }
                }
                Err(error) => {
                    eprintln!("podgate-node-helper: cannot accept: {error}");
                    thread::sleep(PAUSE);
                }
            }
        }
    }

    fn attend(&self, mut stream: UnixStream) -> Result<(), Refused> {
        let peer = socket_peercred(&stream)
            .map_err(io::Error::from)?
            .uid
            .as_raw();
        if !self.peers.contains(&peer) {
            return Err(Refused::Peer(peer));
        }
        let request = read_line(&mut stream)?;
        if request.is_empty() {
            return Ok(());
        }
        let answer = match serde_json::from_slice(&request) {
            Ok(Request::Stay {}) => return self.agents.add(stream).map_err(|_| Refused::Agents),
            Ok(request) => answer(&request),
            Err(error) => {
                let reason = Refused::Json(error).to_string();
                Answer::Failed { reason }
            }
        };
        let mut line = serde_json::to_vec(&answer)?;
        line.push(b'\n');
        stream.set_write_timeout(Some(PEER_TIMEOUT))?;
        let sent = stream.write_all(&line);
        self.agents.tell();
        Ok(sent?)
    }
}

/// Exits on an error: the other threads wait for each other, and nothing else would end them.
fn exit_on<T, E: Display>(result: Result<T, E>) {
    if let Err(error) = result {
        eprintln!("podgate-node-helper: {error}");
        std::process::exit(1);
    }
}

fn answer(request: &Request) -> Answer {
    match request {
        Request::Find { container, by } => find::find(container, by),
        Request::Count { container } => Answer::Done {
            processes: find::count(container),
        },
        Request::Signal { leader, signal } => signal::signal(leader, *signal),
        Request::HangUp {
            leader,
            session,
            seen,
        } => signal::hang_up(leader, session.as_deref(), *seen),
        Request::Kill { leader, hung_up } => signal::kill(leader, hung_up),
        // This has no answer of its own: the connection stays open.
        Request::Stay {} => Answer::Gone,
    }
}

fn read_line(stream: &mut UnixStream) -> Result<Vec<u8>, Refused> {
    let deadline = Instant::now() + PEER_TIMEOUT;
    let mut line = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Refused::Slow);
        }
        stream.set_read_timeout(Some(left))?;
        let read = match stream.read(&mut chunk) {
            Ok(0) => return Ok(line),
            Ok(read) => chunk.get(..read).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error.into()),
        };
        match read.iter().position(|&byte| byte == b'\n') {
            Some(end) => {
                line.extend_from_slice(read.get(..end).unwrap_or_default());
                return Ok(line);
            }
            None => line.extend_from_slice(read),
        }
        if line.len() > MAX_LINE {
            return Err(Refused::Long);
        }
    }
}
