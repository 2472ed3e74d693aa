//! What a client asks to run: whether the kernel takes its command and its environment.

use podgate_proto::v1::Exec;

/// The most bytes of one argument of a program: MAX_ARG_STRLEN of Linux (32 pages), less the NUL that
/// ends it.
pub(crate) const MAX_ARGUMENT: usize = 128 * 1024 - 1;

/// The most bytes of a command, which passes through the variable of this name.
pub(crate) const MAX_COMMAND: usize = MAX_ARGUMENT - "__command=".len();

/// Why a command cannot be run.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "the command is {0} bytes long, more than the {MAX_COMMAND} that Linux lets through; send it as a script on stdin instead (ssh TARGET sh < script)"
    )]
    TooLong(usize),
    #[error("the command contains a NUL byte")]
    Nul,
    /// Only in an image without a shell, where the words are split here.
    #[error("the command's quotes do not match")]
    Quotes,
    /// The kubelet takes only UTF-8, and no shell is there to put the bytes together.
    #[error(
        "the command is not UTF-8, and an image without a shell can run only commands in UTF-8"
    )]
    NotUtf8,
    #[error("the command is empty")]
    Empty,
    #[error("the frontdoor asked for neither a shell nor a command")]
    NoProgram,
    #[error("the environment variable {0:?} cannot be set")]
    Variable(String),
}

/// The words of a command, for an image without a shell.
pub(crate) fn split(command: &[u8]) -> Result<Vec<String>, Error> {
    check(command)?;
    let command = std::str::from_utf8(command).map_err(|_| Error::NotUtf8)?;
    let words = shell_words::split(command).map_err(|_| Error::Quotes)?;
    if words.is_empty() {
        Err(Error::Empty)
    } else {
        Ok(words)
    }
}

/// Whether the kernel takes it for an argument.
pub(crate) fn check(command: &[u8]) -> Result<(), Error> {
    if command.len() > MAX_COMMAND {
        return Err(Error::TooLong(command.len()));
    }
    if command.contains(&0) {
        Err(Error::Nul)
    } else {
        Ok(())
    }
}

/// `NAME=value` words. TERM comes with the terminal; the frontdoor's allow-list has passed the rest.
pub(crate) fn environment(exec: &Exec) -> Result<Vec<String>, Error> {
    let terminal = exec.terminal.as_ref();
    let term = terminal.map(|terminal| ("TERM", terminal.term.as_str()));
    let sent = exec
        .environment
        .iter()
        .map(|v| (v.name.as_str(), v.value.as_str()));
    let words = term.into_iter().chain(sent).map(|(name, value)| {
        let mut bytes = name.bytes();
        let start = bytes
            .next()
            .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        let named = start && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let word = format!("{name}={value}");
        if named && !value.contains('\0') && word.len() <= MAX_ARGUMENT {
            Ok(word)
        } else {
            Err(Error::Variable(name.to_owned()))
        }
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_an_image_without_a_shell() {
        let expect = ["/probe", "args", "a b", "c"].map(str::to_owned).to_vec();
        assert_eq!(split(b"/probe args 'a b' c"), Ok(expect));
        assert_eq!(split(b"/probe 'a"), Err(Error::Quotes));
        assert_eq!(split(b"  "), Err(Error::Empty));
        assert_eq!(split(b"/probe \xff"), Err(Error::NotUtf8));
    }
}
