//! A page of a list, of the namespaces whose recordings a visitor may list. The names of index objects say
//! most; only what is shown, or searched for a command, is read.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use podgate_recording::{Entry, Found, Library, Query};

use super::error::Error;
use super::filter::{Filter, Sort};
use super::find::Desk;
use crate::entry::Visitor;
use crate::rights::Right;

/// Recordings on a page.
const PAGE: usize = 50;
/// Recordings that a list has at most: the newest.
const NEWEST: usize = 10_000;
/// Recordings that a search for a command reads at most.
const READ: usize = 2000;
/// Recordings that are read at a time. Each may take 256 KiB.
const BATCH: usize = 64;
/// How far back a list looks without `from`.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) entries: Vec<Entry>,
    /// The frontdoors that run, of those that have not ended one of these.
    pub(crate) running: BTreeSet<String>,
    /// Whether there is another page.
    pub(crate) more: bool,
    /// Whether older recordings were left out, or not looked into.
    pub(crate) cut: bool,
}

/// Lists what fits.
pub(crate) async fn list(desk: &Desk, visitor: &Visitor, filter: &Filter) -> Result<Listed, Error> {
    desk.in_time(visitor, async {
        let names = names(desk, visitor, filter).await?;
        let cut = names.len() == NEWEST;
        let first = (filter.page - 1) * PAGE;
        if let Some(words) = &filter.command {
            return search(desk, names, words, first, cut).await;
        }
        let more = names.len() > first + PAGE;
        let names = names.into_iter().skip(first).take(PAGE).collect();
        let entries = desk.library.entries(names).await?;
        let running = desk.library.running_of(&entries).await?;
        Ok(Listed {
            entries,
            running,
            more,
            cut,
        })
    })
    .await
}

/// The names of all that fits, but for the command.
async fn names(desk: &Desk, visitor: &Visitor, filter: &Filter) -> Result<Vec<Found>, Error> {
    let utc = |date: jiff::civil::Date| date.to_zoned(TimeZone::UTC).ok();
    let since = match filter.from {
        Some(from) => utc(from).map(|time| time.timestamp()),
        None => Timestamp::now().checked_sub(DAY).ok(),
    };
    let since = since.unwrap_or(Timestamp::UNIX_EPOCH);
    let mut days = Library::days(since);
    days.retain(|day| filter.to.is_none_or(|to| *day <= to));
    let namespaces = desk.library.namespaces(days.clone()).await?;
    let only = filter.namespace.as_ref();
    let fits = |namespace: &String| only.is_none_or(|only| only == namespace);
    let namespaces = namespaces.into_iter().filter(fits).collect();
    let may = desk.rights.among(visitor, Right::List, namespaces).await?;
    let query = Query {
        user: filter.user.clone(),
        pod: filter.pod.clone(),
        since: Some(since),
        limit: NEWEST,
    };
    let mut found = desk.library.list(days, may, query).await?;
    match filter.sort {
        // They come so.
        Sort::Newest => {}
        Sort::Oldest => found.reverse(),
        Sort::Namespace => found.sort_by(|one, two| one.namespace().cmp(two.namespace())),
        Sort::Pod => found.sort_by(|one, two| one.pod().cmp(two.pod())),
    }
    Ok(found)
}

/// The entries whose command has these words, from the `first` on.
async fn search(
    desk: &Desk,
    names: Vec<Found>,
    words: &str,
    first: usize,
    cut: bool,
) -> Result<Listed, Error> {
    let cut = cut || names.len() > READ;
    let mut page = Page::new(first);
    let looked = names.get(..READ.min(names.len())).unwrap_or_default();
    for batch in looked.chunks(BATCH) {
        let entries = desk.library.entries(batch.to_vec()).await?;
        let has = |entry: &Entry| {
            let command = entry.header.command.as_deref();
            command.is_some_and(|command| command.contains(words))
        };
        page.extend(entries.into_iter().filter(has));
        if page.more {
            break;
        }
    }
    let running = desk.library.running_of(&page.entries).await?;
    Ok(Listed {
        entries: page.entries,
        running,
        more: page.more,
        cut,
    })
}

/// One page of what is found. The pages before it are counted and not kept.
struct Page<T> {
    before: usize,
    entries: Vec<T>,
    more: bool,
}

impl<T> Page<T> {
    fn new(before: usize) -> Self {
        Self {
            before,
            entries: Vec::new(),
            more: false,
        }
    }

    fn extend(&mut self, found: impl Iterator<Item = T>) {
        for entry in found {
            if self.before > 0 {
                self.before -= 1;
            } else if self.entries.len() < PAGE {
                self.entries.push(entry);
            } else {
                self.more = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_its_own_entries_alone() {
        let check = |before: usize, found: usize, expect: (Vec<usize>, bool)| {
            let mut page = Page::new(before);
            for batch in (0..found).collect::<Vec<_>>().chunks(BATCH) {
                page.extend(batch.iter().copied());
            }
            assert_eq!((page.entries, page.more), expect, "{before} of {found}");
        };
        check(0, 0, (vec![], false));
        check(0, PAGE, ((0..PAGE).collect(), false));
        check(0, PAGE + 1, ((0..PAGE).collect(), true));
        check(PAGE, PAGE + 1, (vec![PAGE], false));
        check(PAGE * 9, PAGE, (vec![], false));
    }
}
