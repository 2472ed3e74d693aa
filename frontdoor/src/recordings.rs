//! Which sessions are recorded, and how: by the configuration's rules, once the pod of a session is known
//! and before its node is asked. What happens in a session gets into its recording in `ssh/pump.rs` and
//! `ssh/relay.rs`, markers of others by `ssh/open_tapes.rs`; `ssh/session.rs` ends one that can no longer be
//! recorded.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use podgate_identity::pass::PassKey;
use podgate_identity::{Identity, wildcard};
use podgate_process::ready::Ready;
use podgate_proto::v1::open::Action;
use podgate_proto::v1::{Exec, exec::Program, files::Protocol};
use podgate_recording::cast::{About, Header, Term};
use podgate_recording::{Id, Library, Recorder, Settings, Tape};
use prometheus_client::metrics::counter::Counter;

use crate::audit;
use crate::authz;
use crate::config::{self, Keep};
use crate::metrics::Metrics;
use crate::pod::{Container, Pod};

/// Bytes of a command in a header. The audit log has its hash if it is longer.
const MAX_COMMAND: usize = 4096;
/// How long a frontdoor that ends waits until all is stored. What is in `spoolFolder` then stays there.
const STORED: Duration = Duration::from_secs(10);

/// The session must be recorded and cannot be. Its user reads this.
#[derive(Debug, thiserror::Error)]
#[error(
    "this session must be recorded, and recordings cannot be stored at the moment; try again later"
)]
pub(crate) struct Impossible;

impl Impossible {
    /// The key of the limit that it counts for.
    pub(crate) const LIMIT: &'static str = "strictSeconds";
}

/// The recorder and its rules, for all cores.
#[derive(Debug)]
pub(crate) struct Recordings {
    recorder: Recorder,
    links: Option<Links>,
    config: config::Recordings,
    unrecorded: Counter,
    without_room: Counter,
}

/// What links to the page of recordings are made with.
#[derive(Debug)]
pub(crate) struct Links {
    /// Where users find the page.
    pub(crate) url: String,
    pub(crate) key: PassKey,
}

/// How a session is recorded, as the audit log says it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Strict,
    BestEffort,
    /// It must be recorded, but goes on where it cannot be.
    BreakGlass,
}

impl How {
    fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::BestEffort => "bestEffort",
            Self::BreakGlass => "breakGlass",
        }
    }
}

/// How a session will be recorded.
pub(crate) struct Plan<'a> {
    recordings: &'a Recordings,
    tape: (Id, Header, Settings),
    /// After this time without a recording the session ends.
    strict: Option<Duration>,
}

/// A session's recording.
#[derive(Debug)]
pub(crate) struct Recording {
    tape: Tape,
    strict: Option<Duration>,
}

impl Recordings {
    /// Starts the recorder, if one is configured.
    pub(crate) fn start(
        config: Option<&config::Recordings>,
        links: Option<Links>,
        metrics: &Metrics,
    ) -> Result<Option<Arc<Self>>, podgate_recording::RecorderError> {
        let Some(config) = config else {
            return Ok(None);
        };
        let recorder = Recorder::start(&config.recorder, metrics.recordings.clone())?;
        Ok(Some(Arc::new(Self {
            recorder,
            links,
            config: config.clone(),
            unrecorded: metrics.unrecorded.clone(),
            without_room: metrics.without_room.clone(),
        })))
    }

    pub(crate) fn library(&self) -> Library {
        self.recorder.library()
    }

    pub(crate) fn links(&self) -> Option<&Links> {
        self.links.as_ref()
    }

    /// Keeps this frontdoor from being ready while sessions that must be recorded cannot be. Does not
    /// return.
    pub(crate) async fn tell(&self, ready: &Ready) {
        if !self
            .config
            .rules
            .iter()
            .any(|rule| rule.keep == Keep::Strict)
        {
            return;
        }
        loop {
            let waiting = ready.wait_for("the recordings' store");
            self.recorder.recovers().await;
            drop(waiting);
            self.recorder.failing_for(self.config.strict).await;
        }
    }

    /// Waits, for a bounded time, until all is stored.
    pub(crate) async fn finish(&self) {
        self.recorder.finish(STORED).await;
    }

    /// How a rule has it; `None` if not at all.
    fn how(&self, rule: &config::RecordingRule, identity: &Identity) -> Option<How> {
        let breaks = |group: &String| self.config.break_glass.contains(group);
        match rule.keep {
            Keep::Strict if identity.groups.iter().any(breaks) => Some(How::BreakGlass),
            Keep::Strict => Some(How::Strict),
            Keep::BestEffort => Some(How::BestEffort),
            Keep::Off => None,
        }
    }

    /// The first rule that fits.
    fn rule(
        &self,
        identity: &Identity,
        (pod, container): (&Pod, &Container),
    ) -> Option<&config::RecordingRule> {
        let fits = |rule: &&config::RecordingRule| {
            let user = |pattern: &String| wildcard::matches(pattern, &identity.user);
            rule.users
                .as_ref()
                .is_none_or(|users| users.iter().any(user))
                && authz::matches(&rule.selectors, identity, pod, container)
        };
        self.config.rules.iter().find(fits)
    }
}

/// Decides how a session is recorded, and notes it for the audit log; `None` if it is not.
pub(crate) fn plan<'a>(
    recordings: Option<&'a Recordings>,
    identity: &Identity,
    place: (&Pod, &Container),
    action: &Action,
    record: &audit::Session<'_>,
    session: &str,
) -> Result<Option<Plan<'a>>, Impossible> {
    // Forwards have no recording of their own.
    let (Some(recordings), Action::Exec(_) | Action::Files(_)) = (recordings, action) else {
        return Ok(None);
    };
    let rule = recordings.rule(identity, place);
    let Some((rule, how)) = rule.and_then(|rule| Some((rule, recordings.how(rule, identity)?)))
    else {
        return Ok(None);
    };
    let strict = (how == How::Strict).then_some(recordings.config.strict);
    if how != How::BestEffort && recordings.recorder.is_impossible(recordings.config.strict) {
        if strict.is_some() {
            return Err(Impossible);
        }
        recordings.unrecorded.inc();
        record.set_recorded(how.as_str(), None);
        return Ok(None);
    }
    if how != How::Strict && recordings.recorder.is_full_for_others() {
        recordings.without_room.inc();
        record.set_recorded(how.as_str(), None);
        return Ok(None);
    }
    let id = Id::new(Timestamp::now(), session);
    record.set_recorded(how.as_str(), Some(id.to_string()));
    let about = about((identity, session, &id), place, record, rule.settings.input);
    let settings = Settings {
        // Whoever may break the glass waits for nothing.
        waits: strict.is_some(),
        ..rule.settings
    };
    let tape = (id, header(action, about), settings);
    Ok(Some(Plan {
        recordings,
        tape,
        strict,
    }))
}

fn about(
    (identity, session, id): (&Identity, &str, &Id),
    (pod, container): (&Pod, &Container),
    record: &audit::Session<'_>,
    input: bool,
) -> About {
    About {
        recording: id.to_string(),
        session: session.to_owned(),
        user: identity.user.clone(),
        groups: identity.groups.clone(),
        client: record.client().to_string(),
        namespace: pod.namespace.clone(),
        pod: pod.name.clone(),
        uid: pod.uid.clone(),
        container: container.name.clone(),
        node: pod.node.clone(),
        tty: false,
        input,
        // The recorder has these.
        frontdoor: String::new(),
        encrypted: false,
    }
}

/// A transfer of files in the words of a command: `sftp`, `scp -t /data`; `None` of what is none.
pub(crate) fn transfer(action: &Action) -> Option<String> {
    let Action::Files(files) = action else {
        return None;
    };
    let Some(Protocol::Scp(scp)) = &files.protocol else {
        return Some("sftp".to_owned());
    };
    let mut words = format!("scp {}", if scp.receive { "-t" } else { "-f" });
    for path in &scp.paths {
        words.push(' ');
        words.push_str(&String::from_utf8_lossy(path));
    }
    words.truncate(words.floor_char_boundary(MAX_COMMAND));
    Some(words)
}

fn command(exec: &Exec) -> Option<String> {
    match &exec.program {
        Some(Program::Command(command)) => {
            let text = String::from_utf8_lossy(command);
            let end = text.floor_char_boundary(MAX_COMMAND);
            Some(text.get(..end).unwrap_or_default().to_owned())
        }
        Some(Program::Shell(_)) | None => None,
    }
}

fn header(action: &Action, about: About) -> Header {
    let exec = match action {
        Action::Exec(exec) => Some(exec),
        _ => None,
    };
    let command = transfer(action).or_else(|| command(exec?));
    let terminal = exec.and_then(|exec| exec.terminal.as_ref());
    let size = terminal.and_then(|terminal| terminal.size);
    let size = size.filter(|size| size.columns > 0 && size.rows > 0);
    let term = Term {
        cols: size.map_or(80, |size| size.columns),
        rows: size.map_or(24, |size| size.rows),
        kind: terminal.map(|terminal| terminal.term.clone()),
    };
    let tty = terminal.is_some();
    let seconds = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
    Header::new(term, seconds, command, About { tty, ..about })
}

impl Plan<'_> {
    /// Begins the recording.
    pub(crate) fn begin(self) -> Recording {
        let Self {
            recordings,
            tape,
            strict,
        } = self;
        let (id, header, settings) = tape;
        let tape = recordings.recorder.record(id, header, settings);
        Recording { tape, strict }
    }
}

impl Recording {
    pub(crate) fn tape(&self) -> &Tape {
        &self.tape
    }

    /// Of a session that must be recorded: its tape, and how long it may go on without.
    pub(crate) fn strict(&self) -> Option<(&Tape, Duration)> {
        Some((&self.tape, self.strict?))
    }

    /// Ends the recording, and notes its hash for the audit log.
    pub(crate) async fn finish(self, status: Option<u32>, record: &audit::Session<'_>) {
        if let Some(sealed) = self.tape.finish(status).await {
            record.set_whole(sealed);
        }
    }
}
