//! Signals that the agent asks for. A thread sends them, because it looks at all processes of the node
//! for each.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use rustix::process::Signal;

use podgate_node_entry::protocol::{Answer, Signal as Named};
use podgate_node_entry::reason::Reason;

use super::outbox::Outbox;
use super::session::Session;
use crate::record::Connection;

/// Those that wait, at the most.
const MOST: usize = 1024;

/// What is sent to a session.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    Signal(Named),
    /// A terminal has hung up by its closing.
    HangUp,
    Kill,
}

struct Job {
    connection: Connection,
    number: u64,
    session: Session,
    what: What,
}

/// The thread's other end.
#[derive(Debug)]
pub(crate) struct Signals {
    jobs: SyncSender<Job>,
    outbox: Outbox,
}

impl Signals {
    pub(crate) fn start(outbox: Outbox) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(MOST);
        let answers = outbox.clone();
        let thread = thread::Builder::new().name("signals".into());
        thread.spawn(move || serve(&queue, &answers))?;
        Ok(Self { jobs, outbox })
    }

    /// Sends it, and answers.
    pub(crate) fn send(&self, connection: Connection, number: u64, session: Session, what: What) {
        let job = Job {
            connection,
            number,
            session,
            what,
        };
        if self.jobs.try_send(job).is_err() {
            let reason = Reason::Entry("too many signals wait".to_owned());
            self.outbox.refuse(connection, number, reason);
        }
    }
}

fn serve(queue: &Receiver<Job>, outbox: &Outbox) {
    for job in queue {
        let processes = match job.what {
            What::Signal(Named::Hup) => job.session.hang_up(),
            What::Signal(named) => job.session.signal(number(named)),
            What::HangUp if job.session.pipes.is_none() => job.session.left(),
            What::HangUp => job.session.hang_up(),
            What::Kill => job.session.kill(),
        };
        outbox.answer(job.connection, job.number, Answer::Reached { processes });
    }
}

fn number(signal: Named) -> Signal {
    let found = NUMBERS.iter().find(|(named, _)| *named == signal);
    found.map_or(Signal::TERM, |(_, number)| *number)
}

/// All that a client can name.
const NUMBERS: [(Named, Signal); 13] = [
    (Named::Abrt, Signal::ABORT),
    (Named::Alrm, Signal::ALARM),
    (Named::Fpe, Signal::FPE),
    (Named::Hup, Signal::HUP),
    (Named::Ill, Signal::ILL),
    (Named::Int, Signal::INT),
    (Named::Kill, Signal::KILL),
    (Named::Pipe, Signal::PIPE),
    (Named::Quit, Signal::QUIT),
    (Named::Segv, Signal::SEGV),
    (Named::Term, Signal::TERM),
    (Named::Usr1, Signal::USR1),
    (Named::Usr2, Signal::USR2),
];
