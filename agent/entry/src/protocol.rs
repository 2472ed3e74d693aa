//! The protocol of the entry's socket: messages of JSON on a SEQPACKET unix socket, descriptors beside
//! them. Both sides parse into these types before they look at anything.
//!
//! An agent first says which programs it still [holds](Action::Hold). What is started on a connection
//! is hung up when that connection ends.

use serde::{Deserialize, Serialize};

pub use podgate_helper::protocol::Signal;

use crate::ids::{ContainerId, ContainerName, Handle, PodUid, User};
use crate::reason::Reason;
use crate::status::Status;

/// The protocol's version. Agent and entry are of the same pod, so they have the same.
pub const VERSION: u32 = 2;
/// Bytes of a message, at the most.
pub const MAX_MESSAGE: usize = 128 * 1024;
/// Descriptors of a message, at the most.
pub const MAX_DESCRIPTORS: usize = 4;
/// Programs that an agent can hold, at the most; their handles fit a message.
pub const MAX_HELD: usize = 4096;

/// What the agent asks. Each request has one answer, with its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The agent's own.
    pub number: u64,
    /// What to do.
    pub action: Action,
}

/// What the entry does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Action {
    /// The first request of a connection. What an earlier entry has started and the agent does not
    /// hold is hung up. Answered with [`Answer::Held`].
    Hold {
        /// [`VERSION`].
        version: u32,
        /// Programs whose descriptors the agent still has.
        handles: Vec<Handle>,
    },
    /// Starts a program. Descriptors: the launch (a sealed memfd, [`crate::launch`]), and without a
    /// terminal the program's ends of the pipes for stdin, stdout and stderr. Answered with
    /// [`Answer::Started`].
    Start(Start),
    /// Sends a signal to the program's foreground; SIGHUP as a terminal sends it, with SIGCONT.
    /// Answered with [`Answer::Reached`].
    Signal {
        /// The program.
        handle: Handle,
        /// What to send.
        signal: Signal,
    },
    /// Gives the entry a copy of the other end of a program's terminal, which an earlier entry has had.
    /// Descriptor: that end. Answered with [`Answer::Lent`].
    Lend {
        /// The program.
        handle: Handle,
    },
    /// Hangs the program up. On pipes it gets SIGHUP and SIGCONT. A terminal hangs up once nobody has its
    /// other end: the agent has closed its own before, and the entry closes its copy. What is left can
    /// be [killed](Action::Kill) until it is [released](Action::Release). Answered with
    /// [`Answer::Reached`], which counts what that leaves of a terminal's.
    HangUp {
        /// The program.
        handle: Handle,
    },
    /// Kills what is left of the program's foreground. Answered with [`Answer::Reached`].
    Kill {
        /// The program.
        handle: Handle,
    },
    /// Nothing of the program is to be hung up any more. Answered with [`Answer::Released`].
    Release {
        /// The program.
        handle: Handle,
    },
}

/// A start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The container, by its runtime's id.
    pub container: ContainerId,
    /// The pod that the container must be of.
    pub pod: PodUid,
    /// The name that it must have in there.
    pub name: ContainerName,
    /// Who acts.
    pub user: User,
    /// What the program reads and writes.
    pub streams: Streams,
    /// Where it begins.
    pub folder: Folder,
}

/// What a program reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Streams {
    /// Pipes that the agent has made; it gives the program's ends. In place of stdin's a worker may have
    /// one end of a SEQPACKET unix socket.
    Pipes,
    /// A terminal of the container's, of which the agent gets the other end.
    Terminal {
        /// In characters.
        columns: u16,
        /// In characters.
        rows: u16,
    },
}

/// The folder in which the launcher begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Folder {
    /// The container's own.
    Container,
    /// `/`, where the container's own is gone.
    Root,
}

/// One process of the node. A later process with the same pid is not meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Its pid, as the node sees it.
    pub pid: i32,
    /// In clock ticks since boot (proc(5), stat field 22).
    pub start_time: u64,
}

/// What the entry says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Message {
    /// To a request.
    Answer {
        /// The request's.
        number: u64,
        /// What came of it.
        answer: Answer,
    },
    /// A program has ended. What it started may still write.
    Ended {
        /// The program.
        handle: Handle,
        /// None if it is not this entry's child: then [`crate::system::exit_status`] may know.
        status: Option<Status>,
        /// Whether it was killed, and the kernel has killed in its container because the memory limit
        /// was reached.
        memory_limit: bool,
    },
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Answer {
    /// To [`Action::Hold`].
    Held {
        /// Of the programs that the agent holds, those that this entry can signal.
        handles: Vec<Handle>,
    },
    /// To [`Action::Start`]. Descriptors: a pidfd, the launcher's socket ([`crate::report`]), and with a
    /// terminal its master. Nothing runs but the launcher until that is told to go on.
    Started {
        /// For further requests.
        handle: Handle,
        /// The program's first process.
        process: Process,
    },
    /// To [`Action::Signal`], [`Action::HangUp`] and [`Action::Kill`].
    Reached {
        /// How many processes were signalled.
        processes: usize,
    },
    /// To [`Action::Lend`].
    Lent,
    /// To [`Action::Release`].
    Released,
    /// The request was not carried out.
    Refused {
        /// The cause.
        reason: Reason,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replays_the_fuzz_corpus() {
        let corpus = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/fuzz/corpus/entry_request"
        );
        let mut read = 0;
        for file in std::fs::read_dir(corpus).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            if let Ok(request) = serde_json::from_slice::<Request>(&bytes) {
                let again = serde_json::to_vec(&request).unwrap();
                assert_eq!(serde_json::from_slice::<Request>(&again).unwrap(), request);
                read += 1;
            }
        }
        assert_eq!(read, 8, "all but those that are none");
    }

    #[test]
    fn only_what_fits_is_a_request() {
        let id = "0123456789abcdef".repeat(4);
        let check = |action: &str, fits: bool| {
            let json = format!(r#"{{"number":7,"action":{action}}}"#).replace("ID", &id);
            let parsed = serde_json::from_str::<Request>(&json);
            assert_eq!(parsed.is_ok(), fits, "{json} gave {parsed:?}");
        };
        let start = |rest: &str| {
            format!(
                r#"{{"start":{{"container":"ID","pod":"u","name":"app","user":"ann","folder":"container",{rest}}}}}"#
            )
        };
        check(&start(r#""streams":"pipes""#), true);
        let terminal = |rows: &str| {
            start(&format!(
                r#""streams":{{"terminal":{{"columns":80,"rows":{rows}}}}}"#
            ))
        };
        check(&terminal("24"), true);
        check(&terminal("65536"), false);
        check(&terminal("-1"), false);
        check(&start(r#""streams":"pipes","path":"/bin/sh""#), false);
        check(r#"{"signal":{"handle":9,"signal":"HUP"}}"#, true);
        check(r#"{"signal":{"handle":9,"signal":"STOP"}}"#, false);
        check(r#"{"hang_up":{"handle":9}}"#, true);
        check(r#"{"lend":{"handle":9}}"#, true);
        check(r#"{"kill":{"handle":9}}"#, true);
        check(r#"{"kill":{"pid":9}}"#, false);
        check(r#"{"hold":{"version":1,"handles":[1,2]}}"#, true);
        check(r#"{"run":{}}"#, false);
        let other = start(r#""streams":"pipes""#).replace("ID", "../x");
        check(&other, false);
    }
}
