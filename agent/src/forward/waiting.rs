//! Connections of listeners that wait until their frontdoor takes them, each on a stream of its own. That
//! stream may come to another core, so all cores share this.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use podgate_proto::limits::INCOMING_TIMEOUT;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::socket::Owned;
use crate::grant::Granted;

/// Whose a listener is: nobody else may take its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) user: String,
    /// The client's SSH connection.
    pub(super) connection: String,
    pub(super) granted: Granted,
}

/// What waits at all listeners of this node, by the listener's session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting(Arc<Mutex<HashMap<String, Line>>>);

#[derive(Debug)]
struct Line {
    owner: Owner,
    next: u64,
    connections: BTreeMap<u64, Connection>,
}

#[derive(Debug)]
struct Connection {
    socket: Owned,
    since: Instant,
    /// Bounds how many wait.
    _place: OwnedSemaphorePermit,
}

/// The connections of one listener. What waits is closed once this is dropped.
#[derive(Debug)]
pub(super) struct OwnLine {
    all: Waiting,
    id: String,
}

impl Waiting {
    pub(super) fn line(&self, id: &str, owner: Owner) -> OwnLine {
        let line = Line {
            owner,
            next: 0,
            connections: BTreeMap::new(),
        };
        let id = id.to_owned();
        self.lock().insert(id.clone(), line);
        let all = self.clone();
        OwnLine { all, id }
    }

    /// Takes a connection, if its listener is the owner's and it still waits.
    pub(super) fn take(&self, id: &str, number: u64, owner: &Owner) -> Option<Owned> {
        let mut all = self.lock();
        let line = all.get_mut(id).filter(|line| line.owner == *owner)?;
        line.connections.remove(&number).map(|one| one.socket)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Line>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OwnLine {
    /// Puts a connection at the end, and answers its number.
    pub(super) fn put(&self, socket: Owned, place: OwnedSemaphorePermit) -> u64 {
        let mut all = self.all.lock();
        let Some(line) = all.get_mut(&self.id) else {
            return 0;
        };
        let number = line.next;
        line.next += 1;
        let connection = Connection {
            socket,
            since: Instant::now(),
            _place: place,
        };
        line.connections.insert(number, connection);
        number
    }

    /// Closes a connection. Answers whether it waited.
    pub(super) fn decline(&self, number: u64) -> bool {
        let mut all = self.all.lock();
        let line = all.get_mut(&self.id);
        line.is_some_and(|line| line.connections.remove(&number).is_some())
    }

    /// Closes those that have waited for too long by now. Answers how many, and when the next one has.
    pub(super) fn expire(&self, now: Instant) -> (u64, Option<Instant>) {
        let mut all = self.all.lock();
        let Some(line) = all.get_mut(&self.id) else {
            return (0, None);
        };
        let mut expired = 0;
        while let Some(first) = line.connections.first_entry() {
            let end = first.get().since + INCOMING_TIMEOUT;
            if now < end {
                return (expired, Some(end));
            }
            first.remove();
            expired += 1;
        }
        (expired, None)
    }
}

impl Drop for OwnLine {
    fn drop(&mut self) {
        let line = self.all.lock().remove(&self.id);
        drop(line);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use tokio::sync::Semaphore;

    use super::*;

    fn owner(user: &str) -> Owner {
        let text = |text: &str| text.to_owned();
        let granted = Granted {
            namespace: text("prod"),
            pod: text("web"),
            uid: text("1"),
            container: text("main"),
            container_id: text("containerd://1"),
        };
        let (user, connection) = (text(user), text("c"));
        Owner {
            user,
            connection,
            granted,
        }
    }

    async fn put(line: &OwnLine, places: &Arc<Semaphore>) -> (u64, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let place = Arc::clone(places).acquire_owned().await.unwrap();
        (line.put(OwnedFd::from(ours).into(), place), theirs)
    }

    fn is_closed(mut stream: UnixStream) -> bool {
        stream.set_nonblocking(true).unwrap();
        stream.read(&mut [0]).is_ok_and(|read| read == 0)
    }

    #[tokio::test]
    async fn a_connection_is_its_owners_and_taken_once() {
        let (all, places) = (Waiting::default(), Arc::new(Semaphore::new(3)));
        let line = all.line("a", owner("ada"));
        let (first, _peer) = put(&line, &places).await;
        let (second, declined) = put(&line, &places).await;
        assert!(all.take("a", first, &owner("eve")).is_none());
        assert!(all.take("b", first, &owner("ada")).is_none());
        assert!(all.take("a", first, &owner("ada")).is_some());
        assert!(all.take("a", first, &owner("ada")).is_none());
        assert!(line.decline(second) && !line.decline(second));
        assert!(is_closed(declined));
        assert_eq!(places.available_permits(), 3);
    }

    #[tokio::test]
    async fn nothing_waits_for_long_or_after_its_listener() {
        let (all, places) = (Waiting::default(), Arc::new(Semaphore::new(3)));
        let line = all.line("a", owner("ada"));
        let (_, first) = put(&line, &places).await;
        let now = Instant::now();
        let (expired, next) = line.expire(now);
        assert_eq!(expired, 0);
        let (_, second) = put(&line, &places).await;
        assert_eq!(line.expire(next.unwrap()).0, 1);
        assert!(is_closed(first));
        drop(line);
        assert!(is_closed(second));
        assert!(all.lock().is_empty());
    }
}
