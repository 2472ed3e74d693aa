//! A running session as a stream of server-sent events, as the player takes them: first the terminal's size
//! and the end of what was said until now, then what comes. The store is asked for the next chunk each
//! second, so one is about 6 s behind, whichever frontdoor the session is on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::chunks::Chunks;
use super::error::Error;
use super::find::Found;
use super::view::Shown;
use crate::metrics::Metrics;
use crate::rights::Right;

/// How often the store is asked for the next chunk.
const POLL: Duration = Duration::from_secs(1);
/// How often something is sent, so that a client that has gone is noticed.
const BEAT: Duration = Duration::from_secs(15);
/// How often the visitor's right is asked for again.
const RECHECK: Duration = Duration::from_secs(30);
/// Bytes of what was said before that are shown to whoever comes later.
const BEFORE: usize = 256 * 1024;

/// Places for those who watch running sessions.
#[derive(Debug)]
pub(crate) struct Followers {
    places: Arc<Semaphore>,
    each: usize,
    users: Arc<Mutex<HashMap<String, usize>>>,
    metrics: Arc<Metrics>,
}

/// A place, which is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    user: String,
    users: Arc<Mutex<HashMap<String, usize>>>,
    metrics: Arc<Metrics>,
    _permit: OwnedSemaphorePermit,
}

impl Followers {
    pub(crate) fn new(all: u16, each: u16, metrics: Arc<Metrics>) -> Self {
        Self {
            places: Arc::new(Semaphore::new(all.into())),
            each: each.into(),
            users: Arc::default(),
            metrics,
        }
    }

    /// Takes a place.
    pub(crate) fn take(&self, user: &str) -> Result<Place, Error> {
        let permit = Arc::clone(&self.places).try_acquire_owned();
        let permit = permit.map_err(|_| Error::Followers("followers"))?;
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let own = users.entry(user.to_owned()).or_default();
        if *own >= self.each {
            return Err(Error::Followers("followersPerUser"));
        }
        *own += 1;
        self.metrics.followers.inc();
        Ok(Place {
            user: user.to_owned(),
            users: Arc::clone(&self.users),
            metrics: Arc::clone(&self.metrics),
            _permit: permit,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = users.get_mut(&self.user) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                users.remove(&self.user);
            }
        }
        self.metrics.followers.dec();
    }
}

struct Followed {
    chunks: Chunks,
    over: bool,
    spoke: Instant,
    checked: Instant,
    draining: CancellationToken,
    _place: Place,
}

/// Follows it until its end, the end of the visit or of the visitor's right, or `draining`. A browser then
/// asks again, and is told.
pub(crate) fn follow(
    found: Found,
    place: Place,
    draining: CancellationToken,
) -> impl Stream<Item = Result<Bytes, Error>> {
    let now = Instant::now();
    let followed = Followed {
        chunks: Chunks::new(found),
        over: false,
        spoke: now,
        checked: now,
        draining,
        _place: place,
    };
    stream::try_unfold(followed, next)
}

async fn next(mut followed: Followed) -> Result<Option<(Bytes, Followed)>, Error> {
    let events = followed.next().await?;
    Ok(events.map(|events| (events, followed)))
}

impl Followed {
    /// The next events, or a sign of life; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.over {
            return Ok(None);
        }
        if self.chunks.view.is_none() {
            return Ok(Some(self.until_now().await?));
        }
        loop {
            if self.chunks.is_whole() {
                self.over = true;
                return Ok(Some("event: done\ndata: {}\n\n".into()));
            }
            let wait = self.draining.run_until_cancelled(sleep(POLL)).await;
            if wait.is_none() || !self.may().await? {
                return Ok(None);
            }
            let shown = self.chunks.next().await?.unwrap_or_default();
            if !shown.is_empty() {
                self.spoke = Instant::now();
                let events = shown
                    .iter()
                    .map(|(time, shown)| message(&event(*time, shown)));
                return Ok(Some(events.collect::<String>().into()));
            }
            if self.spoke.elapsed() >= BEAT {
                self.spoke = Instant::now();
                return Ok(Some(":\n\n".into()));
            }
        }
    }

    /// Whether the visitor still may.
    async fn may(&mut self) -> Result<bool, Error> {
        if self.checked.elapsed() < RECHECK {
            return Ok(true);
        }
        self.checked = Instant::now();
        let namespace = self.chunks.found.reader.namespace().to_owned();
        let visitor = &self.chunks.found.visitor;
        let rights = &self.chunks.found.desk.rights;
        Ok(!visitor.is_over() && rights.may(visitor, Right::Get, namespace).await?)
    }

    /// The first message.
    async fn until_now(&mut self) -> Result<Bytes, Error> {
        let mut said = String::new();
        while let Some(shown) = self.chunks.next().await? {
            for (_, shown) in shown {
                if let Shown::Text(text) = shown {
                    said.push_str(&text);
                    if said.len() > BEFORE * 2 {
                        said = tail(&said).to_owned();
                    }
                }
            }
        }
        let view = self.chunks.view.as_ref().ok_or(Error::Unknown)?;
        let (columns, rows) = view.size();
        let time = self.chunks.at.as_secs_f64();
        let first = json!({"cols": columns, "rows": rows, "time": time, "init": tail(&said)});
        Ok(message(&first).into())
    }
}

/// Of a long text the end, from the beginning of a line on.
fn tail(text: &str) -> &str {
    if text.len() <= BEFORE {
        return text;
    }
    let from = text.ceil_char_boundary(text.len() - BEFORE);
    let end = text.get(from..).unwrap_or_default();
    end.split_once('\n').map_or(end, |(_, lines)| lines)
}

fn event(time: Duration, shown: &Shown) -> Value {
    let time = time.as_secs_f64();
    match shown {
        Shown::Text(text) => json!([time, "o", text]),
        Shown::Size(columns, rows) => json!([time, "r", {"cols": columns, "rows": rows}]),
        Shown::Marker(text) => json!([time, "m", text]),
    }
}

/// JSON has no line ends of its own.
fn message(data: &Value) -> String {
    format!("data: {data}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_was_said_the_last_lines_are_kept() {
        let text = "0123456789é\n".repeat(40_000);
        let kept = tail(&text);
        assert!(kept.len() <= BEFORE && kept.len() > BEFORE - 20);
        assert!(kept.starts_with("0123") && text.ends_with(kept));
        assert_eq!(tail("short"), "short");
    }

    #[test]
    fn a_user_has_so_many_places() {
        let metrics = Arc::new(Metrics::new());
        let followers = Followers::new(3, 2, metrics);
        let limit = |user: &str| followers.take(user).unwrap_err().limit();
        let own = (followers.take("ada").unwrap(), followers.take("ada"));
        assert_eq!(limit("ada"), Some("followersPerUser"));
        let _other = followers.take("bo").unwrap();
        assert_eq!(limit("cy"), Some("followers"));
        drop(own);
        followers.take("ada").unwrap();
    }
}
