//! The limit of open files. Service managers start programs with 1024, for the sake of programs that
//! call select(2). A session takes one or two descriptors, an SSH connection two.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the limit as far as that needs no privilege.
pub fn raise() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}
