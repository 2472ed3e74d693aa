//! Limits how much input a runtime may hold that its program has not read. SPDY has no flow control
//! here, and a runtime that stops reading its connection stops for everything: terminal sizes, pings
//! and the end.
//!
//! A runtime's SPDY (moby/spdystream) puts frames into [`WORKERS`] queues of 50: data by its stream,
//! pings in turn. So of every [`WORKERS`] pings, one is queued behind the input. Once all of them are
//! answered, the runtime has passed on all input that was sent before them. Input waits here while too
//! much is unanswered. So no queue is ever full, and the runtime reads on.
//!
//! A ping that cannot be answered blocks its queue, and the answers come behind the output. So output
//! that nobody takes must not hold them up for good: it is read [ahead](super::ahead) then.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// Queues of frames in a runtime.
pub(super) const WORKERS: u32 = 5;
/// Frames of input that may be unanswered.
const FRAMES: u32 = 16;
/// Frames that are asked for together.
const GROUP: u32 = 4;
/// Groups that are asked for at a time.
const GROUPS: usize = (FRAMES / GROUP) as usize;
/// A peer that answers no ping at all in this time has no such queues.
const SILENT: Duration = Duration::from_secs(2);
/// Answers to pings wait behind output. If nobody takes the output for this long, input goes on without
/// the answers, and nothing more is asked: the program may be one that reads everything before its
/// client reads.
const PAUSED: Duration = Duration::from_millis(500);
/// How long input waits before it looks again, if it does not know of a time.
const LONGEST: Duration = Duration::from_secs(3600);
/// The pause between two checks whether a runtime is stuck, or input held up.
const LOOK: Duration = Duration::from_millis(500);

/// The input that a runtime holds, as both halves of an exec know it.
#[derive(Debug)]
pub(super) struct Window {
    state: Mutex<State>,
    changed: Notify,
    /// Cancelled once nobody will read more input.
    pub(super) unwanted: CancellationToken,
}

#[derive(Debug, Default, Clone)]
struct State {
    /// Frames of input that were sent after the last pings.
    loose: u32,
    /// Pings that are not all answered, the oldest first.
    asked: VecDeque<Group>,
    /// The number of the next ping.
    ping: u32,
    /// Whether a ping was ever answered.
    answers: bool,
    /// Since when input has waited.
    full: Option<Instant>,
    /// Since when no output was taken.
    paused: Option<Instant>,
}

/// Frames of input, and the pings behind them.
#[derive(Debug, Clone)]
struct Group {
    frames: u32,
    first: u32,
    /// A bit for each ping that is not answered.
    missing: u32,
    asked: Instant,
}

/// Whether a frame may be sent.
#[derive(Debug, PartialEq, Eq)]
enum MaySend {
    Now,
    /// Only after more pings, and there is room for them.
    Ask,
    /// Only after an answer to a ping, or at this time.
    Wait(Option<Instant>),
}

impl Window {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            unwanted: CancellationToken::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a frame may be sent, or until pings have to be sent first: then this is false, and
    /// the caller [asks](Self::ask) and waits again.
    pub(super) async fn free(&self) -> bool {
        loop {
            let until = match self.state().may_send(Instant::now()) {
                MaySend::Now => return true,
                MaySend::Ask => return false,
                MaySend::Wait(until) => until,
            };
            // This is not forever: a change wakes the wait, too.
            let alarm = sleep_until(until.unwrap_or_else(|| Instant::now() + LONGEST));
            tokio::select! {
                () = self.changed.notified() => {}
                () = alarm => {}
                () = self.unwanted.cancelled() => return true,
            }
        }
    }

    /// A frame of input is sent.
    pub(super) fn sent(&self) {
        self.state().loose += 1;
    }

    /// The number of the first of [`WORKERS`] pings to send, if it is time for them: after some frames,
    /// or at once if there are no others.
    pub(super) fn ask(&self, at_once: bool) -> Option<u32> {
        self.state().ask(at_once, Instant::now())
    }

    /// A ping is answered.
    pub(super) fn answered(&self, ping: u32) {
        self.state().answered(ping);
        self.changed.notify_one();
    }

    /// Output is read from now on.
    pub(super) fn reading(&self) {
        self.state().paused = None;
    }

    /// Output waits to be taken.
    pub(super) fn pause(&self) {
        self.state().paused = Some(Instant::now());
        self.changed.notify_one();
    }

    /// Waits until input waits for answers behind output that nobody takes. Its queue in the runtime is
    /// blocked by a ping, so the input goes on only if somebody reads the output.
    pub(super) async fn held_up(&self) {
        self.until(State::is_held_up).await;
    }

    /// Waits until the runtime has held input for this long without passing it on.
    pub(super) async fn stuck(&self, limit: Duration) {
        self.until(|state, now| state.is_stuck(limit, now)).await;
    }

    async fn until(&self, is_so: impl Fn(&State, Instant) -> bool) {
        while !is_so(&self.state(), Instant::now()) {
            sleep(LOOK).await;
        }
    }
}

impl State {
    fn may_send(&mut self, now: Instant) -> MaySend {
        let asked: u32 = self.asked.iter().map(|group| group.frames).sum();
        if asked + self.loose < FRAMES {
            self.full = None;
            return MaySend::Now;
        }
        let full = *self.full.get_or_insert(now);
        let silent = (!self.answers).then_some(full + SILENT);
        let paused = self.paused.map(|paused| paused.max(full) + PAUSED);
        let until = [silent, paused].into_iter().flatten().min();
        match until {
            Some(until) if until <= now => MaySend::Now,
            // Input that went on without answers is more than the pings ask for.
            _ if self.is_due(now) => MaySend::Ask,
            until => MaySend::Wait(until),
        }
    }

    /// Whether enough frames were sent after the last pings, and others may be sent.
    fn is_due(&self, now: Instant) -> bool {
        self.loose >= GROUP && self.asked.len() < GROUPS && !self.is_paused(now)
    }

    fn ask(&mut self, at_once: bool, now: Instant) -> Option<u32> {
        let at_once = at_once && self.asked.is_empty() && !self.is_paused(now);
        if !at_once && !self.is_due(now) {
            return None;
        }
        let first = self.ping;
        // Ids of a client are odd, and below 2^31.
        self.ping = (self.ping + WORKERS) % (1 << 29);
        self.asked.push_back(Group {
            frames: std::mem::take(&mut self.loose),
            first,
            missing: (1 << WORKERS) - 1,
            asked: now,
        });
        Some(first)
    }

    fn answered(&mut self, ping: u32) {
        self.answers = true;
        for group in &mut self.asked {
            if let Some(bit) = ping.checked_sub(group.first).filter(|&bit| bit < WORKERS) {
                group.missing &= !(1 << bit);
            }
        }
        while self.asked.front().is_some_and(|group| group.missing == 0) {
            self.asked.pop_front();
        }
    }

    fn is_paused(&self, now: Instant) -> bool {
        self.paused
            .is_some_and(|paused| now.duration_since(paused) >= PAUSED)
    }

    fn is_held_up(&self, now: Instant) -> bool {
        self.full.is_some() && !self.asked.is_empty() && self.is_paused(now)
    }

    fn is_stuck(&self, limit: Duration, now: Instant) -> bool {
        let oldest = self.asked.front();
        self.answers && oldest.is_some_and(|group| now.duration_since(group.asked) >= limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends frames while there is room; how many, with the pings asked for.
    fn fill(state: &mut State, now: Instant) -> (u32, Vec<u32>) {
        let (mut frames, mut pings) = (0, Vec::new());
        while state.may_send(now) == MaySend::Now && frames < 1000 {
            state.loose += 1;
            frames += 1;
            pings.extend(state.ask(false, now));
        }
        (frames, pings)
    }

    #[test]
    fn input_waits_for_the_answers_of_all_queues() {
        let (mut state, now) = (State::default(), Instant::now());
        let (frames, pings) = fill(&mut state, now);
        assert_eq!((frames, pings), (FRAMES, vec![0, 5, 10, 15]));
        // The queue of the input is blocked, and each of the others answers.
        for ping in (0..20).filter(|ping| ping % WORKERS != 3) {
            state.answered(ping);
            assert_eq!(state.may_send(now), MaySend::Wait(None), "{ping}");
        }
        // The runtime passes input on again.
        state.answered(3);
        assert_eq!(fill(&mut state, now), (GROUP, vec![20]));
        for ping in [8, 13, 18] {
            state.answered(ping);
        }
        assert_eq!(fill(&mut state, now).0, 3 * GROUP);
    }

    #[test]
    fn a_peer_that_answers_no_ping_is_not_waited_for() {
        let (mut state, now) = (State::default(), Instant::now());
        fill(&mut state, now);
        assert_eq!(state.may_send(now), MaySend::Wait(Some(now + SILENT)));
        assert_eq!(state.may_send(now + SILENT), MaySend::Now);
        assert!(!state.is_stuck(SILENT, now + SILENT));
    }

    #[test]
    fn output_that_nobody_takes_does_not_hold_up_input_for_good() {
        let (mut state, now) = (State::default(), Instant::now());
        fill(&mut state, now);
        state.answered(0);
        state.paused = Some(now);
        assert_eq!(state.may_send(now), MaySend::Wait(Some(now + PAUSED)));
        assert!(!state.is_held_up(now));
        let later = now + PAUSED;
        assert!(state.is_held_up(later));
        assert_eq!(fill(&mut state, later), (1000, vec![]));
        // Once the answers are read, no others are asked for that would block the input.
        let mut answered = state.clone();
        (0..20).for_each(|ping| answered.answered(ping));
        assert_eq!(fill(&mut answered, later), (1000, vec![]));
        assert_eq!(answered.ask(true, later), None);
        assert!(!answered.is_held_up(later));
        // Output is taken again. What was sent meanwhile is asked for, too.
        state.paused = None;
        assert_eq!(state.may_send(later), MaySend::Wait(None));
        for ping in 0..WORKERS {
            assert_eq!(state.may_send(later), MaySend::Wait(None));
            state.answered(ping);
        }
        // Whoever waits for room has to ask first: no other answer would wake it.
        assert_eq!(state.may_send(later), MaySend::Ask);
        for ping in WORKERS..20 {
            state.answered(ping);
        }
        let first = state.ask(false, later).unwrap();
        assert_eq!(state.may_send(later), MaySend::Wait(None));
        for ping in first..first + WORKERS {
            state.answered(ping);
        }
        assert_eq!(fill(&mut state, later).0, FRAMES);
    }

    #[test]
    fn a_runtime_is_stuck_if_input_stays_unanswered() {
        let (mut state, now) = (State::default(), Instant::now());
        state.loose += 1;
        assert_eq!(state.ask(true, now), Some(0));
        assert_eq!(state.ask(true, now), None);
        state.answered(0);
        let (limit, later) = (SILENT, now + SILENT);
        assert!(state.is_stuck(limit, later));
        for ping in 1..WORKERS {
            state.answered(ping);
        }
        assert!(!state.is_stuck(limit, later));
    }
}
