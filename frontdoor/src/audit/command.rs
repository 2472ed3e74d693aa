//! A command as the audit log keeps it. Sessions last, and commands may be long: of a long one only the
//! beginning, its length and its SHA-256 are kept.

use podgate_proto::v1::{Exec, exec};
use sha2::{Digest as _, Sha256};

/// Bytes of a command in the log.
pub(super) const MAX_COMMAND: usize = 4096;

/// What is kept of a command.
#[derive(Debug)]
pub(super) struct Command {
    /// A little more than the log takes, if it is cut, to show that it was longer.
    text: String,
    /// Its length in bytes and its SHA-256 in hex digits, if it is cut.
    whole: Option<(usize, String)>,
}

impl Command {
    pub(super) fn new(command: &[u8]) -> Self {
        // Bytes that are not UTF-8 grow to three each.
        let text = String::from_utf8_lossy(command);
        let end = text.floor_char_boundary(MAX_COMMAND + 4);
        let whole = (text.len() > MAX_COMMAND).then(|| {
            let digest = Sha256::digest(command);
            let digest = digest.iter().map(|byte| format!("{byte:02x}"));
            (command.len(), digest.collect())
        });
        Self {
            text: text.get(..end).unwrap_or_default().to_owned(),
            whole,
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The length and the SHA-256 of all that the client sent, if the text is cut.
    pub(super) fn whole(&self) -> Option<(usize, &str)> {
        let (length, digest) = self.whole.as_ref()?;
        Some((*length, digest))
    }
}

/// What a session runs, or would under sshd.
#[derive(Debug, Default)]
pub(crate) struct Program {
    /// `None` for a shell.
    pub(super) command: Option<Command>,
    /// What the client asked for, if a forced command replaced it.
    pub(super) asked: Option<Command>,
    pub(super) tty: bool,
}

impl Program {
    /// `asked` names the variable that holds the client's own command if a forced command replaced it.
    pub(crate) fn of(exec: &Exec, asked: Option<&str>) -> Self {
        let command = match &exec.program {
            Some(exec::Program::Command(command)) => Some(Command::new(command)),
            Some(exec::Program::Shell(_)) | None => None,
        };
        let asked = asked.and_then(|name| {
            let mut variables = exec.environment.iter();
            variables.find(|variable| variable.name == name)
        });
        Self {
            command,
            asked: asked.map(|variable| Command::new(variable.value.as_bytes())),
            tty: exec.terminal.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_command_is_known_by_its_length_and_digest() {
        let short = Command::new(&[b'a'; MAX_COMMAND]);
        assert_eq!((short.text().len(), short.whole()), (MAX_COMMAND, None));
        // `head -c 1000000 /dev/zero | tr '\\0' a | sha256sum`
        let long = Command::new(&[b'a'; 1_000_000]);
        let digest = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
        assert_eq!(long.whole(), Some((1_000_000, digest)));
        assert!(long.text().len() < MAX_COMMAND + 8);
        // The text is cut although the command has fewer bytes.
        let broken = Command::new(&[0xff; MAX_COMMAND / 2]);
        assert_eq!(broken.whole().map(|(length, _)| length), Some(2048));
    }
}
