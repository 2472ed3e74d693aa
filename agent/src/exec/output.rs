//! The side of an exec that gives bytes, and its end.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use tokio::io::AsyncRead;
use tokio::time::{Instant, sleep_until};

use super::ahead::Ahead;
use super::ending::Ending;
use super::error::{Error, MAX_STATUS};
use super::frames::FrameReader;
use super::marker::{Marker, Words};
use super::spdy::frame::Frame;
use super::status;
use super::window::Window;
use crate::exit::Exit;
use crate::streams::{self, Event, Lost};

// A client's stream ids are odd and rise. Runtimes tell streams apart by their header, not by order.
pub(super) const ERROR: u32 = 1;
pub(super) const STDOUT: u32 = 5;
/// Only without a terminal, which has no stderr of its own.
pub(super) const STDERR: u32 = 7;

/// The most frames of output that may come before all streams are accepted.
const MAX_EARLY: usize = 64;
/// How long a runtime may hold unread input after its program's output has ended. After that it is
/// taken to wait for a reader that is gone.
const UNREAD: Duration = Duration::from_secs(10);
/// How long an exec may take to come to the end of its input after it has said that the program has
/// ended. After that, what it said is believed.
const LAST: Duration = Duration::from_secs(30);
/// How long after the words a runtime must have answered a ping, so that it is known to pass on what it
/// has. Between this and [`LAST`] at least one ping is sent.
const ALIVE: Duration = Duration::from_secs(5);

/// Gives the output of an exec.
pub(crate) struct Output {
    frames: FrameReader,
    /// Events to give before anything else is read.
    early: VecDeque<Event>,
    /// What `early` holds because nobody takes it.
    ahead: Ahead,
    /// What reading ahead came upon.
    broken: Option<Error>,
    status: Vec<u8>,
    /// Streams that the peer has not ended.
    open: Vec<u32>,
    going_away: bool,
    opened: u64,
    window: Arc<Window>,
    /// Whether there is a terminal.
    terminal: bool,
    /// The words that show the program's end: on the terminal, or on stderr.
    marker: Option<Marker>,
    /// The words, once they were said.
    said: Option<Said>,
    /// Whether the input has ended since.
    done: bool,
    /// When the event was asked for that is waited for.
    asked: Instant,
    /// Whether the program is known to run.
    runs: bool,
}

/// What the wrapper has said of the program's end.
#[derive(Debug, Clone, Copy)]
struct Said {
    at: Instant,
    /// The program's exit status, if the words had one.
    status: Option<u8>,
    /// When a ping was last answered.
    answered: Option<Instant>,
}

impl Said {
    /// The status, if all output has come where only this is missing. A runtime that has stood still
    /// since the words were said may hold some of the output.
    fn status_without(self, error: &Error) -> Option<u8> {
        let passes_on = self.answered.is_some_and(|then| then >= self.at + ALIVE);
        let all_came = match error {
            Error::Unread => true,
            Error::InputNotEnded => passes_on,
            _ => false,
        };
        self.status.filter(|_| all_came)
    }
}

impl Output {
    /// `bytes` was read already.
    pub(super) fn new(
        io: Box<dyn AsyncRead + Send + Sync + Unpin>,
        bytes: BytesMut,
        terminal: bool,
        window: Arc<Window>,
    ) -> Self {
        let open: &[u32] = if terminal {
            &[ERROR, STDOUT]
        } else {
            &[ERROR, STDOUT, STDERR]
        };
        Self {
            frames: FrameReader::new(io, bytes),
            early: VecDeque::new(),
            ahead: Ahead::default(),
            broken: None,
            status: Vec::new(),
            open: open.to_vec(),
            going_away: false,
            opened: podgate_helper::ticks::now(),
            window,
            terminal,
            marker: None,
            said: None,
            done: false,
            asked: Instant::now(),
            runs: false,
        }
    }

    /// From now on the program's end shows in this way.
    pub(super) fn ends_by(&mut self, ending: Ending) {
        self.marker = Some(Marker::new(match ending {
            Ending::OnStderr { words, done } => vec![words, done],
            Ending::OnTerminal { words, .. } => vec![words],
        }));
    }

    /// Waits until the peer has accepted this many streams.
    pub(super) async fn accepted(&mut self, streams: usize) -> Result<(), Error> {
        let mut awaited = streams;
        while awaited > 0 {
            match self.frame().await? {
                Frame::SynReply { .. } => awaited -= 1,
                Frame::GoAway => return Err(Error::Closed),
                frame => {
                    let event = self.take(frame)?;
                    self.early.extend(event);
                    if self.early.len() > MAX_EARLY {
                        return Err(Error::TooEarly);
                    }
                }
            }
        }
        Ok(())
    }

    /// The next event. There is none after [`Event::Exit`].
    pub(crate) async fn event(&mut self) -> Result<Event, Error> {
        self.window.reading();
        self.asked = Instant::now();
        let event = self.look().await;
        self.window.pause();
        event
    }

    async fn look(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.early.pop_front() {
                match self.shown(event)? {
                    Some(event) => return Ok(event),
                    None => continue,
                }
            }
            self.ahead = Ahead::default();
            if self.open.is_empty() || self.going_away {
                if let Some(event) = self.release() {
                    return Ok(event);
                }
                if self.status.is_empty() {
                    return Err(Error::NoStatus);
                }
                let exit = status::parse(&self.status)?;
                // A program that ran has ended its output before. One that never ran has no output.
                if matches!(exit, Exit::Code(_)) && self.open.iter().any(|&open| open != ERROR) {
                    return Err(Error::Closed);
                }
                return Ok(Event::Exit(exit));
            }
            let frame = match self.frame_in_time().await {
                // Some runtimes close without the frames that end the error stream. The status is
                // whole if it is JSON, and output that has ended is complete.
                Err(Error::Closed) if self.open == [ERROR] && !self.status.is_empty() => {
                    Frame::GoAway
                }
                Ok(None) => match self.release() {
                    Some(event) => return Ok(event),
                    None => continue,
                },
                Ok(Some(frame)) => frame,
                Err(error) => return Err(error),
            };
            if let Some(event) = self.take(frame)?
                && let Some(event) = self.shown(event)?
            {
                return Ok(event);
            }
        }
    }

    /// The next frame, or `None` if what is held back has waited long enough for its rest.
    async fn frame_in_time(&mut self) -> Result<Option<Frame>, Error> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        let now = Instant::now();
        let patience = self.marker.as_ref().and_then(Marker::patience);
        let release = patience.map(|patience| now + patience);
        // A reader that is slow delays what comes behind the words, too.
        let said = self.said.filter(|_| !self.done);
        let last = said.map(|said| said.at.max(self.asked) + LAST);
        let (window, output_ended) = (Arc::clone(&self.window), self.open == [ERROR]);
        tokio::select! {
            biased;
            frame = self.frame() => frame.map(Some),
            () = until(release) => Ok(None),
            () = until(last) => Err(Error::InputNotEnded),
            () = window.stuck(UNREAD), if output_ended => Err(Error::Unread),
        }
    }

    /// Reads on while input is held up by output that nobody takes. Returns when no more may be held.
    async fn free_input(&mut self) -> Result<(), Error> {
        let window = Arc::clone(&self.window);
        while !self.ahead.is_full() {
            window.held_up().await;
            self.ahead.place().await;
            let frame = self.frame().await?;
            if let Some(event) = self.take(frame)? {
                self.ahead.hold(&event);
                self.early.push_back(event);
            }
        }
        Ok(())
    }

    /// What a user sees of an event: all but the words. On a terminal nothing comes after them but the
    /// echo of unread input.
    fn shown(&mut self, event: Event) -> Result<Option<Event>, Error> {
        let Some(marker) = &mut self.marker else {
            return Ok(Some(event));
        };
        let (kind, bytes) = match event {
            Event::Stdout(bytes) if self.terminal => (Event::Stdout as fn(_) -> _, bytes),
            Event::Stderr(bytes) => (Event::Stderr as fn(_) -> _, bytes),
            event => return Ok(Some(event)),
        };
        let found = marker.look(bytes);
        let seen = if self.terminal && self.said.is_some() {
            Bytes::new()
        } else {
            found.before
        };
        match found.words {
            // The first words came from somebody else, and have ended the input.
            Some(Words { which: 0, .. }) if self.said.is_some() => return Err(Error::NotEnded),
            Some(Words { which: 0, status }) => {
                self.said = Some(Said {
                    at: Instant::now(),
                    status,
                    answered: None,
                });
                self.window.unwanted.cancel();
            }
            Some(_) => self.done = true,
            None => {}
        }
        self.put_back([kind(found.behind)]);
        Ok((!seen.is_empty()).then(|| kind(seen)))
    }

    /// What was held back.
    fn release(&mut self) -> Option<Event> {
        let held = self.marker.as_mut()?.release();
        let kind = if self.terminal {
            Event::Stdout
        } else {
            Event::Stderr
        };
        (!held.is_empty()).then(|| kind(held))
    }

    /// Notes that the program runs. An error from now on is no failure to start it.
    pub(crate) fn runs(&mut self) {
        self.runs = true;
    }

    /// When the streams were asked for, in clock ticks since boot. The process has started later.
    pub(crate) fn opened(&self) -> u64 {
        self.opened
    }

    /// Puts events back, to be given next and in this order. Those without bytes are left out.
    pub(crate) fn put_back<const N: usize>(&mut self, events: [Event; N]) {
        for event in events.into_iter().rev() {
            match &event {
                Event::Stdout(bytes) | Event::Stderr(bytes) if bytes.is_empty() => {}
                _ => self.early.push_front(event),
            }
        }
    }

    async fn frame(&mut self) -> Result<Frame, Error> {
        let frame: Result<_, Error> = self.frames.next().await;
        frame?.ok_or(Error::Closed)
    }

    fn take(&mut self, frame: Frame) -> Result<Option<Event>, Error> {
        match frame {
            Frame::Data {
                stream,
                fin,
                payload,
            } => {
                if fin {
                    self.ended(stream);
                }
                match stream {
                    STDOUT if !payload.is_empty() => return Ok(Some(Event::Stdout(payload))),
                    STDERR if !payload.is_empty() => return Ok(Some(Event::Stderr(payload))),
                    ERROR if self.status.len() + payload.len() > MAX_STATUS => {
                        return Err(Error::StatusTooLong);
                    }
                    ERROR => self.status.extend_from_slice(&payload),
                    _ => {}
                }
            }
            Frame::Reset { stream } => self.ended(stream),
            Frame::GoAway => self.going_away = true,
            Frame::Ping { id } => {
                self.window.answered(id / 2);
                if let Some(said) = &mut self.said {
                    said.answered = Some(Instant::now());
                }
            }
            Frame::SynReply { .. } | Frame::Other => {}
        }
        Ok(None)
    }

    fn ended(&mut self, stream: u32) {
        self.open.retain(|&open| open != stream);
    }
}

/// Waits until this time, or forever if there is none.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[async_trait]
impl streams::Output for Output {
    async fn next(&mut self) -> Result<Event, Lost> {
        match self.event().await {
            Ok(Event::Exit(Exit::Failed(text))) if self.runs => {
                Err(Lost::new(Error::Runtime(text)))
            }
            Ok(event) => {
                self.runs = true;
                Ok(event)
            }
            Err(error) => Err(Lost {
                status: self.said.and_then(|said| said.status_without(&error)),
                error: Box::new(error),
            }),
        }
    }

    async fn read_ahead(&mut self) -> Infallible {
        if self.broken.is_none() {
            self.broken = self.free_input().await.err();
        }
        pending().await
    }
}

#[cfg(test)]
mod tests;
