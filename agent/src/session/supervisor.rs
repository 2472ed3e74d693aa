//! What a session asks about its process, apart from the process's bytes.

pub(crate) trait Supervisor: Sync {
    /// Sends the process a signal, by its name in RFC 4254 §6.10.
    fn signal(&self, name: &str);

    /// Waits until the process's container is gone with all that ran in it, and says why.
    fn until_gone(&self) -> impl Future<Output = String> + Send;

    /// Why the container is gone, if that is why the process was killed.
    fn why_gone(&self) -> impl Future<Output = Option<String>> + Send;
}

/// The user's sentence for a container that ended during a session.
pub(super) fn over(why: &str) -> String {
    format!("the session is over: {why}")
}
