//! The starter's main thread: it takes records from the front and hands each to whoever does it, so
//! that none waits for another.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, getpid, pidfd_open, set_child_subreaper};

use podgate_node_entry::channel::Channel;
use podgate_node_entry::ids::Handle;
use podgate_node_entry::protocol::{Action, Answer, Request, Start};
use podgate_node_entry::reason::Reason;
use podgate_node_entry::system;

use super::context::Context;
use super::counts::{Counts, PROGRAMS, STARTS};
use super::hangups::{self, Wake};
use super::image::Images;
use super::journal::{Entry, Journal};
use super::options::Options;
use super::outbox::Outbox;
use super::privileges;
use super::programs::{HangUp, Programs};
use super::reaper::Reaper;
use super::signals::{Signals, What};
use super::start::{self, Given};
use super::survey;
use super::told::Told;
use crate::container::bundle::Bundles;
use crate::front::{check, socket};
use crate::record::{Connection, Notice, Record};

/// The stack of a start's thread.
const STACK: usize = 256 * 1024;
/// The bytes of one signal (`struct signalfd_siginfo`, signalfd(2)).
const SIGNAL: usize = 128;
/// What asks this process to end.
const END: [i32; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

struct Server {
    context: Arc<Context>,
    front: Arc<Channel>,
    signals: Signals,
    over: Arc<Wake>,
}

/// Runs until it is asked to end, the agent is gone and all of its programs are hung up.
pub(crate) fn run(options: Options) -> Result<()> {
    system::reserve()?;
    system::raise_descriptors()?;
    privileges::check()?;
    set_child_subreaper(Some(getpid()))?;
    // Before there is another thread.
    let asked = system::block(&END)?;
    let server = Server::new(options)?;
    server.say_what_was_found();
    server.serve(&asked)?;
    server.context.programs.finish();
    // Before the front sees its socket close, and its end is taken for a failure.
    std::process::exit(0)
}

fn program(name: &'static str, file: &Path) -> Result<Images> {
    let told = file.display().to_string();
    let program = std::fs::read(file).with_context(|| told.clone())?;
    Images::new(name, program).context(told)
}

impl Server {
    fn new(options: Options) -> Result<Self> {
        let launcher = program("podgate-launcher", &options.launcher)?;
        let worker = match options.worker.exists() {
            true => Some(program("podgate-worker", &options.worker)?),
            false => None,
        };
        let bundles =
            Bundles::new(&options.node, &options.containerd).context("the node's files")?;
        let journal = options.journal.as_deref().map(Journal::open);
        let (journal, orphans) = journal.transpose()?.unzip();
        let reaper = Reaper::start()?;
        let front = Arc::new(start_front(&options, &reaper)?);
        let outbox = Outbox::start(front.clone())?;
        let programs = Programs::new(journal, orphans.unwrap_or_default(), outbox.clone());
        let context = Context {
            bundles,
            launcher,
            worker,
            reaper,
            programs,
            outbox: outbox.clone(),
            starts: Counts::new(STARTS, options.starts),
            running: Counts::new(PROGRAMS, options.programs),
            told: Told::default(),
            options,
        };
        Ok(Self {
            context: Arc::new(context),
            front,
            signals: Signals::start(outbox)?,
            over: Arc::new(Wake::new()?),
        })
    }

    fn say_what_was_found(&self) {
        let folders = self.context.bundles.there();
        if folders.is_empty() {
            eprintln!("podgate-node-entry: containerd has no containers here yet");
        }
        for folder in folders {
            eprintln!("podgate-node-entry: containers are in {}", folder.display());
        }
        let images = self.context.launcher.words();
        eprintln!("podgate-node-entry: serving, with {images}");
        if self.context.worker.is_none() {
            eprintln!("podgate-node-entry: there is no worker, so it serves no files");
        }
        survey::look_around(&self.context);
    }

    fn serve(&self, asked: &OwnedFd) -> Result<()> {
        let mut draining = false;
        loop {
            if draining && self.context.programs.is_idle() {
                return Ok(());
            }
            let mut ready = [
                PollFd::new(&*self.front, PollFlags::IN),
                PollFd::new(asked, PollFlags::IN),
                PollFd::new(&self.over.0, PollFlags::IN),
            ];
            match poll(&mut ready, None) {
                Err(rustix::io::Errno::INTR) => continue,
                polled => drop(polled?),
            }
            let [front, asked_now, over] = ready.map(|it| !it.revents().is_empty());
            if front {
                let received = self.front.receive().context("the front")?;
                let (record, beside) = received.context("the front has ended")?;
                self.take(record, beside);
            }
            if asked_now {
                // What is not read would be told of again at once.
                rustix::io::read(asked, &mut [0; SIGNAL])?;
            }
            if asked_now && !draining {
                draining = true;
                self.context.outbox.put(Notice::Draining, Vec::new());
                self.hang_up(self.context.programs.unheld());
            }
            if over {
                rustix::io::read(&self.over.0, &mut [0; 8])?;
            }
        }
    }

    fn take(&self, record: Record, beside: Vec<OwnedFd>) {
        match record {
            Record::Said {
                connection,
                request,
            } => self.act(connection, request, beside),
            Record::Closed { connection } => {
                let hangup = self.context.programs.closed(connection);
                self.hang_up(hangup);
            }
        }
    }

    fn hang_up(&self, hangup: HangUp) {
        hangups::start(hangup, self.context.options.grace, &self.over);
    }

    fn act(&self, connection: Connection, request: Request, beside: Vec<OwnedFd>) {
        let number = request.number;
        let (programs, outbox) = (&self.context.programs, &self.context.outbox);
        // The front has looked, too. It is the part that hears the agent, and may have been taken over.
        let is_first = matches!(request.action, Action::Hold { .. });
        if let Err(wrong) = check::check(&request.action, &beside, is_first) {
            return outbox.refuse(connection, number, Reason::Invalid(wrong.to_string()));
        }
        let send = |handle: Handle, what: What| match programs.of(handle, connection) {
            Some(session) => self.signals.send(connection, number, session, what),
            None => outbox.refuse(connection, number, Reason::NoProgram),
        };
        match request.action {
            Action::Hold { handles, .. } => self.hold(connection, number, &handles),
            Action::Start(start) => self.start(connection, number, start, beside),
            Action::Signal { handle, signal } => send(handle, What::Signal(signal)),
            Action::Lend { handle } => {
                let master = beside.into_iter().next();
                let lent = master.is_some_and(|it| programs.lend(handle, connection, it));
                match lent {
                    true => outbox.answer(connection, number, Answer::Lent),
                    false => outbox.refuse(connection, number, Reason::NoProgram),
                }
            }
            Action::HangUp { handle } => match programs.hang_up(handle, connection) {
                Some(session) => self.signals.send(connection, number, session, What::HangUp),
                None => outbox.refuse(connection, number, Reason::NoProgram),
            },
            Action::Kill { handle } => send(handle, What::Kill),
            Action::Release { handle } => {
                programs.release(handle, connection);
                outbox.answer(connection, number, Answer::Released);
            }
        }
    }

    /// Takes over what an earlier entry has started and this agent holds, and hangs up the rest.
    fn hold(&self, connection: Connection, number: u64, handles: &[Handle]) {
        let programs = &self.context.programs;
        programs.connected(connection);
        let held = programs.orphans(handles);
        let handles = held.iter().map(|entry| entry.handle).collect();
        for entry in &held {
            programs.add(entry.clone(), connection, (None, None));
        }
        let answer = Answer::Held { handles };
        self.context.outbox.answer(connection, number, answer);
        held.iter().for_each(|entry| self.watch(entry));
        self.hang_up(programs.unheld());
    }

    /// Waits for one that is no child of this process, so that its status is not known here.
    fn watch(&self, entry: &Entry) {
        let (programs, handle) = (self.context.programs.clone(), entry.handle);
        let pid = Pid::from_raw(entry.leader.pid);
        let pidfd = pid.and_then(|pid| {
            pidfd_open(pid, PidfdFlags::empty())
                .ok()
                .map(|fd| (pid, fd))
        });
        // Only once its pid is held can it be told from another one's.
        let lives = crate::processes::find(entry.leader).is_some();
        match pidfd.filter(|_| lives) {
            Some((pid, pidfd)) => {
                let ended = Box::new(move |status| programs.ended(handle, (status, false)));
                if let Err(error) = self.context.reaper.watch(pid, pidfd, ended) {
                    crate::end::fatal(&format!("cannot wait for a program: {error}"));
                }
            }
            None => programs.ended(handle, (None, false)),
        }
    }

    fn start(&self, connection: Connection, number: u64, start: Start, beside: Vec<OwnedFd>) {
        let refuse = |reason| self.context.outbox.refuse(connection, number, reason);
        let place = match self.context.starts.take(&start.container, &start.user) {
            Ok(place) => place,
            Err(bound) => return refuse(Reason::TooMany(bound)),
        };
        let mut beside = beside.into_iter();
        let Some(launch) = beside.next() else {
            return refuse(Reason::Invalid("nothing to launch".to_owned()));
        };
        let pipes: Vec<OwnedFd> = beside.collect();
        let given = Given {
            start,
            launch,
            pipes: pipes.try_into().ok(),
        };
        let context = self.context.clone();
        let thread = thread::Builder::new()
            .name("start".into())
            .stack_size(STACK);
        let spawned = thread.spawn(move || {
            start::serve(&context, connection, number, given);
            drop(place);
        });
        if let Err(error) = spawned {
            refuse(Reason::Entry(error.to_string()));
        }
    }
}

/// Starts the front, between the socket that it listens on and this process.
fn start_front(options: &Options, reaper: &Reaper) -> Result<Channel> {
    let listener = socket::bind(&options.socket, options.agent_uid)?;
    let (ours, theirs) = Channel::pair()?;
    let mut command = Command::new("/proc/self/exe");
    command.arg("--front").arg("--socket").arg(&options.socket);
    if let Some(uid) = options.agent_uid {
        command.arg("--agent-uid").arg(uid.to_string());
    }
    let theirs = OwnedFd::from(theirs);
    command
        .stdin(Stdio::from(listener))
        .stdout(Stdio::from(theirs))
        .env_clear();
    let front = command.spawn().context("the front")?;
    let pid = Pid::from_child(&front);
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    reaper.watch(
        pid,
        pidfd,
        Box::new(|_| crate::end::fatal("the front has ended")),
    )?;
    Ok(ours)
}
