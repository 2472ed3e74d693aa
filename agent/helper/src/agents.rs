//! Agents that stay connected. They are told how many looks hang. The helper does not end before they
//! are gone, because their last hang-ups need it.

use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SendFlags, send};

use crate::look;
use podgate_helper::protocol::Answer;

/// How many agents may be connected at a time. While one takes over from another there are two.
const MAX_AGENTS: usize = 8;
/// The pause between two checks whether another agent has come, while the helper is about to end.
const LOOK: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// As many agents are connected as may be.
#[derive(Debug)]
pub(crate) struct TooMany;

#[derive(Debug, Default)]
pub(crate) struct Agents(Mutex<Connected>);

#[derive(Debug, Default)]
struct Connected {
    agents: Vec<UnixStream>,
    /// Hanging looks that all agents know of.
    told: usize,
}

impl Agents {
    /// Adds an agent, and tells it how many looks hang.
    pub(crate) fn add(&self, stream: UnixStream) -> Result<(), TooMany> {
        let mut connected = self.lock();
        drop_gone(&mut connected.agents, &Timespec::default());
        if connected.agents.len() == MAX_AGENTS {
            return Err(TooMany);
        }
        // The others may know of fewer; they are told with the next request.
        if tell(&stream, look::hanging()).is_ok() {
            connected.agents.push(stream);
        }
        Ok(())
    }

    /// Tells all agents how many looks hang, if that has changed.
    pub(crate) fn tell(&self) {
        let hanging = look::hanging();
        let mut connected = self.lock();
        if connected.told != hanging {
            connected.told = hanging;
            // An agent that does not read this little is as good as gone.
            connected
                .agents
                .retain(|agent| tell(agent, hanging).is_ok());
        }
    }

    /// Waits until no agent is connected.
    pub(crate) fn until_gone(&self) {
        loop {
            let agents: Vec<_> = {
                let connected = self.lock();
                let again = connected.agents.iter().map(UnixStream::try_clone);
                again.filter_map(Result::ok).collect()
            };
            if agents.is_empty() {
                return;
            }
            wait(&agents, &LOOK);
            drop_gone(&mut self.lock().agents, &Timespec::default());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Connected> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells an agent, and does not wait until it reads.
fn tell(agent: &UnixStream, hanging: usize) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(&Answer::Looks { hanging })?;
    line.push(b'\n');
    match send(agent, &line, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)? {
        sent if sent == line.len() => Ok(()),
        _ => Err(std::io::ErrorKind::WriteZero.into()),
    }
}

/// Waits a bounded time until one of them is gone. Returns for each whether it is.
fn wait(agents: &[UnixStream], limit: &Timespec) -> Vec<bool> {
    let polled = agents
        .iter()
        .map(|agent| PollFd::new(agent, PollFlags::empty()));
    let mut polled: Vec<_> = polled.collect();
    if poll(&mut polled, Some(limit)).is_err() {
        return vec![false; agents.len()];
    }
    let gone = PollFlags::HUP | PollFlags::ERR;
    polled
        .iter()
        .map(|one| one.revents().intersects(gone))
        .collect()
}

fn drop_gone(agents: &mut Vec<UnixStream>, limit: &Timespec) {
    let mut gone = wait(agents, limit).into_iter();
    agents.retain(|_| !gone.next().unwrap_or(false));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};

    #[test]
    fn it_waits_for_those_who_are_connected() {
        let agents = Agents::default();
        agents.until_gone();
        let (ours, theirs) = UnixStream::pair().unwrap();
        agents.add(ours).unwrap();
        let mut line = String::new();
        let mut reader = BufReader::new(theirs);
        reader.read_line(&mut line).unwrap();
        assert!(line.starts_with(r#"{"looks":{"hanging":"#), "{line}");
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| agents.until_gone());
            assert!(!waits.is_finished());
            drop(reader);
            waits.join().unwrap();
        });
        let pairs: Vec<_> = (0..MAX_AGENTS)
            .map(|_| UnixStream::pair().unwrap())
            .collect();
        let (ours, theirs): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        for ours in ours {
            agents.add(ours).unwrap();
        }
        let (one_more, _peer) = UnixStream::pair().unwrap();
        assert!(agents.add(one_more).is_err());
        drop(theirs);
        let (again, _peer) = UnixStream::pair().unwrap();
        assert!(agents.add(again).is_ok());
    }
}
