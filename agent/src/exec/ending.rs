//! How an exec shows that its program has ended, before the runtime says so: a runtime says nothing
//! while it waits to write input that nobody reads. Whoever stands in front of the program reads the rest
//! of the input, says some words to be sent no more, and ends when there is no more. The status is the
//! runtime's own all the same.
//!
//! Others may say the words, too, if they know the session's id. They end the input too soon. The true
//! words still come then, and coming twice they break the session.

/// How an exec shows that its program has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By these words on stderr. The end of input is the answer, and once that has come, others of the
    /// same length are said.
    OnStderr { words: Vec<u8>, done: Vec<u8> },
    /// By these words on the terminal, which has no end of input: a line is the answer.
    OnTerminal { words: Vec<u8>, answer: Vec<u8> },
}
