//! Watches: the present state if it is asked for, and then every change, one per line. A watch has no
//! task: its connection asks for the next lines and drops it. A watch that is too slow is ended.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use std::vec;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::answer::{self, Answer, Failure};
use super::counts::OpenWatch;
use super::list::PART;
use super::options::{At, Options};
use super::selector::Selector;
use crate::stand_ins::cluster::Cluster;
use crate::stand_ins::cluster::history::{Event, Expired};
use crate::stand_ins::cluster::object::{Change, Object};

/// The time between bookmarks, and before the end of a watch for the last one (apiserver,
/// `pkg/storage/cacher`).
const BOOKMARKS: Duration = Duration::from_secs(60);
const LAST_BOOKMARK: Duration = Duration::from_secs(2);
/// Changes that are read at once, under the store's lock.
const BATCH: usize = 256;

/// What a test can do to a watch.
pub(super) struct Control {
    pub(super) end: CancellationToken,
    pub(super) hold: watch::Receiver<bool>,
    pub(super) _open: OpenWatch,
}

pub(super) fn watch(cluster: &Cluster, options: Options, control: Control) -> Answer {
    let body = match Watch::begin(cluster, options, control) {
        Ok(watch) => StreamBody::new(stream::unfold(watch, |mut watch| async {
            let lines = watch.lines().await?;
            Some((Ok::<_, Infallible>(Frame::data(lines)), watch))
        }))
        .boxed_unsync(),
        // The error is sent in the stream, as the watch cache does.
        Err(expired) => {
            let status = Failure::expired(expired.to_string()).status();
            let line = format!("{}\n", json!({"type": "ERROR", "object": status}));
            Full::from(line).boxed_unsync()
        }
    };
    answer::json(body)
}

struct Watch {
    cluster: Cluster,
    latest: watch::Receiver<u64>,
    selector: Selector,
    /// The present state, and the resource version that marks its end.
    initial: vec::IntoIter<Arc<Object>>,
    mark: Option<u64>,
    /// The place in the history.
    place: u64,
    resource_version: u64,
    bookmark: Option<Instant>,
    deadline: Instant,
    control: Control,
}

impl Watch {
    fn begin(cluster: &Cluster, options: Options, control: Control) -> Result<Self, Expired> {
        let latest = cluster.latest();
        let store = cluster.store();
        let selector = options.selector;
        let (mut place, now) = (store.history().end(), store.resource_version());
        let mut initial = Vec::new();
        let mut resource_version = now;
        match (options.initial_events, options.at) {
            (true, _) => {
                let prefix = selector.prefix();
                let all = store.pods_at(now, &prefix)?;
                let all = all.take_while(|object| object.key.starts_with(&prefix));
                initial.extend(all.filter(|object| selector.selects(object)).cloned());
            }
            (false, At::Version(asked)) => {
                place = store.history().after(asked)?;
                resource_version = asked;
            }
            (false, At::Unset | At::Any) => {}
        }
        drop(store);
        let deadline = Instant::now() + options.timeout;
        let mark = options.initial_events && options.bookmarks;
        Ok(Self {
            cluster: cluster.clone(),
            latest,
            selector,
            initial: initial.into_iter(),
            mark: mark.then_some(now),
            place,
            resource_version,
            bookmark: options.bookmarks.then(|| next_bookmark(deadline)).flatten(),
            deadline,
            control,
        })
    }

    /// The next lines; `None` at the end.
    async fn lines(&mut self) -> Option<Bytes> {
        loop {
            tokio::select! {
                biased;
                () = self.control.end.cancelled() => return None,
                () = sleep_until(self.deadline) => return None,
                free = self.control.hold.wait_for(|hold| !hold) => drop(free.ok()?),
            }
            if let Some(lines) = self.initial_lines() {
                return Some(lines);
            }
            // Before the look, so that no change is missed in between.
            self.latest.borrow_and_update();
            if let Some(lines) = self.changes()? {
                return Some(lines);
            }
            let bookmark = self.bookmark;
            tokio::select! {
                () = self.control.end.cancelled() => return None,
                () = sleep_until(self.deadline) => return None,
                () = sleep_until(bookmark.unwrap_or(self.deadline)), if bookmark.is_some() => {
                    self.bookmark = next_bookmark(self.deadline);
                    return Some(bookmark_line(self.resource_version, ""));
                }
                changed = self.latest.changed() => changed.ok()?,
            }
        }
    }

    fn initial_lines(&mut self) -> Option<Bytes> {
        let mut lines = Vec::new();
        while lines.len() < PART
            && let Some(object) = self.initial.next()
        {
            lines.extend_from_slice(&object.line(Change::Added));
        }
        if lines.len() < PART
            && let Some(version) = self.mark.take()
        {
            let mark = r#","annotations":{"k8s.io/initial-events-end":"true"}"#;
            lines.extend_from_slice(&bookmark_line(version, mark));
        }
        (!lines.is_empty()).then(|| lines.into())
    }

    /// What has changed since the last look, if anything has; `None` if that is forgotten.
    #[allow(clippy::option_option, reason = "whether there is more, and what")]
    fn changes(&mut self) -> Option<Option<Bytes>> {
        loop {
            let store = self.cluster.store();
            let (events, now) = (
                store.history().read(self.place, BATCH)?,
                store.resource_version(),
            );
            drop(store);
            self.place += events.len() as u64;
            let whole = events.len() < BATCH;
            self.resource_version = match events.last() {
                Some(last) if !whole => last.object.resource_version,
                // The client may have asked for a resource version that does not exist yet.
                _ => now.max(self.resource_version),
            };
            let lines = events.iter().filter_map(|event| self.line(event));
            let mut lines: Vec<Bytes> = lines.collect();
            match lines.len() {
                0 if whole => return Some(None),
                0 => {}
                1 => return Some(lines.pop()),
                _ => return Some(Some(lines.concat().into())),
            }
        }
    }

    /// A change as it looks to a client that sees only these pods.
    fn line(&self, event: &Event) -> Option<Bytes> {
        let Event {
            change,
            object,
            before,
        } = event;
        let before = before
            .as_ref()
            .filter(|before| self.selector.selects(before));
        let selected = *change != Change::Deleted && self.selector.selects(object);
        match (before, selected) {
            (None, false) => None,
            (None, true) => Some(object.line(Change::Added)),
            (Some(_), true) => Some(object.line(Change::Modified)),
            (Some(_), false) if *change == Change::Deleted => Some(object.line(Change::Deleted)),
            (Some(before), false) => {
                let gone = before.deleted(object.resource_version);
                Some(gone.line(Change::Deleted))
            }
        }
    }
}

fn next_bookmark(deadline: Instant) -> Option<Instant> {
    let now = Instant::now();
    let last = deadline.checked_sub(LAST_BOOKMARK).filter(|at| *at > now);
    last.map(|last| last.min(now + BOOKMARKS))
}

fn bookmark_line(resource_version: u64, annotations: &str) -> Bytes {
    format!(
        "{{\"type\":\"BOOKMARK\",\"object\":{{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\
         \"metadata\":{{\"resourceVersion\":\"{resource_version}\"{annotations}}},\
         \"spec\":{{\"containers\":null}},\"status\":{{}}}}}}\n"
    )
    .into()
}
