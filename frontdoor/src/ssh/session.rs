//! A session channel's task: it waits until the client asks for something, and then carries the session
//! from its admission to its end.

use std::sync::OnceLock;
use std::time::Duration;

use podgate_process::pace::Terminal;
use podgate_proto::v1::open::Action;
use podgate_proto::v1::{self, exec::Program};
use podgate_recording::Tape;
use podgate_recording::cast::Event;
use russh::server::{Handle, Msg};
use russh::{Channel, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::actor::Actor;
use super::channels::Aside;
use super::end::{End, Exit};
use super::request::{self, Asked, ORIGINAL_COMMAND};
use super::{agent_forward, channels, id, open, pump, recheck, recordings, reserved};
use crate::audit::{self, RefusedBy};
use crate::login_name::{Reserved, Target};
use crate::quotas::SessionSlot;
use crate::recordings::{Recording, transfer};

/// How long a client may take to accept the line that says why its session failed.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// What a user reads who has lost the right to enter the pod.
const REVOKED: &str = "you may not enter this pod any more; the session is ended";
/// The exit status of a session that failed by no fault of its program, as in ssh itself.
const FAILED: u32 = 255;

pub(super) struct Task {
    pub(super) actor: Actor,
    /// Cancelled when the client closes the channel, or goes.
    pub(super) closed: CancellationToken,
    /// Tells the client what the channel has no words for.
    pub(super) connection: Handle,
}

/// A session that is about to be opened.
struct Session<'a> {
    task: &'a Task,
    id: &'a str,
    record: &'a audit::Session<'a>,
    write: &'a ChannelWriteHalf<Msg>,
    /// Whether the client's terminal is raw, because there is one in the pod, too.
    tty: bool,
    /// Whether a shell opens on a terminal, which shows the message of the day.
    greet: bool,
    recording: OnceLock<Recording>,
    /// The program's status, where the client has been told it already.
    ended: OnceLock<u32>,
}

impl Task {
    pub(super) async fn run(self, channel: Channel<Msg>, aside: Aside) {
        let (mut read, write) = channel.split();
        let context = &self.actor.client.context;
        let asked = tokio::select! {
            asked = request::gather(&mut read, &context.sessions, &self.actor.restrictions) => asked,
            () = context.draining.cancelled() => None,
            // A channel on which nothing is asked for is no session, so the idle time does not count
            // here.
            () = sleep(context.limits.login_grace) => None,
            () = self.actor.client.revoked.cancelled() => None,
            () = self.closed.cancelled() => None,
        };
        if let Some(asked) = asked {
            match id::random() {
                Ok(id) => {
                    let span =
                        tracing::info_span!("session", %id, user = %self.actor.identity.user);
                    let session = self.session(asked, &id, read, &write, aside);
                    session.instrument(span).await;
                }
                Err(error) => tracing::error!(%error, "no random numbers"),
            }
        }
        channels::close(&write, &self.closed).await;
    }

    /// Carries the session from the request to its end, and reports both to the log, the metrics and
    /// the audit log.
    async fn session(
        &self,
        mut asked: Asked,
        id: &str,
        mut read: ChannelReadHalf,
        write: &ChannelWriteHalf<Msg>,
        mut aside: Aside,
    ) {
        let metrics = &self.actor.client.context.metrics;
        request::tell_connection(
            &mut asked.exec,
            self.actor.client.peer,
            self.actor.client.server,
        );
        let forced = self.actor.restrictions.command.as_deref();
        let forced = forced.map(|command| asked.force(command));
        let replaced = forced.is_some().then_some(ORIGINAL_COMMAND);
        let program = audit::Program::of(&asked.exec, replaced);
        let shell = matches!(asked.exec.program, Some(Program::Shell(_)));
        let action = asked.into_action(self.actor.client.software.has_draft_links());
        let kind = action.kind();
        let tty = matches!(&action, Action::Exec(exec) if exec.terminal.is_some());
        let from = self.actor.from();
        let audit = &self.actor.client.context.audit;
        let record = audit::Session::new(audit, id, &self.actor.identity, from, (&action, program));
        let record = record.counting(
            &metrics.files,
            self.actor.client.context.sessions.file_sha256,
        );
        let slot = match self.admit(forced.unwrap_or(Ok(())), &record) {
            Ok(slot) => slot,
            Err(line) => return self.fail(&line, write).await,
        };
        let session = Session {
            task: self,
            id,
            record: &record,
            write,
            tty,
            greet: tty && shell,
            recording: OnceLock::new(),
            ended: OnceLock::new(),
        };
        metrics.sessions_active.inc();
        let end = tokio::select! {
            end = session.carry(action, &mut read, &mut aside) => end,
            end = self.cut_short() => end,
        };
        let told = session.ended.into_inner();
        let end = match (end, told) {
            // The client has what it wanted to know, and does not wait for what others may write.
            (End::ClientGone, Some(status)) => End::Exited(Exit {
                status,
                ..Exit::default()
            }),
            (end, _) => end,
        };
        metrics.sessions_active.dec();
        tracing::info!(outcome = end.word(), "session ends");
        metrics.sessions.count(kind, end.word());
        if let Some(recording) = session.recording.into_inner() {
            recording.finish(end.status(), &record).await;
        }
        record.ended(end.word(), end.status(), end.line());
        // Before the client hears of the end, because it may start the next session at once.
        drop(slot);
        self.tell(&end, write, told).await;
    }

    /// Checks what needs no lookup. An error is the line for the user.
    fn admit(
        &self,
        forced: Result<(), &'static str>,
        record: &audit::Session<'_>,
    ) -> Result<SessionSlot, String> {
        let refuse = |by, line: String| {
            record.refused(by, &line);
            Err(line)
        };
        if let Err(line) = forced {
            return refuse(RefusedBy::Restriction, line.to_owned());
        }
        if let Some(Err(full)) = self.actor.client.slot.get() {
            return refuse(RefusedBy::Limit, full.to_string());
        }
        match self
            .actor
            .client
            .context
            .quotas
            .session(&self.actor.identity.user)
        {
            Ok(slot) => Ok(slot),
            Err(full) => {
                self.actor.client.refused(full.limit());
                refuse(RefusedBy::Limit, full.to_string())
            }
        }
    }

    /// Waits until something outside of the session ends it.
    async fn cut_short(&self) -> End {
        tokio::select! {
            () = self.closed.cancelled() => End::ClientGone,
            () = self.actor.client.context.stopped.cancelled() => {
                End::Stopped("this frontdoor is being stopped".to_owned())
            }
            () = self.actor.client.revoked.cancelled() => {
                End::Revoked(format!("{}; this session is ended", recheck::REASON))
            }
        }
    }

    /// Tells the client how its session ended. `told` is the status that it has been told already.
    async fn tell(&self, end: &End, write: &ChannelWriteHalf<Msg>, told: Option<u32>) {
        match end {
            End::Exited(_) if told.is_some() => {}
            End::Exited(exit) => self.exited(exit, write).await,
            End::Closed | End::ClientGone => {}
            End::Idle(line) | End::Revoked(line) => self.fail(line, write).await,
            End::Failed(line) | End::Stopped(line) => {
                tracing::warn!(line, "session failed");
                self.fail(line, write).await;
            }
        }
    }

    /// As sshd: what a signal has ended has no status (RFC 4254 §6.10).
    async fn exited(&self, exit: &Exit, write: &ChannelWriteHalf<Msg>) {
        let Some(signal) = exit.signal.clone() else {
            let _ = write.exit_status(exit.status).await;
            return;
        };
        let (id, signal) = (write.id(), Sig::Custom(signal));
        let (text, language) = (String::new(), String::new());
        let told =
            self.connection
                .exit_signal_request(id, signal, exit.core_dumped, text, language);
        let _ = told.await;
    }

    /// Tells the user why there is no session, or no longer one. A client that does not read the line
    /// in time does not get it.
    async fn fail(&self, line: &str, write: &ChannelWriteHalf<Msg>) {
        let tell = write.extended_data_bytes(pump::STDERR, format!("podgate: {line}\r\n"));
        tokio::select! {
            _ = timeout(LAST_WORDS, tell) => {}
            () = self.closed.cancelled() => return,
        }
        // A client goes by the last status that it is told.
        let _ = write.exit_status(FAILED).await;
    }
}

impl Session<'_> {
    /// Opens the session and carries it to its end.
    async fn carry(&self, action: Action, read: &mut ChannelReadHalf, aside: &mut Aside) -> End {
        let (task, record, write) = (self.task, self.record, self.write);
        let (context, identity) = (&*task.actor.client.context, &*task.actor.identity);
        let target = match task.actor.target() {
            Ok(Target::Reserved(_)) if action.kind() == v1::Action::Files => {
                let line = "this login name answers a question; it has no files".to_owned();
                return self.refused(RefusedBy::Route, line);
            }
            Ok(Target::Reserved(Reserved::Podgate))
                if let Some(command) = request::command(&action) =>
            {
                let asked = recordings::Asked {
                    client: &task.actor.client,
                    identity,
                    session: self.id,
                    tty: self.tty,
                };
                // Boxed, so that other sessions do not hold its memory.
                return Box::pin(recordings::answer(&command, &asked, read, write)).await;
            }
            Ok(Target::Reserved(word)) => {
                return reserved::answer(word, identity, context, write, self.tty).await;
            }
            Ok(target) => target,
            Err(error) => return self.refused(RefusedBy::Route, error.to_string()),
        };
        let transfer = transfer(&action);
        // As above.
        let open::Opened {
            stream,
            rights,
            pod_slot: _pod_slot,
            notice,
            recording,
            gate,
        } = match Box::pin(self.open(&target, action)).await {
            Ok(opened) => opened,
            Err(end) => return end,
        };
        let recording = recording.map(|recording| self.recording.get_or_init(|| recording));
        let mut notices = Vec::new();
        if self.tty {
            notices.extend(notice);
            notices.extend(task.actor.client.notices.take());
        }
        let tape = recording.map(Recording::tape);
        let tape = self.mark(transfer, tape).await;
        let _open = tape.map(|tape| task.actor.client.tapes.enter(tape.marks()));
        let _terminal = self.tty.then(Terminal::here);
        tokio::select! {
            // Built in place, so that its large future is stored once.
            end = async {
                if self.greet && let Some(motd) = context.greetings.motd().await {
                    let _ = timeout(LAST_WORDS, write.data_bytes(motd)).await;
                }
                for notice in notices {
                    let line = format!("podgate: {notice}\r\n");
                    // A client that does not read the line in time does not get it.
                    let tell = write.extended_data_bytes(pump::STDERR, line);
                    let _ = timeout(LAST_WORDS, tell).await;
                }
                pump::run(
                    stream, read, (write, &self.ended), aside, context, self.tty, (record, tape, gate)
                )
                .await
            } => end,
            () = rights.lost() => End::Revoked(REVOKED.to_owned()),
            line = recording_lost(recording, write, self.tty) => End::Failed(line),
        }
    }

    /// Takes all steps up to the agent.
    async fn open(&self, target: &Target, mut action: Action) -> Result<open::Opened, End> {
        let (task, record) = (self.task, self.record);
        let (context, identity) = (&*task.actor.client.context, &*task.actor.identity);
        let inner = task.actor.inner.as_deref();
        let ids = task.actor.ids(self.id);
        let opened = async {
            task.actor.client.unanswered.settled().await;
            let found = open::find(context, (identity, target), &action, inner, record).await?;
            agent_forward::add(&mut action, &found.place, &task.actor).await;
            open::start(context, found, identity, ids, action, record).await
        };
        opened.await.map_err(|error| {
            if let Some(limit) = error.limit() {
                task.actor.client.refused(limit);
            }
            let line = open::sentence(&error);
            match error.refused_by() {
                Some(by) => self.refused(by, line),
                None => End::Failed(line),
            }
        })
    }

    /// Marks a transfer in its own recording and in those that its connection has open. Of a transfer only
    /// this marker is recorded; of all else the tape is returned for the rest.
    async fn mark<'t>(&self, transfer: Option<String>, tape: Option<&'t Tape>) -> Option<&'t Tape> {
        let Some(transfer) = transfer else {
            return tape;
        };
        let text = format!("podgate: {transfer}, session {}", self.id);
        self.task.actor.client.tapes.mark(&text).await;
        if let Some(tape) = tape {
            tape.record(Event::Marker(text)).await;
        }
        None
    }

    fn refused(&self, by: RefusedBy, line: String) -> End {
        self.record.refused(by, &line);
        End::Failed(line)
    }
}

/// Waits until a session that must be recorded no longer can be, and warns its terminal halfway. Returns
/// the line that the user reads.
async fn recording_lost(
    recording: Option<&Recording>,
    write: &ChannelWriteHalf<Msg>,
    tty: bool,
) -> String {
    let Some((tape, limit)) = recording.and_then(Recording::strict) else {
        return std::future::pending().await;
    };
    loop {
        tape.impossible_for(limit / 2).await;
        if tty {
            let left = (limit / 2).as_secs();
            let line = format!(
                "podgate: this session is not being recorded; unless that changes it ends in {left} s\r\n"
            );
            let tell = write.extended_data_bytes(pump::STDERR, line);
            let _ = timeout(LAST_WORDS, tell).await;
        }
        tokio::select! {
            () = tape.impossible_for(limit) => break,
            () = tape.possible() => {}
        }
    }
    "this session must be recorded and cannot be any more; it is ended".to_owned()
}
