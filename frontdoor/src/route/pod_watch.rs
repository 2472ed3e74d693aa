//! Follows all pods of the cluster: lists them in pages, then watches what changes. It is bounded in
//! bytes: a page that is too large is asked for again with fewer pods. An event that cannot be read is
//! left out.

use std::pin::pin;
use std::time::Duration;

use futures_util::TryStreamExt;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use kube::core::{ObjectList, Status};
use kube::runtime::watcher::Event;
use podgate_identity::kubernetes::{backoff, is_too_large};
use tokio::time::{sleep, timeout};

use super::pod_object::PodObject;

/// Pods in a page of the list, at most. A page is parsed at once, and no more of a list is in memory.
const PAGE: u32 = 250;
/// By how much a page shrinks that is too large, and by how much each next one grows.
const SHRINK: u32 = 4;
const GROW: u32 = 2;
/// Seconds after which the watch is renewed.
const WATCH: u32 = 60;
/// A watch that has not ended by then, and is silent, is dead.
const SILENCE: Duration = Duration::from_secs(WATCH as u64 + 5);
/// The API server no longer has the version that a watch asks for.
const EXPIRED: u16 = 410;

/// Why the pods cannot be followed for now.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Ask(#[from] kube::Error),
    #[error("the watch failed: {0}")]
    Watch(Box<Status>),
    #[error("the API server gave no resource version")]
    NoVersion,
}

/// Follows the pods, forever, and gives each event to `take`.
pub(super) async fn follow(client: kube::Client, mut take: impl FnMut(Event<PodObject>)) {
    let api = Api::<PodObject>::all(client);
    let mut pauses = backoff();
    // Where a watch goes on; `None` if a list is needed.
    let mut version = None;
    loop {
        let step = match &mut version {
            None => list(&api, &mut take).await.map(|listed| {
                version = Some(listed);
            }),
            Some(from) => watch(&api, from, &mut take).await.map(|goes_on| {
                version.take_if(|_| !goes_on);
            }),
        };
        if let Err(error) = step {
            tracing::warn!(%error, "watching the cluster's pods");
            if matches!(&error, Error::Ask(error) if is_too_large(error)) {
                version = None;
            }
            sleep(pauses.next().unwrap_or(SILENCE)).await;
        }
    }
}

/// Lists all pods. Returns the version of the list.
async fn list(
    api: &Api<PodObject>,
    take: &mut impl FnMut(Event<PodObject>),
) -> Result<String, Error> {
    take(Event::Init);
    let mut asked = ListParams::default().limit(PAGE);
    loop {
        let page = page(api, &mut asked).await?;
        page.items
            .into_iter()
            .for_each(|seen| take(Event::InitApply(seen)));
        asked.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if asked.continue_token.is_none() {
            let version = page.metadata.resource_version;
            let version = version.filter(|version| !version.is_empty());
            take(Event::InitDone);
            return version.ok_or(Error::NoVersion);
        }
        asked.limit = asked.limit.map(|limit| (limit * GROW).min(PAGE));
    }
}

/// One page of a list, of fewer pods than asked for if so many are too large.
pub(super) async fn page(
    api: &Api<PodObject>,
    asked: &mut ListParams,
) -> Result<ObjectList<PodObject>, kube::Error> {
    loop {
        match (api.list(asked).await, asked.limit) {
            (Err(error), Some(limit)) if limit > 1 && is_too_large(&error) => {
                asked.limit = Some((limit / SHRINK).max(1));
            }
            (page, _) => return page,
        }
    }
}

/// Watches until the API server ends the watch. Returns whether another one can go on from `version`.
async fn watch(
    api: &Api<PodObject>,
    version: &mut String,
    take: &mut impl FnMut(Event<PodObject>),
) -> Result<bool, Error> {
    let asked = WatchParams::default().timeout(WATCH);
    let events = match api.watch(&asked, version).await {
        Err(kube::Error::Api(status)) if status.code == EXPIRED => return Ok(false),
        events => events?,
    };
    let mut events = pin!(events);
    loop {
        let event = match timeout(SILENCE, events.try_next()).await {
            Err(_) | Ok(Ok(None)) => return Ok(true),
            Ok(Err(kube::Error::SerdeError(error))) => {
                tracing::warn!(%error, "a pod of the watch cannot be read");
                continue;
            }
            Ok(event) => event?,
        };
        match event {
            Some(WatchEvent::Added(seen) | WatchEvent::Modified(seen)) => {
                advance(version, seen.version())?;
                take(Event::Apply(seen));
            }
            Some(WatchEvent::Deleted(seen)) => {
                advance(version, seen.version())?;
                take(Event::Delete(seen));
            }
            Some(WatchEvent::Bookmark(mark)) => {
                advance(version, Some(&mark.metadata.resource_version))?;
            }
            Some(WatchEvent::Error(status)) if status.code == EXPIRED => return Ok(false),
            Some(WatchEvent::Error(status)) => return Err(Error::Watch(status.boxed())),
            None => return Ok(true),
        }
    }
}

fn advance(version: &mut String, to: Option<&str>) -> Result<(), Error> {
    let to = to.filter(|to| !to.is_empty()).ok_or(Error::NoVersion)?;
    to.clone_into(version);
    Ok(())
}
