//! The newest recordings of a list, of the names of index objects.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::civil::Date;

use crate::name::{Id, Indexed, began, pod_part, short_hash};

/// Recordings in a list at most.
const LISTED: usize = 10_000;

/// Which recordings. What is `None` fits all.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "each name says it")]
pub struct Query {
    pub user: Option<String>,
    pub pod: Option<String>,
    /// Only what began since then, or still ran on a day after that.
    pub since: Option<Timestamp>,
    /// The newest so many, at most 10,000.
    pub limit: usize,
}

/// A recording that a list has found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    pub(crate) name: Indexed,
    pub(crate) namespace: String,
    /// The last day in whose index it was seen.
    pub(crate) day: Date,
}

impl Found {
    /// Its name.
    pub fn id(&self) -> &Id {
        &self.name.id
    }

    /// The namespace of its pod.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its pod. Of a long name the end is a hash.
    pub fn pod(&self) -> &str {
        &self.name.pod
    }
}

/// The newest that fit, of all that was seen. It holds no more than the limit.
#[derive(Clone)]
pub(crate) struct Newest {
    user: Option<String>,
    pod: Option<String>,
    since: Option<String>,
    limit: usize,
    /// By name and namespace: one may be in the index of several days.
    found: Arc<Mutex<BTreeMap<(Indexed, String), Date>>>,
}

impl Newest {
    pub(crate) fn new(query: Query) -> Self {
        Self {
            user: query.user.as_deref().map(short_hash),
            pod: query.pod.as_deref().map(pod_part),
            since: query.since.map(began),
            limit: query.limit.min(LISTED),
            found: Arc::default(),
        }
    }

    /// Takes the name of an index object of a day and a namespace, if it fits.
    pub(crate) fn see(&self, file: &str, (day, namespace): (Date, &str)) {
        let Some((id, pod, user)) = Indexed::parts(file) else {
            return;
        };
        if self.user.as_ref().is_some_and(|wanted| wanted != user)
            || self.pod.as_ref().is_some_and(|wanted| wanted != pod)
        {
            return;
        }
        let mut found = self.found();
        let oldest = found
            .first_key_value()
            .filter(|_| found.len() >= self.limit);
        if oldest.is_some_and(|(oldest, _)| id < oldest.0.id.as_str()) {
            return;
        }
        let Some(name) = Indexed::parse(file) else {
            return;
        };
        let earlier = |since: &String| name.id.as_str() < since.as_str();
        if self.since.as_ref().is_some_and(earlier) && name.id.day() == day {
            return;
        }
        let last = found.entry((name, namespace.to_owned())).or_insert(day);
        *last = day.max(*last);
        if found.len() > self.limit {
            found.pop_first();
        }
    }

    /// Whether no day before this one has anything that belongs to it.
    pub(crate) fn is_full_since(&self, day: Date) -> bool {
        let found = self.found();
        let oldest = found.first_key_value();
        found.len() >= self.limit && oldest.is_none_or(|(oldest, _)| oldest.0.id.day() >= day)
    }

    /// All of them, newest first.
    pub(crate) fn take(&self) -> Vec<Found> {
        let found = std::mem::take(&mut *self.found()).into_iter().rev();
        let found = found.map(|((name, namespace), day)| Found {
            name,
            namespace,
            day,
        });
        found.collect()
    }

    /// Nothing that holds it can panic halfway.
    fn found(&self) -> MutexGuard<'_, BTreeMap<(Indexed, String), Date>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
