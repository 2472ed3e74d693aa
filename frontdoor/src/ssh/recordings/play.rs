//! `play`: on a terminal in the time in which it happened, with keys; without one, the output at once.
//! With --follow it waits for chunks that are not there yet.

use std::time::Duration;

use bytes::{Buf as _, Bytes};
use podgate_recording::cast::{Event, events, header};
use podgate_recording::{Library, NoEnd, Reader, Verifier};
use russh::{ChannelMsg, ChannelReadHalf};
use tokio::time::{Instant, sleep, sleep_until};

use super::arguments::Play;
use super::asked::Asked;
use super::error::Error;
use super::find::{Standing, find};
use super::reply::Reply;

/// How often the store is asked for the next chunk.
const POLL: Duration = Duration::from_millis(500);
/// What the keys are, for a terminal, and for one that follows.
const KEYS: &str = "space: pause, + and -: speed, ]: to the next marker, q: quit";
const FOLLOW_KEYS: &str = "q: quit";

/// Where the player is.
struct Player<'a> {
    asked: &'a Asked<'a>,
    library: &'a Library,
    standing: Standing,
    reply: &'a Reply<'a>,
    keys: Keys<'a>,
    speed: f64,
    longest: Duration,
    paused: bool,
    /// Whether events are shown at once until the next marker.
    jumping: bool,
    /// Whether the recorded session had a terminal; if not, its lines end without a carriage return.
    recorded_tty: bool,
    last: Duration,
}

pub(super) async fn play(
    what: Play,
    asked: &Asked<'_>,
    library: &Library,
    read: &mut ChannelReadHalf,
    reply: &Reply<'_>,
) -> Result<u32, Error> {
    let how = if what.follow { "follow" } else { "play" };
    let mut reader = find(what.id.clone(), how, asked, library).await?;
    let mut verifier = Verifier::new(what.id.as_str());
    let mut player = Player {
        asked,
        library,
        standing: Standing::new(),
        reply,
        keys: Keys {
            read,
            rest: Bytes::new(),
        },
        speed: what.speed,
        longest: Duration::from_secs_f64(what.idle_seconds),
        paused: false,
        jumping: false,
        recorded_tty: true,
        last: Duration::ZERO,
    };
    if reply.is_tty() {
        reply
            .warn(if what.follow { FOLLOW_KEYS } else { KEYS })
            .await?;
    }
    let mut at = Duration::ZERO;
    let mut first = true;
    while let Some(chunk) = player.next(&mut reader, &verifier, what.follow).await? {
        let text = verifier.chunk(&chunk)?.text()?;
        let mut lines = text.as_slice();
        if std::mem::take(&mut first) {
            let (header, rest) = header(lines)?;
            player.recorded_tty = header.podgate.tty;
            lines = rest;
        }
        for (time, event) in events(lines, &mut at)? {
            // Who follows a session is behind already.
            if reply.is_tty() && !what.follow && !player.wait(time).await {
                return Ok(0);
            }
            player.show(event).await?;
        }
    }
    // Who follows and has had enough knows that it has none.
    let no_end = NoEnd::of(&verifier, &reader, library).await?;
    let no_end = no_end.filter(|no_end| !what.follow || *no_end != NoEnd::Runs);
    reply.warn_of_no_end(no_end).await?;
    Ok(0)
}

impl Player<'_> {
    /// The next chunk. Who follows waits for it until the last one was there, no more will come, or a key says so.
    async fn next(
        &mut self,
        reader: &mut Reader,
        verifier: &Verifier,
        follow: bool,
    ) -> Result<Option<Bytes>, Error> {
        loop {
            let rechecked = self.standing.require(self.asked, reader).await?;
            let chunk = reader.next().await?;
            if chunk.is_some() || !follow || verifier.is_whole() {
                return Ok(chunk);
            }
            if rechecked && NoEnd::of(verifier, reader, self.library).await? != Some(NoEnd::Runs) {
                return Ok(None);
            }
            let again = Instant::now() + POLL;
            loop {
                tokio::select! {
                    () = sleep_until(again) => break,
                    pressed = self.keys.next() => match pressed {
                        Some(b'q' | 3) | None => return Ok(None),
                        Some(_) => {}
                    },
                }
            }
        }
    }

    /// Waits until the time of an event, and heeds keys meanwhile. False if the user has enough.
    async fn wait(&mut self, time: Duration) -> bool {
        let mut left = time.saturating_sub(self.last).min(self.longest);
        self.last = time;
        while self.paused || (!left.is_zero() && !self.jumping) {
            let begun = Instant::now();
            let speed = self.speed;
            let pressed = if self.paused {
                self.keys.next().await
            } else {
                tokio::select! {
                    () = sleep(left.div_f64(speed)) => return true,
                    pressed = self.keys.next() => pressed,
                }
            };
            if !self.paused {
                left = left.saturating_sub(begun.elapsed().mul_f64(speed));
            }
            if !self.heed(pressed) {
                return false;
            }
        }
        true
    }

    /// Does what a key says. False if that is to end.
    fn heed(&mut self, key: Option<u8>) -> bool {
        match key {
            Some(b' ') => self.paused = !self.paused,
            Some(b'+') => self.speed = (self.speed * 2.0).min(1000.0),
            Some(b'-') => self.speed = (self.speed / 2.0).max(0.1),
            Some(b']') => (self.paused, self.jumping) = (false, true),
            Some(b'q' | 3) | None => return false,
            Some(_) => {}
        }
        true
    }

    async fn show(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Output(_, data) => {
                if self.reply.is_tty() && !self.recorded_tty {
                    self.reply.say(&String::from_utf8_lossy(&data)).await?;
                } else {
                    self.reply.give(data).await?;
                }
            }
            Event::Marker(text) => {
                self.jumping = false;
                self.reply.warn(&text.escape_debug().to_string()).await?;
            }
            Event::Input(_) | Event::Resize { .. } | Event::Exit(_) => {}
        }
        Ok(())
    }
}

/// What the user presses. Several keys may come at once.
struct Keys<'a> {
    read: &'a mut ChannelReadHalf,
    rest: Bytes,
}

impl Keys<'_> {
    /// The next key; `None` if the client is gone. It may be given up at any time.
    async fn next(&mut self) -> Option<u8> {
        loop {
            if let Some(key) = self.rest.first().copied() {
                self.rest.advance(1);
                return Some(key);
            }
            match self.read.wait().await? {
                ChannelMsg::Data { data } => self.rest = data,
                ChannelMsg::Close => return None,
                _ => {}
            }
        }
    }
}
