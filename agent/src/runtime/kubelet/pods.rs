//! The kubelet's own view of its pods (`GET /pods`), and whether a granted container is still the
//! live one. The kubelet ignores the UID in an exec's path when a pod of that name exists, so a
//! recreated `web-0` would be entered with its predecessor's grant if nobody looked.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use podgate_process::cache::Cache;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::dial::{self, Dialer};
use super::items::{self, Items};
use crate::grant::{Facts, Granted};

/// For the whole answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);
/// The most bytes of an answer. One tenant's pods may be large, and must not keep others out. No more
/// than one pod of it is in memory.
const MAX_ANSWER: usize = 512 * 1024 * 1024;

/// Why the live container is not known, or is not the granted one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Dial(#[from] dial::Error),
    #[error("asking for the pods: {0}")]
    Http(#[from] hyper::Error),
    #[error("the request for the pods cannot be built: {0}")]
    Request(#[from] http::Error),
    #[error("no answer to the request for the pods within {ANSWER_TIMEOUT:?}")]
    Timeout,
    #[error("reading the pods: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("the kubelet refused to list its pods: status {0}")]
    Refused(StatusCode),
    #[error("the list of pods cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the list of pods cannot be read: {0}")]
    List(#[from] items::Error),
    // A kubelet that has just started has not heard of its pods yet.
    #[error("the kubelet lists no pods at all")]
    NoPods,
    #[error("the pod is gone from this node")]
    PodGone,
    #[error("the pod was replaced by another of the same name")]
    PodReplaced,
    #[error("the container is not running")]
    NotRunning,
    #[error("the container was restarted in the meantime")]
    Restarted,
    #[error("the container has reached its limit of memory and was killed")]
    OutOfMemory,
}

impl Error {
    /// Whether it says that the granted container is no more.
    pub(crate) fn container_gone(&self) -> bool {
        matches!(
            self,
            Self::PodGone
                | Self::PodReplaced
                | Self::NotRunning
                | Self::Restarted
                | Self::OutOfMemory
        )
    }
}

/// What is kept of the kubelet's pods.
#[derive(Debug, Default)]
pub(crate) struct PodList(Vec<Pod>);

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Pod {
    metadata: Metadata,
    spec: Spec,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
    namespace: String,
    uid: String,
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    host_network: bool,
    runtime_class_name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    container_statuses: Vec<Container>,
    init_container_statuses: Vec<Container>,
    ephemeral_container_statuses: Vec<Container>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Container {
    name: String,
    #[serde(rename = "containerID")]
    id: String,
    state: State,
    /// Of the container before it.
    #[serde(rename = "lastState")]
    last: State,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    running: Option<serde::de::IgnoredAny>,
    terminated: Option<Terminated>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Terminated {
    reason: String,
    #[serde(rename = "containerID")]
    id: String,
}

/// The connection that asks for the pods.
type Asking = SendRequest<Empty<Bytes>>;

/// Asks the kubelet for its pods, over one connection that is kept.
#[derive(Debug)]
pub(super) struct Pods {
    dialer: Arc<Dialer>,
    host: String,
    tasks: TaskTracker,
    stopped: CancellationToken,
    kept: Mutex<Option<Asking>>,
    lists: Arc<Lists>,
    /// The keys of labels that this node's rules are about. No others are kept: tenants make as many
    /// labels as they like.
    labels: BTreeSet<String>,
}

/// The kubelet's last list of pods, for all cores.
pub(crate) type Lists = Cache<(), Arc<PodList>>;

/// Keeps one list.
pub(crate) fn lists() -> Lists {
    Cache::new(NonZeroUsize::MIN)
}

impl Pods {
    pub(super) fn new(
        dialer: Arc<Dialer>,
        host: String,
        tasks: TaskTracker,
        stopped: CancellationToken,
        lists: Arc<Lists>,
        labels: BTreeSet<String>,
    ) -> Self {
        Self {
            dialer,
            host,
            tasks,
            stopped,
            kept: Mutex::default(),
            lists,
            labels,
        }
    }

    /// Whether the granted container lives by the last answer, if that is no older than `age`.
    pub(super) fn recently(&self, granted: &Granted, age: Duration) -> Option<Result<(), Error>> {
        let list = self.lists.recent(&(), age)?;
        Some(find(&list, granted).map(drop))
    }

    /// Whether the granted container lives, by an answer that was asked for after this call began.
    /// Calls that wait for each other share an answer.
    pub(super) async fn check(
        &self,
        granted: &Granted,
        token: Option<&str>,
    ) -> Result<Facts, Error> {
        let ask = async {
            let mut kept = self.kept.lock().await;
            let fetched = timeout(ANSWER_TIMEOUT, self.fetch(&mut kept, token))
                .await
                .unwrap_or(Err(Error::Timeout));
            if fetched.is_err() {
                *kept = None;
            }
            fetched.map(Arc::new)
        };
        let list = self.lists.anew((), ask).await?;
        find(&list, granted).map(Pod::facts)
    }

    async fn fetch(
        &self,
        kept: &mut Option<Asking>,
        token: Option<&str>,
    ) -> Result<PodList, Error> {
        // A kept connection may have been closed by the kubelet since its last answer.
        if let Some(mut connection) = kept.take()
            && connection.ready().await.is_ok()
            && let Ok(list) = self.ask(&mut connection, token).await
        {
            *kept = Some(connection);
            return Ok(list);
        }
        let (mut connection, driver) =
            http1::handshake(TokioIo::new(self.dialer.connect().await?)).await?;
        let stopped = self.stopped.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                // The requests report its errors, too.
                _ = driver => {}
            }
        });
        let list = self.ask(&mut connection, token).await?;
        *kept = Some(connection);
        Ok(list)
    }

    async fn ask(&self, connection: &mut Asking, token: Option<&str>) -> Result<PodList, Error> {
        let mut request = Request::get("/pods").header(header::HOST, &self.host);
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let response = connection.send_request(request.body(Empty::new())?).await?;
        if response.status() != StatusCode::OK {
            return Err(Error::Refused(response.status()));
        }
        let mut body = Limited::new(response.into_body(), MAX_ANSWER);
        let mut reading = Reading::new(&self.labels);
        while let Some(frame) = body.frame().await {
            if let Ok(bytes) = frame.map_err(Error::Body)?.into_data() {
                reading.feed(&bytes)?;
            }
        }
        reading.end()
    }
}

/// A list that is being read.
struct Reading<'a> {
    items: Items,
    list: PodList,
    labels: &'a BTreeSet<String>,
}

impl<'a> Reading<'a> {
    fn new(labels: &'a BTreeSet<String>) -> Self {
        Self {
            items: Items::default(),
            list: PodList::default(),
            labels,
        }
    }

    /// Keeps of each pod the labels of the keys that rules are about, and the containers that run or were
    /// killed for want of memory.
    fn feed(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let (list, labels) = (&mut self.list, self.labels);
        self.items.feed(bytes, |item| {
            let mut pod: Pod = serde_json::from_slice(item)?;
            pod.metadata.labels.retain(|key, _| labels.contains(key));
            let status = &mut pod.status;
            for containers in [
                &mut status.container_statuses,
                &mut status.init_container_statuses,
                &mut status.ephemeral_container_statuses,
            ] {
                containers.retain(Container::counts);
                containers.shrink_to_fit();
            }
            list.0.push(pod);
            Ok(())
        })
    }

    fn end(self) -> Result<PodList, Error> {
        self.items.end()?;
        Ok(self.list)
    }
}

impl Container {
    /// Whether there is anything to say of it but that it does not run.
    fn counts(&self) -> bool {
        let killed = [&self.state, &self.last].map(State::killed);
        self.state.running.is_some() || killed.iter().any(Option::is_some)
    }

    /// Whether the one of this id was killed for want of memory.
    fn was_killed(&self, id: &str) -> bool {
        [&self.state, &self.last]
            .map(State::killed)
            .contains(&Some(id))
    }
}

impl State {
    /// The id of a container that was killed for want of memory.
    fn killed(&self) -> Option<&str> {
        let ended = self.terminated.as_ref();
        let killed = ended.filter(|ended| ended.reason == "OOMKilled");
        killed.map(|killed| &*killed.id)
    }
}

impl Pod {
    fn facts(&self) -> Facts {
        Facts {
            labels: self.metadata.labels.clone(),
            runtime_class: self.spec.runtime_class_name.clone(),
            host_network: self.spec.host_network,
        }
    }
}

/// The pod, if the granted container lives in it.
fn find<'a>(list: &'a PodList, granted: &Granted) -> Result<&'a Pod, Error> {
    let named = |pod: &&Pod| {
        pod.metadata.namespace == granted.namespace && pod.metadata.name == granted.pod
    };
    let pods = &list.0;
    let gone = if pods.is_empty() {
        Error::NoPods
    } else {
        Error::PodGone
    };
    let pod = pods.iter().find(named).ok_or(gone)?;
    if pod.metadata.uid != granted.uid {
        return Err(Error::PodReplaced);
    }
    let status = &pod.status;
    let container = status
        .container_statuses
        .iter()
        .chain(&status.init_container_statuses)
        .chain(&status.ephemeral_container_statuses)
        .find(|container| container.name == granted.container)
        .ok_or(Error::NotRunning)?;
    if container.was_killed(&granted.container_id) {
        return Err(Error::OutOfMemory);
    }
    if container.state.running.is_none() {
        return Err(Error::NotRunning);
    }
    if container.id != granted.container_id {
        return Err(Error::Restarted);
    }
    Ok(pod)
}

#[cfg(test)]
mod tests;
