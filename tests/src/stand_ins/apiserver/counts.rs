//! How often the server was asked for what. Tests read these counts and wait for them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::watch;

use super::asked::Asked;

/// How long a test waits for a request.
const WAIT: Duration = Duration::from_secs(30);

type ByVerb = BTreeMap<(String, String), usize>;

/// Requests by verb and resource, and the watches that stand.
#[derive(Default)]
pub(super) struct Counts {
    requests: watch::Sender<ByVerb>,
    watches: Arc<watch::Sender<usize>>,
}

/// One watch that stands.
pub(super) struct OpenWatch(Arc<watch::Sender<usize>>);

impl Drop for OpenWatch {
    fn drop(&mut self) {
        self.0.send_modify(|watches| *watches -= 1);
    }
}

impl Counts {
    pub(super) fn count(&self, asked: &Asked) {
        let key = (asked.verb.clone(), asked.resource.clone());
        self.requests
            .send_modify(|requests| *requests.entry(key).or_default() += 1);
    }

    pub(super) fn stand(&self) -> OpenWatch {
        self.watches.send_modify(|watches| *watches += 1);
        OpenWatch(self.watches.clone())
    }

    pub(super) fn requests(&self, verb: &str, resource: &str) -> usize {
        of(&self.requests.borrow(), verb, resource)
    }

    pub(super) async fn wait_requests(&self, verb: &str, resource: &str, n: usize) -> Result<()> {
        let mut requests = self.requests.subscribe();
        let enough = requests.wait_for(|requests| of(requests, verb, resource) >= n);
        tokio::time::timeout(WAIT, enough)
            .await
            .with_context(|| format!("waited in vain for {n} times {verb} {resource}"))??;
        Ok(())
    }

    pub(super) async fn wait_watches(&self, n: usize) -> Result<()> {
        let mut watches = self.watches.subscribe();
        tokio::time::timeout(WAIT, watches.wait_for(|watches| *watches == n))
            .await
            .with_context(|| format!("waited in vain for {n} watches to stand"))??;
        Ok(())
    }
}

fn of(requests: &ByVerb, verb: &str, resource: &str) -> usize {
    let all = requests.iter();
    let these = all.filter(|((v, r), _)| v == verb && r == resource);
    these.map(|(_, count)| count).sum()
}
