//! How many descriptors the process may have open. A session takes one or two, and service managers start
//! programs with 1024, for the sake of those that call select(2).

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the limit as far as one may without privilege.
pub(crate) fn raise() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}
