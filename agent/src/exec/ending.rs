//! How an exec shows that its program has ended before the runtime says so. A runtime reports nothing
//! while it waits to write input that nobody reads. So the script in front of the program prints some
//! words once the program has ended. They ask the agent to end the input. The script reads what input
//! is left, and then ends itself. The exit status comes from the runtime. The words have it too, for a
//! runtime that loses the end of input and so never gives one.
//!
//! A program that knows the session's id can print these words too. Its input then ends too soon. When
//! the script prints the words a second time, the session breaks. If it does not, the program has
//! forged its own exit status, and nothing else: it could have exited with that status.

/// How an exec shows that its program has ended. Behind these words come three digits, the program's
/// exit status, and byte 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The script prints these words on stderr. The agent answers by ending the input, and once that has
    /// come, the script prints `done`.
    OnStderr { words: Vec<u8>, done: Vec<u8> },
    /// The script prints these words on the terminal. A terminal has no end of input, so the agent
    /// answers with a line.
    OnTerminal { words: Vec<u8>, answer: Vec<u8> },
}
