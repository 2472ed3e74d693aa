//! One recording, from its first event until all of it is stored or in the spool's folder. It has two bounds: what it may hold
//! while the store is away, and how much of a session is recorded.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, OptionFuture};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::cast::{Encoder, Event, Header};
use crate::chunk::{Chain, FULL};
use crate::digest::Running;
use crate::index::{Ending, Entry};
use crate::library::Library;
use crate::name::{self, Id};
use crate::object::Object;
use crate::shared::Shared;
use crate::spool::Share;
use crate::tape::{End, Message, QUEUE, Sealed, Settings};
use crate::wakes::Wake;

/// How long an event waits for its chunk.
const SEAL_AFTER: Duration = Duration::from_secs(5);
/// Bytes of a line beside its data.
const LINE: usize = 64;

pub(crate) struct Writer {
    shared: Arc<Shared>,
    share: Share,
    header: Header,
    /// The days in whose index it is.
    days: Vec<Date>,
    id: Id,
    encoder: Encoder,
    chain: Chain,
    /// Lines that are in no chunk yet.
    text: Vec<u8>,
    /// When they are to be sealed.
    due: Option<Instant>,
    /// The time of the last event.
    until: Duration,
    /// Waits until there is room for it.
    held_up: Option<(Duration, Event)>,
    /// Since when there is none.
    held_since: Option<Instant>,
    waits: bool,
    waiting: VecDeque<Object>,
    /// Since when the first of them waits.
    waits_since: Option<Instant>,
    /// Bytes of all that waits.
    waiting_bytes: usize,
    /// Bytes that the recording may still have.
    left: u64,
    /// All output, recorded or not.
    output: (u64, Running),
    left_out: bool,
    /// Bytes that there was no room for, since the last that there was.
    gap: usize,
    lost_since: Option<Instant>,
    /// Since when something waits, has no room or is lost, for `Tape::impossible_for`.
    impossible: watch::Sender<Option<Instant>>,
    ended: bool,
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        id: Id,
        mut header: Header,
        settings: Settings,
        impossible: watch::Sender<Option<Instant>>,
    ) -> Self {
        let mut chain = Chain::new(id.as_str().to_owned());
        let mut text = Vec::new();
        header.podgate.encrypted = !shared.recipients.is_empty();
        header.podgate.frontdoor.clone_from(&shared.frontdoor);
        Encoder::header(&header, &mut text);
        if header.podgate.encrypted {
            // From here on it is in clear.
            header.command = None;
            chain = chain.encrypted(Arc::clone(&shared.recipients), header.clone());
        }
        shared.metrics.active.inc();
        Self {
            share: shared.spool.share(settings.waits),
            shared,
            header,
            days: vec![id.day()],
            chain,
            id,
            encoder: Encoder::default(),
            text,
            due: Some(Instant::now() + SEAL_AFTER),
            until: Duration::ZERO,
            held_up: None,
            held_since: None,
            waits: settings.waits,
            waiting: VecDeque::new(),
            waits_since: None,
            waiting_bytes: 0,
            left: settings.most,
            output: (0, Running::new()),
            left_out: false,
            gap: 0,
            lost_since: None,
            impossible,
            ended: false,
        }
    }

    /// Takes messages until the session's end, and stores until nothing is left.
    pub(crate) async fn run(
        mut self,
        mut messages: mpsc::Receiver<Message>,
        wake: Wake,
        end: oneshot::Receiver<End>,
    ) {
        let mut upload: Option<BoxFuture<'static, ()>> = None;
        // `end` until the session has ended, and then how it did.
        let (mut end, mut how) = (Some(end), None);
        let spool = Arc::clone(&self.shared.spool);
        while !self.ended || upload.is_some() || !self.waiting.is_empty() {
            // Before the look at what there is room for.
            let freed = spool.freed.notified();
            if let Some((at, event)) = self.held_up.take() {
                self.event(at, event);
            }
            self.take_all(&mut messages);
            if upload.is_none()
                && let Some(object) = self.waiting.front().cloned()
            {
                let shared = Arc::clone(&self.shared);
                upload = Some(Box::pin(async move { shared.put(object).await }));
            }
            self.account();
            // All of this may have set it.
            let due = self.due.filter(|_| upload.is_none());
            let held_up = self.held_up.is_some();
            tokio::select! {
                () = wake.woken(), if !held_up => {}
                // What is in the queue at the end.
                message = messages.recv(), if end.is_none() && !self.ended && !held_up => match message {
                    Some((at, event)) => self.take(at, event),
                    None => self.end(how.take()),
                },
                Some(ended) = OptionFuture::from(end.as_mut()) => {
                    (end, how) = (None, ended.ok());
                    // What is in the queue is still taken, and no marker of others any more.
                    messages.close();
                }
                () = freed, if held_up => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.seal(false);
                }
                Some(()) = OptionFuture::from(upload.as_mut()) => {
                    upload = None;
                    self.stored();
                }
            }
        }
        self.account();
    }

    /// Takes what is in the queue, as far as there is room.
    fn take_all(&mut self, messages: &mut mpsc::Receiver<Message>) {
        // A session may go on to fill it, and others have their turns.
        for _ in 0..QUEUE {
            if self.held_up.is_some() {
                return;
            }
            let Ok((at, event)) = messages.try_recv() else {
                return;
            };
            self.take(at, event);
        }
    }

    fn take(&mut self, at: Duration, event: Event) {
        if let Event::Output(_, data) = &event {
            self.output.0 += data.len() as u64;
            self.output.1.add(data);
        }
        self.event(at, event);
        let crowded = self.shared.spool.is_crowded() && self.text.len() >= FULL / 4;
        if crowded || self.text.len() >= FULL {
            self.seal(false);
        }
        self.share.set(self.held());
    }

    /// The session has ended; `None` if nobody says how.
    fn end(&mut self, how: Option<End>) {
        match how {
            Some(End { at, status, tell }) => {
                let sealed = self.finish(at, status);
                // The session may have gone.
                let _ = tell.send(sealed);
            }
            None => drop(self.finish(self.until, None)),
        }
    }

    fn event(&mut self, at: Duration, event: Event) {
        let length = match &event {
            Event::Output(_, data) | Event::Input(data) => data.len(),
            Event::Marker(text) => text.len(),
            // As long as its line, because there may be any number.
            Event::Resize { .. } => LINE,
            Event::Exit(_) => 0,
        };
        if length as u64 > self.left {
            if !self.left_out {
                self.left_out = true;
                self.left = 0;
                let text =
                    "podgate: from here on the session is left out: it is longer than maxBytes";
                self.write(at, &Event::Marker(text.to_owned()));
            }
            return;
        }
        if !self.share.fits(length + LINE) && !self.text.is_empty() {
            // Compressed it may be short enough.
            self.seal(false);
            self.share.set(self.held());
        }
        if !self.share.fits(length + LINE) {
            if self.waits {
                self.held_since.get_or_insert_with(Instant::now);
                self.held_up = Some((at, event));
                return;
            }
            self.gap += length;
            self.shared.metrics.lost_bytes.inc_by(length as u64);
            self.lost_since.get_or_insert_with(Instant::now);
            return;
        }
        self.held_since = None;
        self.left -= length as u64;
        self.close_gap(at);
        self.write(at, &event);
    }

    fn close_gap(&mut self, at: Duration) {
        if self.gap > 0 {
            let bytes = std::mem::take(&mut self.gap);
            let text = format!(
                "podgate: {bytes} bytes are missing here: there was no room for them (spoolBytes)"
            );
            self.write(at, &Event::Marker(text));
        }
    }

    fn write(&mut self, at: Duration, event: &Event) {
        self.encoder.event(at, event, &mut self.text);
        self.until = self.until.max(at);
        self.due.get_or_insert_with(|| Instant::now() + SEAL_AFTER);
    }

    fn finish(&mut self, at: Duration, status: Option<u32>) -> Sealed {
        self.close_gap(at);
        self.encoder.flush(at, &mut self.text);
        if self.left_out {
            let (bytes, hash) = (self.output.0, self.output.1.hex());
            let text = format!("podgate: the output had {bytes} bytes in all, of SHA-256 {hash}");
            self.write(at, &Event::Marker(text));
        }
        if let Some(status) = status {
            self.write(at, &Event::Exit(status));
        }
        self.until = at;
        self.ended = true;
        self.chain.exits(status);
        self.seal(true);
        let whole = self.chain.whole();
        let end = Ending {
            duration_ms: u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
            chunks: self.chain.chunks(),
            status,
            whole: whole.clone(),
        };
        for day in self.days.clone() {
            self.index(day, Some(end.clone()));
        }
        let last = self.chain.last().map(str::to_owned);
        Sealed { whole, last }
    }

    /// Makes a chunk of the text.
    fn seal(&mut self, last: bool) {
        self.due = None;
        let number = self.chain.chunks();
        let name = name::chunk(&self.header.podgate.namespace, &self.id, number);
        match self
            .chain
            .seal(&std::mem::take(&mut self.text), self.until, last)
        {
            Ok(bytes) => self.wait(name, bytes),
            // Memory for compression is all that may be missing.
            Err(error) => {
                tracing::error!(%error, recording = %self.id, "a chunk is lost");
                self.lost_since.get_or_insert_with(Instant::now);
            }
        }
        let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
        let new = self.days.last().is_none_or(|day| *day < today)
            && self.days.len() < usize::from(Library::DAYS);
        if new {
            self.days.push(today);
        }
        // Its end will say more.
        if !last && number == 0 {
            self.index(self.id.day(), None);
        }
        if !last && new {
            self.index(today, None);
        }
    }

    fn index(&mut self, day: Date, end: Option<Ending>) {
        let header = self.header.clone();
        let object = Entry { header, end }.object(self.id.clone(), day);
        if let Some((name, bytes)) = object {
            self.wait(name, bytes);
        }
    }

    fn wait(&mut self, name: String, bytes: bytes::Bytes) {
        self.waiting_bytes += bytes.len();
        self.waits_since.get_or_insert_with(Instant::now);
        self.waiting.push_back(Object {
            name,
            lane: self.id.lane(),
            strict: self.waits,
            bytes,
        });
    }

    fn stored(&mut self) {
        if let Some(object) = self.waiting.pop_front() {
            self.waiting_bytes -= object.bytes.len();
        }
        self.waits_since = self.waiting.front().map(|_| Instant::now());
    }

    /// Bytes that it holds in memory.
    fn held(&self) -> usize {
        self.waiting_bytes + self.text.len()
    }

    fn account(&mut self) {
        let waits = [self.waits_since, self.held_since];
        let impossible = self.lost_since.or(waits.into_iter().flatten().min());
        self.impossible
            .send_if_modified(|since| std::mem::replace(since, impossible) != impossible);
        self.share.set(self.held());
        let held = self.shared.spool.held();
        self.shared
            .metrics
            .spool_bytes
            .set(i64::try_from(held).unwrap_or(i64::MAX));
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.metrics.active.dec();
        if !self.waiting.is_empty() {
            tracing::error!(recording = %self.id, objects = self.waiting.len(), "a recording is not stored whole");
        }
    }
}
