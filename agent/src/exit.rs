//! How a program ended, whatever ran it.

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The process ended: 0 to 255, or 128+n if signal n killed it.
    Code(u8),
    /// A signal ended it, by its number.
    Signalled { signal: u8, core: bool },
    /// It never ran: there is no such program.
    NotFound(String),
    /// It never ran: the file cannot be executed.
    NotExecutable(String),
    /// It never ran: the image has not what was to serve, and this line says what works instead.
    Missing(&'static str),
    /// The runtime failed to start it, in the runtime's own words.
    Failed(String),
}

/// A shell's status of what a signal has ended is this and the signal's number.
pub(crate) const SIGNALLED: u8 = 128;
/// SIGKILL, by which all in a container that ends are ended.
const KILL: u8 = 9;

/// Signals that SSH has a name for, by their numbers on Linux (RFC 4254 §6.10).
const SIGNALS: [(u8, &str); 13] = [
    (1, "HUP"),
    (2, "INT"),
    (3, "QUIT"),
    (4, "ILL"),
    (6, "ABRT"),
    (8, "FPE"),
    (9, "KILL"),
    (10, "USR1"),
    (11, "SEGV"),
    (12, "USR2"),
    (13, "PIPE"),
    (14, "ALRM"),
    (15, "TERM"),
];
/// Any other, as sshd has it.
const OTHER: &str = "SIG@openssh.com";

/// The name that SSH has for a signal.
pub(crate) fn signal_name(number: u8) -> &'static str {
    let found = SIGNALS.iter().find(|(it, _)| *it == number);
    found.map_or(OTHER, |(_, name)| name)
}

impl Exit {
    /// Whether SIGKILL has ended it, as far as a status tells that.
    pub(crate) fn is_kill(&self) -> bool {
        match self {
            Self::Code(code) => *code == SIGNALLED + KILL,
            Self::Signalled { signal, .. } => *signal == KILL,
            _ => false,
        }
    }
}
