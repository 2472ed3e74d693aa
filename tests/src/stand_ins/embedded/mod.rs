//! A second runtime: commands are plain processes of this machine, no root and no containers,
//! behind the same SPDY exec streams as containerd's. For tests of the streams, not of isolation.

mod exec;
pub(crate) mod frame;
mod headers;
mod process;
mod processes;
mod server;
mod status;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};

use processes::Processes;
pub use processes::RunningExec;

/// What a client asked to run, after the kubelet's rules for flags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exec {
    /// The command and its arguments; the first is looked up in the container's `PATH`.
    pub argv: Vec<String>,
    /// A stdin stream comes.
    pub stdin: bool,
    /// A stdout stream comes.
    pub stdout: bool,
    /// A stderr stream comes; never with `tty`.
    pub stderr: bool,
    /// On a terminal; a resize stream comes.
    pub tty: bool,
}

/// What differs from container to container.
#[derive(Clone, Debug, Default)]
pub struct EmbeddedContainer {
    /// Working directory; the runtime's own empty folder if none.
    pub dir: Option<PathBuf>,
    /// More environment, over `PATH`, `HOME` and `TERM`.
    pub env: Vec<(String, String)>,
    /// `PATH`; the usual one if none. A folder with one program stands for an image without a
    /// shell.
    pub path: Option<String>,
}

/// The runtime. On drop every process it started is killed and reaped, with its descendants.
pub struct Embedded {
    inner: Arc<Inner>,
}

struct Inner {
    home: TempDir,
    processes: Processes,
    settings: Mutex<Settings>,
}

struct Settings {
    close_stdin_early: bool,
    containers: BTreeMap<String, EmbeddedContainer>,
}

impl Embedded {
    /// A runtime without containers; an exec in an unknown one gets the defaults.
    ///
    /// # Errors
    /// When no temporary folder can be made.
    pub fn new() -> Result<Self> {
        let home = tempfile::Builder::new().prefix("embedded-").tempdir()?;
        let processes = Processes::new(home.path());
        let settings = Settings {
            close_stdin_early: true,
            containers: BTreeMap::new(),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                home,
                processes,
                settings: Mutex::new(settings),
            }),
        })
    }

    /// Whether stdin is closed as soon as the process's stdout or stderr is at its end, as
    /// containerd does (containerd #13934). On at first; holds for the execs after it.
    #[must_use]
    pub fn close_stdin_early(self, close: bool) -> Self {
        self.inner.settings().close_stdin_early = close;
        self
    }

    /// Describes the container of this id (without `containerd://`).
    pub fn container(&self, id: &str, container: EmbeddedContainer) {
        self.inner
            .settings()
            .containers
            .insert(id.to_owned(), container);
    }

    /// `HOME` and default working directory of what runs here; removed at the end.
    pub fn home(&self) -> &Path {
        self.inner.home.path()
    }

    /// The commands that run now, without their descendants.
    pub fn running(&self) -> Vec<RunningExec> {
        self.inner.processes.running()
    }

    /// Waits until exactly `count` commands run.
    pub async fn until_running(&self, count: usize) {
        self.inner.processes.until(count).await;
    }

    /// One exec to be served over a client's stream, once that is there.
    pub(crate) fn serving(&self, container: String, exec: Exec) -> Serving {
        Serving {
            inner: self.inner.clone(),
            container,
            exec,
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.inner.processes.kill_all();
    }
}

impl Inner {
    fn settings(&self) -> std::sync::MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An exec that waits for its client's stream. It does not keep the runtime from ending.
pub(crate) struct Serving {
    inner: Arc<Inner>,
    container: String,
    exec: Exec,
}

impl Serving {
    /// Serves the exec until the client or the command has gone; `omit_status` is asked at the
    /// end.
    pub(crate) async fn run(
        self,
        client: impl AsyncRead + AsyncWrite + Send,
        omit_status: impl FnOnce() -> bool + Send + 'static,
    ) {
        // An error is the client's: a broken frame or a lost connection. It is answered as the
        // runtime does, by closing the connection.
        if let Err(error) = server::serve(self, client, omit_status).await {
            tracing::debug!("exec stream: {error:#}");
        }
    }
}
