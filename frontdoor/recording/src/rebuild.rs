//! Makes index objects that are missing, from the recordings themselves. Anybody may run it again: an
//! index object that is there stays as it is.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::civil::Date;

use crate::cast::{self, Event};
use crate::chunk::{self, Head};
use crate::content::Content;
use crate::index::{Ending, Entry};
use crate::name::{self, Id, Indexed};
use crate::store::{Error, Store};

/// Recordings that are read at the same time, each with two chunks.
const AT_ONCE: usize = 8;
/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each name says it")]
pub struct Rebuilt {
    pub made: u64,
    /// Recordings whose chunks cannot be read.
    pub unreadable: u64,
}

/// Looks at all recordings of a day and a namespace, so many at a time.
pub(crate) async fn rebuild(
    store: &Store,
    day: Date,
    namespace: &str,
    at_a_time: usize,
) -> Result<Rebuilt, Error> {
    let mut rebuilt = Rebuilt::default();
    let mut after = None;
    loop {
        let (mut found, more) = recordings(store, day, namespace, (after, at_a_time)).await?;
        let last = found.last_key_value().map(|(id, _)| id.clone());
        leave_out_indexed(store, day, namespace, &mut found).await?;
        make(store, day, namespace, found, &mut rebuilt).await?;
        if !more {
            return Ok(rebuilt);
        }
        after = last;
    }
}

/// The first recordings after one, each with its number of chunks, and whether there are more.
async fn recordings(
    store: &Store,
    day: Date,
    namespace: &str,
    (after, at_a_time): (Option<Id>, usize),
) -> Result<(BTreeMap<Id, u32>, bool), Error> {
    let (mut found, mut more) = (BTreeMap::<Id, u32>::new(), false);
    let each = |folder: &str, _: &str| {
        let Ok(id) = folder.parse::<Id>() else { return };
        if after.as_ref().is_some_and(|after| id <= *after) {
            return;
        }
        *found.entry(id).or_insert(0) += 1;
        // A folder lists its files in no order, and of one that is left out others may still come.
        if found.len() > at_a_time {
            found.pop_last();
            more = true;
        }
    };
    let after = after.as_ref().map(Id::as_str);
    let folder = name::chunks(day, namespace);
    store.tree(&folder, after, each).await?;
    Ok((found, more))
}

async fn leave_out_indexed(
    store: &Store,
    day: Date,
    namespace: &str,
    found: &mut BTreeMap<Id, u32>,
) -> Result<(), Error> {
    let each = |file: &str| {
        if let Some(indexed) = Indexed::parse(file) {
            found.remove(&indexed.id);
        }
    };
    let (folder, cuts) = (name::index(day, namespace), name::hours(day));
    store.files(&folder, &cuts, each).await
}

/// Makes the index objects of these recordings.
async fn make(
    store: &Store,
    day: Date,
    namespace: &str,
    recordings: BTreeMap<Id, u32>,
    rebuilt: &mut Rebuilt,
) -> Result<(), Error> {
    let work = recordings.into_iter().map(|(id, chunks)| async move {
        let Some(entry) = entry(store, namespace, &id, chunks).await? else {
            return Ok::<_, Error>(false);
        };
        let Some((name, bytes)) = entry.object(id, day) else {
            return Ok(false);
        };
        store.create(&name, bytes).await?;
        Ok(true)
    });
    let mut work = stream::iter(work).buffer_unordered(AT_ONCE);
    while let Some(made) = work.try_next().await? {
        match made {
            true => rebuilt.made += 1,
            false => rebuilt.unreadable += 1,
        }
    }
    Ok(())
}

/// What the first and the last chunk say; `None` if they cannot be read, or are of another recording.
async fn entry(
    store: &Store,
    namespace: &str,
    id: &Id,
    chunks: u32,
) -> Result<Option<Entry>, Error> {
    let read = async |number: u32| {
        let name = name::chunk(namespace, id, number);
        let object = store.get(&name, chunk::MAX_OBJECT).await?;
        Ok::<_, Error>(object.and_then(|object| chunk::open(&object).ok()))
    };
    let Some((head, content)) = read(0).await? else {
        return Ok(None);
    };
    let Some(header) = content.header() else {
        return Ok(None);
    };
    let about = &header.podgate;
    if about.recording != id.as_str() || about.namespace != namespace {
        return Ok(None);
    }
    let last = chunks.saturating_sub(1);
    let last = match last {
        0 => Some((head, content)),
        last => read(last).await?,
    };
    let end = last.and_then(|(head, content)| ending(head, &content));
    Ok(Some(Entry { header, end }))
}

/// How a recording ended whose last chunk this is; `None` if it is another one.
fn ending(head: Head, content: &Content) -> Option<Ending> {
    let status = match content {
        Content::Text(text) => status(&head, text)?,
        Content::Encrypted { .. } => head.status,
    };
    Some(Ending {
        duration_ms: head.until_ms,
        chunks: head.number + 1,
        status,
        whole: head.whole?,
    })
}

/// The exit status in the last chunk's text; the outer `None` if that cannot be read.
fn status(head: &Head, text: &[u8]) -> Option<Option<u32>> {
    let lines = match head.number {
        0 => cast::header(text).ok()?.1,
        _ => text,
    };
    let events = cast::events(lines, &mut Duration::default()).ok()?;
    Some(events.iter().rev().find_map(|(_, event)| match event {
        Event::Exit(status) => Some(*status),
        _ => None,
    }))
}

#[cfg(test)]
mod tests;
