//! The desk's own thread and runtime: enrolment does not wait for anything at the desk's port. The
//! thread has a lower priority than enrolment's.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use podgate_identity::kubernetes::Reference;
use podgate_process::shutdown::Shutdown;
use podgate_process::slice;
use tokio::runtime;
use tokio::sync::oneshot;

use super::config::Config;
use super::service::{Desk, Error};
use crate::hosts::Hosts;
use crate::metrics::Metrics;

/// The thread's nice value (nice(2)). Of a processor that both want, enrolment gets nine times as much.
const NICE: i32 = 10;

/// A desk on a thread of its own. It listens, and does not serve yet.
pub(crate) struct DeskThread {
    address: String,
    start: oneshot::Sender<Shutdown>,
    ended: oneshot::Receiver<()>,
}

impl DeskThread {
    /// Starts the thread, which reads the files and listens.
    pub(crate) async fn bind(
        config: Config,
        kubeconfig: Option<PathBuf>,
        bundle: Reference,
        hosts: Option<Arc<Hosts>>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Error> {
        let (tell, bound) = oneshot::channel();
        let (start, started) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let desk = async move {
            let bound = Desk::bind(config, kubeconfig.as_deref(), bundle, hosts, metrics).await;
            let (address, desk) = match bound {
                Ok(desk) => (Ok(desk.address()), Some(desk)),
                Err(error) => (Err(error), None),
            };
            // Fails if the signer was stopped meanwhile. The desk is then not started.
            let _ = tell.send(address);
            if let (Some(desk), Ok(shutdown)) = (desk, started.await) {
                desk.serve(shutdown).await;
            }
        };
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Error::Thread)?;
        let run = move || {
            if let Err(error) = slice::lower(NICE) {
                tracing::warn!(%error, "the desk's thread has the same priority as enrolment's");
            }
            runtime.block_on(desk);
            let _ = end.send(());
        };
        let name = "desk".to_owned();
        let thread = thread::Builder::new().name(name).spawn(run);
        thread.map_err(Error::Thread)?;
        Ok(Self {
            address: bound.await.map_err(|_| Error::Ended)??,
            start,
            ended,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Lets the desk serve until `draining`, and waits for its end. If its thread panics, enrolment
    /// goes on.
    pub(crate) async fn serve(self, shutdown: Shutdown) {
        // If the thread is gone, so is the other end of `ended`.
        let _ = self.start.send(shutdown);
        if self.ended.await.is_err() {
            tracing::error!("the desk's thread has ended; there is no desk any more");
        }
    }
}
