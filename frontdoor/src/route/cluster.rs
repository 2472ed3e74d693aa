//! What all cores know of the cluster: its pods, recent answers of the API server, and the number of
//! sessions in each pod. Questions that a user causes count against the user's rate.

use std::sync::Arc;
use std::time::Duration;

use kube::api::{Api, ListParams};
use podgate_process::cache::Ages;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::affinity::Affinity;
use super::answers::{self, AnswerCache};
use super::loads::Loads;
use super::pod_object::PodObject;
use super::pod_watch;
use super::pods::Pods;
use super::record::{Pools, Record};
use super::workloads::{self, Selects};
use crate::config::ClusterBounds;
use crate::login_name::{Kind, Selector};
use crate::lookups::Lookups;
use crate::metrics::Metrics;
use podgate_identity::kubernetes::{ANSWER_TIMEOUT, within};

/// How long an object's selector serves after it was read.
const SELECTOR: Duration = Duration::from_secs(10);
/// For answers that serve only callers that wait for them.
const ONCE: Ages = Ages {
    good: Duration::ZERO,
    outage: Duration::ZERO,
};
/// How many pods are listed if they are not watched, or too new for the watch. One of these is picked.
const MOST: u32 = 500;

/// A namespace and the SHA-256 of a selector, which may be long.
type Selected = (String, [u8; 32]);

/// What is known of the cluster; empty at first.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Whether a router watches the pods.
    pub(super) watched: bool,
    pub(super) pods: Pods,
    pub(super) loads: Arc<Loads>,
    pub(super) affinity: Option<Affinity>,
    /// By namespace and name.
    read: AnswerCache<(String, String), Arc<Record>>,
    listed: AnswerCache<Selected, Arc<[Arc<Record>]>>,
    selectors: AnswerCache<(Kind, String, String), Arc<Selects>>,
    /// How long the API server's last answer serves while it is away.
    outage: Duration,
    bounds: ClusterBounds,
    lookups: Arc<Lookups>,
    metrics: Arc<Metrics>,
}

impl Cluster {
    /// If `watched`, a router must follow the pods. For `outage` the API server's last answer serves
    /// while it is away.
    pub(crate) fn new(
        watched: bool,
        outage: Duration,
        bounds: ClusterBounds,
        lookups: Arc<Lookups>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            watched,
            pods: Pods::default(),
            loads: Arc::default(),
            affinity: Affinity::new(bounds.affinity),
            read: answers::cache(),
            listed: answers::cache(),
            selectors: answers::cache(),
            outage,
            bounds,
            lookups,
            metrics,
        }
    }

    /// Follows the pods, forever, and reports their number.
    pub(super) async fn follow(&self, client: kube::Client, count: impl Fn(usize)) {
        self.pods.follow(client, self.bounds, count).await;
    }

    /// Counts a look-up of a pod that is too large to be kept.
    pub(super) fn looks_up_pod(&self) {
        self.metrics.looked_up("podBytes");
    }

    /// Cancelled once the watch has seen all pods; never, if there is no watch.
    pub(crate) fn filled(&self) -> CancellationToken {
        self.pods.filled()
    }

    /// Reads a pod from the API server, for a session of `user`.
    pub(super) async fn read(
        &self,
        client: &kube::Client,
        user: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Arc<Record>, answers::Error> {
        self.lookups.take(user)?;
        let api: Api<PodObject> = Api::namespaced(client.clone(), namespace);
        let ask = async {
            let found = within(ANSWER_TIMEOUT, || api.get_opt(name)).await?;
            let record = found.and_then(|seen| self.record(seen));
            record.ok_or(answers::Error::Absent)
        };
        let question = (namespace.to_owned(), name.to_owned());
        self.read.get(question, |_| ONCE, ask).await
    }

    /// Lists the pods that a selector selects at the API server, for a session of `user`.
    pub(super) async fn list(
        &self,
        client: &kube::Client,
        user: &str,
        namespace: &str,
        selector: &Selector,
    ) -> Result<Arc<[Arc<Record>]>, answers::Error> {
        let Some(query) = selector.query() else {
            return Ok(Arc::default());
        };
        self.lookups.take(user)?;
        let api: Api<PodObject> = Api::namespaced(client.clone(), namespace);
        let asked = ListParams::default().labels(&query).limit(MOST);
        let ask = async {
            let page = || async { pod_watch::page(&api, &mut asked.clone()).await };
            let found = within(ANSWER_TIMEOUT, page).await?;
            let records = found.items.into_iter();
            Ok(records.filter_map(|seen| self.record(seen)).collect())
        };
        let question = (namespace.to_owned(), Sha256::digest(&query).into());
        self.listed.get(question, |_| ONCE, ask).await
    }

    /// An object's selector, read now or a moment ago, for a session of `user`.
    pub(super) async fn selects(
        &self,
        client: &kube::Client,
        user: &str,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> Result<Arc<Selects>, answers::Error> {
        let ask = async {
            let selects = workloads::read(client, kind, namespace, name).await?;
            Ok(Arc::new(selects))
        };
        let question = (kind, namespace.to_owned(), name.to_owned());
        if self.selectors.recent(&question, SELECTOR).is_none() {
            self.lookups.take(user)?;
        }
        let kept = Ages {
            good: SELECTOR,
            outage: self.outage,
        };
        let is_kept = |selects: &Selects| workloads::size(selects) <= self.bounds.selector_bytes;
        let ages = |selects: &Arc<Selects>| if is_kept(selects) { kept } else { ONCE };
        let selects = self.selectors.get(question, ages, ask).await?;
        if !is_kept(&selects) {
            self.metrics.looked_up("selectorBytes");
        }
        Ok(selects)
    }

    /// Makes the record of a pod that was read for a session. It is whole, and shares nothing with
    /// others.
    fn record(&self, seen: PodObject) -> Option<Arc<Record>> {
        let bounds = ClusterBounds {
            pod_bytes: usize::MAX,
            ..self.bounds
        };
        let (_, record) = Record::new(seen.pod, 0, &mut Pools::default(), &bounds)?;
        Some(Arc::new(record))
    }
}
