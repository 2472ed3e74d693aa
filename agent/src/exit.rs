//! How a program ended, whatever ran it.

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The process ended: 0 to 255, or 128+n if signal n killed it.
    Code(u8),
    /// It never ran: there is no such program.
    NotFound(String),
    /// It never ran: the file cannot be executed.
    NotExecutable(String),
    /// It never ran: the image has not what was to serve, and this line says what works instead.
    Missing(&'static str),
    /// The runtime failed to start it, in the runtime's own words.
    Failed(String),
}
