//! What the node entry and its launcher are asked for, of what a client asks.

use podgate_node_entry::ids::{ContainerId, ContainerName, NotAName, PodUid, User};
use podgate_node_entry::launch::{Folder, Launch, Program};
use podgate_node_entry::protocol::{self, Streams};
use podgate_node_entry::reason::Reason;
use podgate_proto::v1::{WorkingDirectory, exec};

use crate::command::{self, Error, environment, split};
use crate::node_entry;
use crate::runtime::contract::Start;

/// Bytes of a user's name by which the entry counts.
const MAX_USER: usize = 256;

/// The container, the user and the kind of streams.
pub(super) fn start(start: &Start<'_>) -> Result<protocol::Start, node_entry::Error> {
    let granted = start.granted;
    let id = granted.container_id.split_once("://");
    let id = id.map_or(granted.container_id.as_str(), |(_, id)| id);
    let invalid = |error: NotAName| Reason::Invalid(error.to_string());
    // Whatever has no such id is of no runtime that the entry knows.
    let container = ContainerId::try_from(id.to_owned());
    let container = container.map_err(|_| Reason::OtherRuntime("another runtime".to_owned()))?;
    let size = |length: u32| u16::try_from(length).unwrap_or(u16::MAX);
    let streams = start.exec.terminal.as_ref().map(|terminal| {
        let of = terminal.size.unwrap_or_default();
        Streams::Terminal {
            columns: size(of.columns),
            rows: size(of.rows),
        }
    });
    Ok(protocol::Start {
        container,
        pod: PodUid::try_from(granted.uid.clone()).map_err(invalid)?,
        name: ContainerName::try_from(granted.container.clone()).map_err(invalid)?,
        user: user(start.user).map_err(invalid)?,
        streams: streams.unwrap_or(Streams::Pipes),
        folder: protocol::Folder::Container,
    })
}

/// The name as the entry takes it, which only counts by it.
fn user(name: &str) -> Result<User, NotAName> {
    let plain = name.replace(char::is_control, "?");
    let end = plain.floor_char_boundary(MAX_USER);
    User::try_from(plain.get(..end).unwrap_or_default().to_owned())
}

/// What the launcher runs: the user's shell, which a command is for.
pub(super) fn launch(start: &Start<'_>) -> Result<Launch, Error> {
    let exec = start.exec;
    let program = match exec.program.as_ref().ok_or(Error::NoProgram)? {
        exec::Program::Shell(shell) if shell.login => Program::Login,
        exec::Program::Shell(_) => Program::Shell,
        exec::Program::Command(command) => {
            command::check(command)?;
            Program::Command(command.to_vec())
        }
    };
    let session = format!("PODGATE_SESSION={}", start.session);
    let environment = environment(exec)?.into_iter();
    let environment = std::iter::once(session).chain(environment);
    Ok(Launch {
        program,
        environment: environment.map(String::into_bytes).collect(),
        folder: match start.folder {
            WorkingDirectory::Home => Folder::Home,
            _ => Folder::Stay,
        },
    })
}

/// The same for an image without a shell.
pub(super) fn words(launch: Launch, command: &[u8]) -> Result<Launch, Error> {
    let arguments = split(command)?.into_iter().map(String::into_bytes);
    let arguments: Vec<Vec<u8>> = arguments.collect();
    let path = arguments.first().cloned().unwrap_or_default();
    Ok(Launch {
        program: Program::Words { path, arguments },
        ..launch
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_is_one_that_the_entry_takes() {
        let long = "ü".repeat(200);
        for (name, expect) in [
            ("ann", "ann"),
            ("a\nb\u{7f}", "a?b?"),
            (&*long, &"ü".repeat(128)),
        ] {
            assert_eq!(user(name).unwrap().as_ref(), expect);
        }
        assert!(user("").is_err());
    }
}
