//! The workers that make sockets on this core: one for each SSH connection and container, from the first
//! forward until none was opened for a while. What they have made outlives them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::maker::Maker;
use crate::files::{NoWorker, Workers};
use crate::grant::Granted;
use crate::refusal::Refusal;

/// How long a worker lives without work, and how often that is looked at.
const IDLE: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_secs(3);

/// An SSH connection, and a container's id.
type Key = (String, String);

/// The workers of one core.
#[derive(Debug)]
pub(crate) struct Makers {
    workers: Workers,
    known: Mutex<HashMap<Key, Known>>,
}

#[derive(Debug)]
struct Known {
    maker: Arc<OnceCell<Arc<Maker>>>,
    used: Instant,
}

/// A worker that did not start, in these words; a failure of the runtime has its own.
pub(super) fn no_worker(error: NoWorker, message: String) -> Refusal {
    match error {
        NoWorker::Runtime(error) => error.into(),
        error => Refusal {
            message,
            ..error.into()
        },
    }
}

impl Known {
    /// Whether somebody waits for it to be started, works with it, or has it keep a path.
    fn is_held(&self) -> bool {
        let holders = self.maker.get().map_or(1, Arc::strong_count);
        Arc::strong_count(&self.maker) > 1 || holders > 1
    }
}

impl Makers {
    pub(crate) fn new(workers: Workers) -> Self {
        Self {
            workers,
            known: Mutex::default(),
        }
    }

    /// The worker of an SSH connection in a container, which is started if there is none.
    pub(super) async fn find(
        &self,
        granted: &Granted,
        (user, connection): (&str, &str),
    ) -> Result<Arc<Maker>, NoWorker> {
        let key = (connection.to_owned(), granted.container_id.clone());
        let cell = {
            let mut known = self.known();
            let one = known.entry(key).or_insert_with(|| Known {
                maker: Arc::default(),
                used: Instant::now(),
            });
            one.used = Instant::now();
            Arc::clone(&one.maker)
        };
        let start = || async {
            let maker = Maker::start(&self.workers, granted, user).await;
            maker.map(Arc::new)
        };
        // A rule may forbid by now what it did not when the worker was started.
        let found = match self.workers.allows(granted).await {
            Ok(()) => cell.get_or_try_init(start).await.map(Arc::clone),
            Err(error) => Err(error),
        };
        if found.is_err() {
            self.known()
                .retain(|_, one| !Arc::ptr_eq(&one.maker, &cell));
        }
        found
    }

    /// Forgets a worker that has ended.
    pub(super) fn forget(&self, maker: &Arc<Maker>) {
        let is_it = |one: &Known| one.maker.get().is_some_and(|it| Arc::ptr_eq(it, maker));
        self.known().retain(|_, one| !is_it(one));
    }

    /// Ends idle workers, until `closed`; then all of them.
    pub(crate) async fn keep(&self, closed: &CancellationToken) {
        while closed.run_until_cancelled(sleep(LOOK)).await.is_some() {
            self.end(|one| one.used.elapsed() >= IDLE).await;
        }
        self.end(|_| true).await;
    }

    async fn end(&self, which: impl Fn(&Known) -> bool) {
        let over: Vec<_> = self
            .known()
            .extract_if(|_, one| which(one) && !one.is_held())
            .collect();
        for (_, one) in over {
            if let Some(maker) = one.maker.get() {
                maker.end().await;
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Key, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
