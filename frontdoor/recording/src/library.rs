//! What is stored, for reading.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::calls::Calls;
use crate::chunk;
use crate::index::{self, Entry};
use crate::name::{self, Id};
use crate::newest::{Found, Newest, Query};
use crate::reader::Reader;
use crate::rebuild::{Rebuilt, rebuild};
use crate::store::Error;

/// Objects that one request reads at the same time.
const AT_ONCE: usize = 16;
/// Bytes of a link's object at most. An identity may have 64 KiB.
const LINK: u64 = 256 * 1024;
/// A frontdoor that has written nothing for so long runs no more. It writes every 30 s, and its clock is not ours.
const SILENT: SignedDuration = SignedDuration::from_mins(5);
/// Recordings that a rebuild has in memory at the same time.
const REBUILT: usize = 10_000;

/// The recordings in a store.
#[derive(Clone, Debug)]
pub struct Library {
    pub(crate) calls: Calls,
}

impl Library {
    /// Days that a list looks back at most.
    pub const DAYS: u16 = 400;

    pub(crate) fn new(calls: Calls) -> Self {
        Self { calls }
    }

    /// The days since then, newest first. Tomorrow is the first of them: the clock of the frontdoor that has
    /// recorded may have been fast.
    pub fn days(since: Timestamp) -> Vec<Date> {
        let day = |time: Timestamp| time.to_zoned(TimeZone::UTC).date();
        let (first, today) = (day(since), day(Timestamp::now()));
        let newest = today.tomorrow().unwrap_or(today);
        let days = std::iter::successors(Some(newest), |day| day.yesterday().ok());
        let most = usize::from(Self::DAYS) + 2;
        days.take(most).take_while(|day| *day >= first).collect()
    }

    /// The namespaces that have recordings of these days.
    pub async fn namespaces(&self, days: Vec<Date>) -> Result<BTreeSet<String>, Error> {
        let store = self.calls.store.clone();
        self.calls
            .run(async move {
                let folders = days.into_iter().map(|day| {
                    let store = store.clone();
                    async move { store.folders(&name::day(day)).await }
                });
                let folders: Vec<_> = stream::iter(folders)
                    .buffered(AT_ONCE)
                    .try_collect()
                    .await?;
                Ok(folders.into_iter().flatten().collect())
            })
            .await
    }

    /// The namespaces that may have this recording.
    pub async fn namespaces_of(&self, id: &Id) -> Result<BTreeSet<String>, Error> {
        // Not by the index alone, of which objects may be lost.
        let mut namespaces = self.namespaces(vec![id.day()]).await?;
        namespaces.extend(self.recorded(id.day()).await?);
        Ok(namespaces)
    }

    /// The namespaces that have recordings of a day, whether or not these are in the index.
    pub async fn recorded(&self, day: Date) -> Result<Vec<String>, Error> {
        let store = self.calls.store.clone();
        self.calls
            .run(async move { store.folders(&name::recorded(day)).await })
            .await
    }

    /// Makes the index objects that a day and a namespace lack.
    pub async fn rebuild(&self, day: Date, namespace: String) -> Result<Rebuilt, Error> {
        let store = self.calls.store.clone();
        self.calls
            .run(async move { rebuild(&store, day, &namespace, REBUILT).await })
            .await
    }

    /// The recordings of these days and namespaces that fit, newest first.
    pub async fn list(
        &self,
        days: Vec<Date>,
        namespaces: Vec<String>,
        query: Query,
    ) -> Result<Vec<Found>, Error> {
        let store = self.calls.store.clone();
        self.calls
            .run(async move {
                let newest = Newest::new(query);
                let each = |(day, namespace): (Date, String)| {
                    let (store, newest) = (store.clone(), newest.clone());
                    async move {
                        let (folder, cuts) = (name::index(day, &namespace), name::hours(day));
                        let each = |file: &str| newest.see(file, (day, &namespace));
                        store.files(&folder, &cuts, each).await?;
                        Ok::<_, Error>(day)
                    }
                };
                let days = days.into_iter();
                let folders =
                    days.flat_map(|day| namespaces.iter().map(move |it| (day, it.clone())));
                // Collected, because what a closure lends does not live as long as this task may.
                let folders: Vec<_> = folders.collect();
                let mut listed = stream::iter(folders.into_iter().map(each)).buffered(AT_ONCE);
                let mut before = None;
                while let Some(day) = listed.try_next().await? {
                    // What began on older days is older.
                    let over = before.replace(day).filter(|before| *before != day);
                    if over.is_some_and(|before| newest.is_full_since(before)) {
                        break;
                    }
                }
                drop(listed);
                Ok(newest.take())
            })
            .await
    }

    /// What the index has of these recordings, in their order. One whose index object is gone or
    /// unreadable is left out. All of them are in memory, and each may have 256 KiB.
    pub async fn entries(&self, found: Vec<Found>) -> Result<Vec<Entry>, Error> {
        let store = self.calls.store.clone();
        self.calls
            .run(async move {
                let entries = found.into_iter().map(|found| {
                    let store = store.clone();
                    async move {
                        let name = found.name.object(found.day, &found.namespace);
                        match store.get(&name, index::MAX).await {
                            Ok(Some(object)) => Ok(serde_json::from_slice(&object).ok()),
                            Ok(None) | Err(Error::Long(_)) => Ok(None),
                            Err(error) => Err(error),
                        }
                    }
                });
                let entries: Vec<_> = stream::iter(entries)
                    .buffered(AT_ONCE)
                    .try_collect()
                    .await?;
                Ok(entries.into_iter().flatten().collect())
            })
            .await
    }

    /// Finds a recording in one of these namespaces, whether or not its first chunk is there.
    pub async fn find(&self, id: Id, namespaces: Vec<String>) -> Result<Option<Reader>, Error> {
        let calls = self.calls.clone();
        self.calls
            .run(async move {
                let first = |namespace: String| {
                    let (store, id) = (calls.store.clone(), id.clone());
                    async move {
                        let name = name::chunk(&namespace, &id, 0);
                        let first = store.get(&name, chunk::MAX_OBJECT).await?;
                        Ok(first.map(|first| (namespace, Some(first))))
                    }
                };
                let rest = |namespace: String| {
                    let (store, id) = (calls.store.clone(), id.clone());
                    async move {
                        let is_there = store.has_files(&name::recording(&namespace, &id)).await?;
                        Ok(is_there.then_some((namespace, None)))
                    }
                };
                let found = match any(namespaces.iter().cloned().map(first)).await? {
                    None => any(namespaces.into_iter().map(rest)).await?,
                    found => found,
                };
                Ok(found.map(|(namespace, first)| {
                    Reader::new(calls.clone(), (namespace, id.clone()), first)
                }))
            })
            .await
    }

    /// The frontdoors that run, of those that have not ended one of these recordings.
    pub async fn running_of(&self, entries: &[Entry]) -> Result<BTreeSet<String>, Error> {
        let open = entries.iter().filter(|entry| entry.end.is_none());
        let frontdoors = open.map(|entry| entry.header.podgate.frontdoor.clone());
        self.running(frontdoors.collect()).await
    }

    /// Those of these frontdoors that run. Of a session whose recording has no end and whose frontdoor does
    /// not run, no more will come. One before this version has no name, and counts as one that runs.
    pub(crate) async fn running(
        &self,
        frontdoors: BTreeSet<String>,
    ) -> Result<BTreeSet<String>, Error> {
        let store = self.calls.store.clone();
        self.calls
            .run(async move {
                let latest = Timestamp::now() - SILENT;
                let looks = frontdoors.into_iter().map(|frontdoor| {
                    let (store, name) = (store.clone(), name::frontdoor(&frontdoor));
                    async move {
                        let runs = frontdoor.is_empty()
                            || store.written(&name).await?.is_some_and(|it| it >= latest);
                        Ok::<_, Error>(runs.then_some(frontdoor))
                    }
                });
                let runs: Vec<_> = stream::iter(looks).buffered(AT_ONCE).try_collect().await?;
                Ok(runs.into_iter().flatten().collect())
            })
            .await
    }

    /// Keeps a small object for the page of recordings, unless there is one of this name. Returns whether
    /// there was none: of several who try at once, one alone succeeds.
    pub async fn keep_link(&self, name: &str, object: impl Into<Bytes>) -> Result<bool, Error> {
        let (store, name, object) = (self.calls.store.clone(), name::link(name), object.into());
        self.calls
            .run(async move { store.create(&name, object).await })
            .await
    }

    /// What was kept under this name.
    pub async fn link(&self, name: &str) -> Result<Option<Bytes>, Error> {
        self.calls.get(name::link(name), LINK).await
    }
}

/// What the first of these finds that finds anything.
async fn any<T, F>(tries: impl Iterator<Item = F> + Send) -> Result<Option<T>, Error>
where
    T: Send,
    F: Future<Output = Result<Option<T>, Error>> + Send,
{
    let mut tries = stream::iter(tries).buffer_unordered(AT_ONCE);
    while let Some(found) = tries.try_next().await? {
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
