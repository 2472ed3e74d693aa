//! What the starter tells the front. A thread sends it, so that nobody who has something to say waits.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use podgate_node_entry::channel::Channel;
use podgate_node_entry::protocol::{Answer, Message};
use podgate_node_entry::reason::Reason;

use crate::end::fatal;
use crate::record::{Connection, Notice};

/// Messages that wait, at the most. The front takes them at once; if it does not, it is stuck.
const MOST: usize = 16 * 1024;

type Letter = (Notice, Vec<OwnedFd>);

/// Takes messages and does not wait.
#[derive(Clone, Debug)]
pub(crate) struct Outbox(SyncSender<Letter>);

impl Outbox {
    pub(crate) fn start(front: Arc<Channel>) -> std::io::Result<Self> {
        let (outbox, letters) = sync_channel(MOST);
        let thread = thread::Builder::new().name("outbox".into());
        thread.spawn(move || send(&letters, &front))?;
        Ok(Self(outbox))
    }

    pub(crate) fn put(&self, notice: Notice, beside: Vec<OwnedFd>) {
        if self.0.try_send((notice, beside)).is_err() {
            fatal("the front takes no messages");
        }
    }

    pub(crate) fn tell(&self, connection: Connection, message: Message) {
        let message = Notice::Tell {
            connection,
            message,
        };
        self.put(message, Vec::new());
    }

    pub(crate) fn answer(&self, connection: Connection, number: u64, answer: Answer) {
        self.tell(connection, Message::Answer { number, answer });
    }

    pub(crate) fn refuse(&self, connection: Connection, number: u64, reason: Reason) {
        self.answer(connection, number, Answer::Refused { reason });
    }
}

fn send(letters: &Receiver<Letter>, front: &Channel) {
    for (notice, beside) in letters {
        let beside: Vec<_> = beside.iter().map(OwnedFd::as_fd).collect();
        if let Err(error) = front.send(&notice, &beside) {
            fatal(&format!("the front is gone: {error}"));
        }
    }
}
