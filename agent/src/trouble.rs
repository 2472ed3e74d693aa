//! Trouble in a container, in a user's words, whichever runtime meets it.

/// What a user reads whose program was killed for want of memory.
pub(crate) const KILLED_FOR_MEMORY: &str =
    "the container has reached its limit of memory, and the kernel has killed a process in it";

/// What keeps programs from starting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Trouble {
    #[error(
        "the container has reached its limit of processes, so that nothing can be started in it; end some of them, or raise the limit"
    )]
    Processes,
    #[error(
        "the container has reached its limit of memory, so that nothing can be started in it; end a process of it, or raise the limit"
    )]
    Memory,
    #[error(
        "the container's shell was killed before it ran anything; the container may have reached its limit of memory"
    )]
    Killed,
    /// runc's first process, of several threads, has died in the container.
    #[error(
        "the session's first process died in the container before it ran anything; the container may have reached its limit of processes or of memory"
    )]
    Died,
    #[error(
        "the container's working folder {0} is gone, and without it the node's runtime starts nothing in there; make it again, or restart the pod"
    )]
    Folder(String),
}
