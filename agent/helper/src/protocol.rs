//! The protocol of the node helper's socket: a connection carries one request of the agent and one answer
//! of the helper, each a line of JSON. Both sides parse into these types before they look at anything.

use serde::{Deserialize, Serialize};

/// Bytes of a line, at the most: a request with a command's words at the kernel's limit, escaped.
pub const MAX_LINE: usize = 1024 * 1024;

/// A container by its runtime's id: 64 hex digits, as containerd and cri-o give them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

/// Not a container's id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a container's id is 64 lower-case hex digits")]
pub struct NotAnId;

impl AsRef<str> for ContainerId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ContainerId {
    type Error = NotAnId;

    fn try_from(id: String) -> Result<Self, NotAnId> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if id.len() == 64 && id.bytes().all(hex) {
            Ok(Self(id))
        } else {
            Err(NotAnId)
        }
    }
}

impl From<ContainerId> for String {
    fn from(id: ContainerId) -> Self {
        id.0
    }
}

/// One process of a container. A later process with the same pid is a different one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// The container that it must be in.
    pub container: ContainerId,
    /// Its pid, as the node sees it.
    pub pid: u32,
    /// In clock ticks since boot (proc(5), stat field 22).
    pub start_time: u64,
}

/// How to recognize a session's leader: the process that the runtime started for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum FindBy {
    /// The image's shell has reported it. It must bear the session's mark, or be no older than the
    /// session. If it is gone, the processes that it has left stand for it.
    Report {
        /// Its pid inside the container.
        pid: u32,
        /// In clock ticks since boot.
        start_time: u64,
        /// The mark: 32 hex digits.
        session: String,
        /// When the session began, in clock ticks since boot, if that is known.
        since: Option<u64>,
    },
    /// It has the session's id in its arguments or its environment.
    Mark {
        /// 32 hex digits.
        session: String,
    },
    /// It was started at this time or later. The answer says which processes have exactly these words.
    Start {
        /// Its arguments.
        words: Vec<String>,
        /// In clock ticks since boot.
        since: u64,
    },
}

/// A signal as RFC 4254 §6.10 names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "signal(7) has them")]
pub enum Signal {
    Abrt,
    Alrm,
    Fpe,
    Hup,
    Ill,
    Int,
    Kill,
    Pipe,
    Quit,
    Segv,
    Term,
    Usr1,
    Usr2,
}

impl Signal {
    /// Its name in RFC 4254, which is also that of `kill`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Abrt => "ABRT",
            Self::Alrm => "ALRM",
            Self::Fpe => "FPE",
            Self::Hup => "HUP",
            Self::Ill => "ILL",
            Self::Int => "INT",
            Self::Kill => "KILL",
            Self::Pipe => "PIPE",
            Self::Quit => "QUIT",
            Self::Segv => "SEGV",
            Self::Term => "TERM",
            Self::Usr1 => "USR1",
            Self::Usr2 => "USR2",
        }
    }
}

/// What the helper does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Request {
    /// Looks for a session's leader. Answered with [`Answer::Found`], which may have none or several.
    Find {
        /// The container to look in.
        container: ContainerId,
        /// How to recognize the leader.
        by: FindBy,
    },
    /// Counts the running processes of a container. Answered with [`Answer::Done`].
    Count {
        /// The container to count in.
        container: ContainerId,
    },
    /// Signals a session's foreground.
    Signal {
        /// The session's leader.
        leader: Process,
        /// The signal to send.
        signal: Signal,
    },
    /// Sends SIGHUP and SIGCONT as a terminal that hangs up. Answered with [`Answer::HungUp`].
    HangUp {
        /// The session's leader.
        leader: Process,
        /// The session's mark. If the leader is gone, it tells which processes it has left.
        session: Option<String>,
        /// When the leader was last seen, in clock ticks since boot. An older process with its
        /// session's number belongs to it.
        seen: Option<u64>,
    },
    /// Kills what a hang-up has left of a session's foreground.
    Kill {
        /// The session's leader.
        leader: Process,
        /// What the hang-up answered.
        hung_up: HungUp,
    },
    /// Says that an agent is there for as long as the connection stays. The helper does not end before.
    /// Answered with [`Answer::Looks`], at once and whenever the number changes.
    Stay {},
}

/// What a later [`Request::Kill`] must know, because the session's leader may be gone by then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HungUp {
    /// The process group in the foreground; with a terminal it may be another than the leader's.
    pub foreground: u32,
    /// The time of the hang-up, in clock ticks since boot. An older process cannot belong to a later
    /// session.
    pub at: u64,
    /// Without a terminal: the pipes and sockets that the leader was given, as `readlink` of
    /// /proc/PID/fd shows them. They show which processes have detached themselves.
    #[serde(default)]
    pub given: Option<Vec<String>>,
}

/// A process that may be a session's leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// The process.
    pub process: Process,
    /// Its descriptor 0, which may tell it from others.
    pub stdin: Stdin,
    /// Whether its arguments are those that were asked for.
    pub words: bool,
}

/// What descriptor 0 of a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Stdin {
    /// A pipe.
    Pipe {
        /// Whether its writers are gone.
        hung_up: bool,
    },
    /// A terminal.
    Terminal {
        /// In characters.
        columns: u16,
        /// In characters.
        rows: u16,
    },
    /// Anything else. A session with input never has it.
    Other,
}

/// An answer of the helper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Answer {
    /// To [`Request::Find`].
    Found {
        /// All processes that fit.
        candidates: Vec<Candidate>,
        /// Whether there are other processes that may be the session's.
        doubt: bool,
    },
    /// To [`Request::HangUp`].
    HungUp {
        /// For [`Request::Kill`].
        hung_up: HungUp,
    },
    /// The request was carried out.
    Done {
        /// How many processes it reached.
        processes: usize,
    },
    /// The process has ended, so nothing was to be done.
    Gone,
    /// The process has ended, and the processes that are there now may or may not be its own.
    InDoubt,
    /// To [`Request::Stay`].
    Looks {
        /// How many looks at processes hang at present, each with a thread of the helper.
        hanging: usize,
    },
    /// The request failed.
    Failed {
        /// The reason.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_fits_is_a_request() {
        let id = "0123456789abcdef".repeat(4);
        let check = |json: &str, fits: bool| {
            let json = json.replace("ID", &id);
            let parsed = serde_json::from_str::<Request>(&json);
            assert_eq!(parsed.is_ok(), fits, "{json} gave {parsed:?}");
        };
        check(
            r#"{"find":{"container":"ID","by":{"report":{"pid":7,"start_time":9,"session":"s","since":8}}}}"#,
            true,
        );
        check(r#"{"stay":{}}"#, true);
        check(
            r#"{"find":{"container":"ID","by":{"start":{"words":["a"],"since":9}}}}"#,
            true,
        );
        check(
            r#"{"find":{"container":"IDa","by":{"mark":{"session":"s"}}}}"#,
            false,
        );
        check(
            r#"{"find":{"container":"../x","by":{"mark":{"session":"s"}}}}"#,
            false,
        );
        let leader = r#"{"container":"ID","pid":7,"start_time":9}"#;
        check(
            &format!(r#"{{"signal":{{"leader":{leader},"signal":"USR1"}}}}"#),
            true,
        );
        check(
            &format!(r#"{{"signal":{{"leader":{leader},"signal":"STOP"}}}}"#),
            false,
        );
        check(
            &format!(r#"{{"hang_up":{{"leader":{leader},"also":1}}}}"#),
            false,
        );
        check(
            r#"{"hang_up":{"leader":{"container":"ID","pid":-1,"start_time":9}}}"#,
            false,
        );
        check(r#"{"run":{}}"#, false);
    }

    #[test]
    fn replays_the_fuzz_corpus() {
        let corpus = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/fuzz/corpus/helper_request"
        );
        let mut seen = 0;
        for entry in std::fs::read_dir(corpus).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            // Whatever it is, it is read or refused.
            if let Ok(request) = serde_json::from_slice::<Request>(&bytes) {
                let again = serde_json::to_vec(&request).unwrap();
                assert_eq!(serde_json::from_slice::<Request>(&again).unwrap(), request);
            }
            seen += 1;
        }
        assert!(seen > 0, "the corpus is gone");
    }
}
