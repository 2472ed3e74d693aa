//! A running session as a stream of server-sent events, as the player takes them: first the terminal's size
//! and the end of what was said until now, then what comes. The store is asked for the next chunk each
//! second, so one is about 6 s behind, whichever frontdoor the session is on.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use podgate_recording::NoEnd;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::chunks::Chunks;
use super::error::Error;
use super::find::Found;
use super::standing::Standing;
use super::view::Shown;

/// How often the store is asked for the next chunk.
const POLL: Duration = Duration::from_secs(1);
/// How often something is sent, so that a client that has gone is noticed.
const BEAT: Duration = Duration::from_secs(15);
/// A sign of life, which is no event.
const ALIVE: &str = ":\n\n";
/// Bytes of what was said before that are shown to whoever comes later.
const BEFORE: usize = 256 * 1024;

struct Followed {
    chunks: Chunks,
    /// What was said until now, until it is told.
    said: Option<String>,
    over: bool,
    spoke: Instant,
    standing: Standing,
    draining: CancellationToken,
}

/// Follows it until its end, or that of its frontdoor, the end of the visit or of the visitor's right, or `draining`. A browser then
/// asks again, and is told.
pub(crate) fn follow(
    found: Found,
    draining: CancellationToken,
) -> impl Stream<Item = Result<Bytes, Error>> {
    let followed = Followed {
        chunks: Chunks::new(found),
        said: Some(String::new()),
        over: false,
        spoke: Instant::now(),
        standing: Standing::new(),
        draining,
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
        loop {
            if self.over || self.chunks.found.visitor.is_over() {
                return Ok(None);
            }
            let checked = self.standing.require(&self.chunks.found).await?;
            if let Some(said) = self.said.take() {
                return Ok(Some(self.until_now(said).await?));
            }
            let runs = async || Ok::<_, Error>(self.chunks.no_end().await? == Some(NoEnd::Runs));
            if self.chunks.is_whole() || checked && !runs().await? {
                self.over = true;
                return Ok(Some("event: done\ndata: {}\n\n".into()));
            }
            let wait = self.draining.run_until_cancelled(sleep(POLL)).await;
            if wait.is_none() {
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
                return Ok(Some(ALIVE.into()));
            }
        }
    }

    /// The first message; or a sign of life, if there is much to read before it.
    async fn until_now(&mut self, mut said: String) -> Result<Bytes, Error> {
        let begun = Instant::now();
        while let Some(shown) = self.chunks.next().await? {
            for (_, shown) in shown {
                if let Shown::Text(text) = shown {
                    said.push_str(&text);
                    if said.len() > BEFORE * 2 {
                        said = tail(&said).to_owned();
                    }
                }
            }
            if begun.elapsed() >= BEAT {
                self.said = Some(said);
                return Ok(ALIVE.into());
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
}
