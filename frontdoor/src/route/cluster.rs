//! What all cores know of the cluster: its pods, recent answers of the API server, and the number of
//! sessions in each pod.

use std::sync::Arc;
use std::time::Duration;

use kube::api::{Api, ListParams};
use podgate_process::cache::Ages;
use tokio_util::sync::CancellationToken;

use super::answers::{self, AnswerCache};
use super::loads::Loads;
use super::pods::Pods;
use super::record::{Pools, Record};
use super::wire::Seen;
use super::workloads::{self, Selects};
use crate::login_name::{Kind, Selector};
use podgate_identity::kubernetes::{ANSWER_TIMEOUT, within};

/// How long an object's selector serves after it was read.
const SELECTOR: Duration = Duration::from_secs(10);
/// For answers that serve only the callers that wait for them.
const ONCE: Ages = Ages {
    good: Duration::ZERO,
    outage: Duration::ZERO,
};
/// Pods that are listed at most, if they are not watched or too new for the watch. One of these is
/// picked.
const MOST: u32 = 500;

/// What is known of the cluster; empty at first.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Whether somebody watches the pods.
    pub(super) watched: bool,
    pub(super) pods: Pods,
    pub(super) loads: Arc<Loads>,
    /// By namespace and name.
    read: AnswerCache<(String, String), Arc<Record>>,
    /// By namespace and selector.
    listed: AnswerCache<(String, String), Arc<[Arc<Record>]>>,
    selectors: AnswerCache<(Kind, String, String), Arc<Selects>>,
    /// How long the API server's last answer serves while it is away.
    outage: Duration,
}

impl Cluster {
    /// If `watched`, a router must follow the pods. For `outage` the API server's last answer serves
    /// while it is away.
    pub(crate) fn new(watched: bool, outage: Duration) -> Self {
        Self {
            watched,
            pods: Pods::default(),
            loads: Arc::default(),
            read: answers::cache(),
            listed: answers::cache(),
            selectors: answers::cache(),
            outage,
        }
    }

    /// Cancelled once the watch has seen all pods; never, if there is no watch.
    pub(crate) fn filled(&self) -> CancellationToken {
        self.pods.filled()
    }

    /// Reads a pod from the API server.
    pub(super) async fn read(
        &self,
        client: &kube::Client,
        namespace: &str,
        name: &str,
    ) -> Result<Arc<Record>, answers::Error> {
        let api: Api<Seen> = Api::namespaced(client.clone(), namespace);
        let ask = async {
            let found = within(ANSWER_TIMEOUT, api.get_opt(name)).await?;
            let record = found.and_then(record);
            record.ok_or(answers::Error::Absent)
        };
        let question = (namespace.to_owned(), name.to_owned());
        self.read.get(question, |_| ONCE, ask).await
    }

    /// Lists the pods that a selector selects at the API server.
    pub(super) async fn list(
        &self,
        client: &kube::Client,
        namespace: &str,
        selector: &Selector,
    ) -> Result<Arc<[Arc<Record>]>, answers::Error> {
        let Some(query) = selector.query() else {
            return Ok(Arc::default());
        };
        let api: Api<Seen> = Api::namespaced(client.clone(), namespace);
        let asked = ListParams::default().labels(&query).limit(MOST);
        let ask = async {
            let found = within(ANSWER_TIMEOUT, api.list(&asked)).await?;
            Ok(found.items.into_iter().filter_map(record).collect())
        };
        let question = (namespace.to_owned(), query);
        self.listed.get(question, |_| ONCE, ask).await
    }

    /// An object's selector, read now or a moment ago.
    pub(super) async fn selects(
        &self,
        client: &kube::Client,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> Result<Arc<Selects>, answers::Error> {
        let ask = async {
            let selects = workloads::read(client, kind, namespace, name).await?;
            Ok(Arc::new(selects))
        };
        let question = (kind, namespace.to_owned(), name.to_owned());
        let ages = Ages {
            good: SELECTOR,
            outage: self.outage,
        };
        self.selectors.get(question, |_| ages, ask).await
    }
}

/// Makes the record of a pod that was read by itself, and shares nothing with others.
fn record(seen: Seen) -> Option<Arc<Record>> {
    let (_, record) = Record::new(seen.pod, 0, &mut Pools::default())?;
    Some(Arc::new(record))
}
