//! A second runtime: commands are plain processes of this machine, no root and no containers,
//! behind the same SPDY exec streams as containerd's. For tests of the streams, not of isolation.

mod exec;
mod forward;
pub(crate) mod frame;
mod headers;
mod process;
mod processes;
mod server;
mod shared;
mod status;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::Result;

pub(crate) use forward::serve as forward;
pub use process::PATH;
use processes::Processes;
pub use processes::RunningExec;
use server::Serving;
pub use shared::{EmbeddedContainer, Exec};
use shared::{Inner, Settings};

/// The runtime. On drop every process it started is killed and reaped, with its descendants.
pub struct Embedded {
    inner: Arc<Inner>,
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
