//! Lists of pods, in pages of one resource version, written while they are sent.

use std::convert::Infallible;
use std::sync::Arc;
use std::vec;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use serde_json::json;

use super::answer::{self, Answer, Body, Failure};
use super::options::{At, Continue, Options};
use crate::stand_ins::cluster::Cluster;
use crate::stand_ins::cluster::object::Object;
use crate::stand_ins::cluster::store::Store;

/// The size of an answer's parts, roughly: the last pod goes beyond it.
pub(super) const PART: usize = 64 * 1024;

pub(super) fn list(cluster: &Cluster, options: &Options) -> Result<Answer, Failure> {
    let store = cluster.store();
    let page = Page::read(&store, options)?;
    drop(store);
    Ok(answer::json(page.body()))
}

/// A part of a list, and what is said of the whole.
struct Page {
    metadata: String,
    items: Vec<Arc<Object>>,
}

impl Page {
    fn read(store: &Store, options: &Options) -> Result<Self, Failure> {
        let (at, limit) = (version(store, options)?, options.limit);
        let prefix = options.selector.prefix();
        let from = options.from.as_ref();
        let start = from.map_or(prefix.as_str(), |from| from.start.as_str());
        let mut found = store
            .pods_at(at, start)
            .map_err(|_| expired(from))?
            .take_while(|object| object.key.starts_with(&prefix))
            .filter(|object| options.selector.selects(object));
        // The watch cache, which answers "any", returns everything.
        let limit = limit.filter(|_| options.at != At::Any || from.is_some());
        let items: Vec<_> = found
            .by_ref()
            .take(limit.unwrap_or(usize::MAX))
            .cloned()
            .collect();
        let mut metadata = format!("{{\"resourceVersion\":\"{at}\"");
        if let Some(last) = items.last()
            && limit.is_some()
            && found.next().is_some()
        {
            let known = from.and_then(|from| from.left);
            let left = options.selector.is_plain().then(|| match known {
                Some(left) => left.saturating_sub(items.len()),
                None => 1 + found.count(),
            });
            let rv = i64::try_from(at).unwrap_or(-1);
            let next = Continue::new(rv, format!("{}\0", last.key), left).token();
            metadata.push_str(&format!(",\"continue\":\"{next}\""));
            if let Some(left) = left {
                metadata.push_str(&format!(",\"remainingItemCount\":{left}"));
            }
        }
        metadata.push('}');
        Ok(Self { metadata, items })
    }

    fn body(self) -> Body {
        let metadata = self.metadata;
        let head =
            format!(r#"{{"kind":"PodList","apiVersion":"v1","metadata":{metadata},"items":["#);
        let mut parts = Parts {
            part: head.into_bytes(),
            first: true,
            items: Some(self.items.into_iter()),
        };
        let first = parts.next().unwrap_or_default();
        if parts.items.is_none() {
            return Full::new(first).boxed_unsync();
        }
        let parts = std::iter::once(first).chain(parts);
        let frames = parts.map(|part| Ok::<_, Infallible>(Frame::data(part)));
        StreamBody::new(stream::iter(frames)).boxed_unsync()
    }
}

/// The resource version that a list is of.
fn version(store: &Store, options: &Options) -> Result<u64, Failure> {
    let latest = store.resource_version();
    match (&options.from, options.at) {
        (Some(from), _) => Ok(u64::try_from(from.rv).unwrap_or(latest)),
        (None, At::Version(asked)) if asked > latest => {
            // kube-apiserver waits 3 s for it first.
            let message = format!("Too large resource version: {asked}, current: {latest}");
            let cause = json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
            Err(Failure::new(504, "Timeout", message)
                .with(json!({"causes": [cause], "retryAfterSeconds": 1})))
        }
        (None, At::Version(asked)) if options.exact => Ok(asked),
        (None, _) => Ok(latest),
    }
}

fn expired(from: Option<&Continue>) -> Failure {
    let Some(from) = from else {
        return Failure::expired("The resourceVersion for the provided list is too old.");
    };
    let message = "The provided continue parameter is too old to display a consistent list result. \
        You can start a new list without the continue parameter, or use the continue token in this \
        response to retrieve the remainder of the results. Continuing with the provided token \
        results in an inconsistent list - objects that were created, modified, or deleted between \
        the time the first chunk was returned and now may show up in the list.";
    let next = Continue::new(-1, from.start.clone(), None).token();
    Failure {
        metadata: json!({"continue": next}),
        ..Failure::expired(message)
    }
}

/// A list that is being sent. `items` is none once its end is written.
struct Parts {
    part: Vec<u8>,
    first: bool,
    items: Option<vec::IntoIter<Arc<Object>>>,
}

impl Iterator for Parts {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let items = self.items.as_mut()?;
        let mut part = std::mem::take(&mut self.part);
        while part.len() < PART {
            let Some(object) = items.next() else {
                self.items = None;
                part.extend_from_slice(b"]}\n");
                break;
            };
            if !std::mem::take(&mut self.first) {
                part.push(b',');
            }
            object.write_item(&mut part);
        }
        Some(part.into())
    }
}
