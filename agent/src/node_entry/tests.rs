//! The client against an entry that says what a test has it say.

use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::time::Duration;

use podgate_node_entry::channel::Channel;
use podgate_node_entry::ids::Handle;
use podgate_node_entry::protocol::{
    Action, Answer, Folder, Message, Process, Request, Signal, Start, Streams,
};
use podgate_node_entry::reason::Reason;
use podgate_node_entry::status::Status;
use prometheus_client::metrics::gauge::Gauge;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with,
};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::pty::{OpenptFlags, openpt};
use tempfile::TempDir;
use tokio::io::Interest;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::watched::watch;

const SOON: Duration = Duration::from_secs(10);

/// An entry's side.
struct Fake {
    listener: OwnedFd,
    folder: TempDir,
}

impl Fake {
    fn listen() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let flags = SocketFlags::CLOEXEC;
        let listener =
            socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let path = SocketAddrUnix::new(folder.path().join("socket")).unwrap();
        bind(&listener, &path).unwrap();
        listen(&listener, 8).unwrap();
        Self { listener, folder }
    }

    fn client(&self, there: &Gauge) -> std::sync::Arc<NodeEntry> {
        NodeEntry::new(self.folder.path().join("socket"), there.clone())
    }

    /// The next connection, and what its agent holds.
    fn accept(&self) -> (Channel, Vec<Handle>) {
        let channel = Channel::from(accept_with(&self.listener, SocketFlags::CLOEXEC).unwrap());
        let (request, _) = channel.receive::<Request>().unwrap().unwrap();
        let Action::Hold { mut handles, .. } = request.action else {
            panic!("{request:?}");
        };
        handles.sort();
        let answer = Answer::Held {
            handles: handles.clone(),
        };
        say(&channel, request.number, answer, &[]);
        (channel, handles)
    }
}

fn say(channel: &Channel, number: u64, answer: Answer, beside: &[&OwnedFd]) {
    let beside: Vec<_> = beside
        .iter()
        .map(|it| std::os::fd::AsFd::as_fd(*it))
        .collect();
    channel
        .send(&Message::Answer { number, answer }, &beside)
        .unwrap();
}

fn next(channel: &Channel) -> Request {
    channel.receive::<Request>().unwrap().unwrap().0
}

fn started(channel: &Channel, number: u64, handle: u64, of: &Child) {
    let pid = Pid::from_child(of);
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    let process = Process {
        pid: pid.as_raw_nonzero().get(),
        start_time: 0,
    };
    let handle = Handle(handle);
    say(
        channel,
        number,
        Answer::Started { handle, process },
        &[&pidfd],
    );
}

fn start() -> Start {
    Start {
        container: "a".repeat(64).try_into().unwrap(),
        pod: "u".to_owned().try_into().unwrap(),
        name: "app".to_owned().try_into().unwrap(),
        user: "ann".to_owned().try_into().unwrap(),
        streams: Streams::Pipes,
        folder: Folder::Container,
    }
}

fn child(script: &str) -> Child {
    Command::new("sh").args(["-c", script]).spawn().unwrap()
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(SOON, what).await.expect("in time")
}

/// Runs a client beside an entry, which a thread plays.
async fn beside<T: Send + 'static>(
    entry: impl FnOnce(Fake) -> T + Send + 'static,
    agent: impl AsyncFnOnce(std::sync::Arc<NodeEntry>, Gauge),
) -> T {
    let (fake, there) = (Fake::listen(), Gauge::default());
    let client = fake.client(&there);
    let entry = spawn_blocking(move || entry(fake));
    let closed = CancellationToken::new();
    let stay = client.stay(&closed);
    let work = async {
        soon(agent(client.clone(), there)).await;
        closed.cancel();
    };
    tokio::join!(stay, work);
    soon(entry).await.unwrap()
}

async fn there(gauge: &Gauge) {
    while gauge.get() == 0 {
        tokio::task::yield_now().await;
    }
}

fn ended(channel: &Channel, handle: Handle, status: Option<Status>) {
    let ended = Message::Ended {
        handle,
        status,
        memory_limit: false,
    };
    channel.send(&ended, &[]).unwrap();
}

fn deadline() -> Instant {
    Instant::now() + SOON
}

#[tokio::test]
async fn answers_find_who_asked_and_ends_their_programs() {
    let entry = |fake: Fake| {
        let (channel, _) = fake.accept();
        let (one, other) = (next(&channel), next(&channel));
        let mut child = child("exit 0");
        let reason = Reason::Paused;
        say(&channel, other.number, Answer::Refused { reason }, &[]);
        started(&channel, one.number, 5, &child);
        let (handle, status) = (Handle(5), Some(Status::Exited(3)));
        ended(&channel, handle, status);
        child.wait().unwrap();
        let signal = next(&channel);
        say(
            &channel,
            signal.number,
            Answer::Reached { processes: 2 },
            &[],
        );
        [signal.action, next(&channel).action]
    };
    let said = beside(entry, async |client, gauge| {
        there(&gauge).await;
        let one = client.start(start(), Vec::new(), deadline());
        let other = client.start(start(), Vec::new(), deadline());
        let (one, other) = tokio::join!(one, other);
        assert!(matches!(other, Err(Error::Refused(Reason::Paused))));
        let program = one.unwrap().program;
        let end = program.end().wait().await;
        assert_eq!(end, Some(Status::Exited(3)));
        assert_eq!(program.signal(Signal::Usr1).await.unwrap(), 2);
        drop(program);
        // The release is sent while the connection lasts.
        while gauge.get() == 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let (handle, signal) = (Handle(5), Signal::Usr1);
    let expect = [
        Action::Signal { handle, signal },
        Action::Release { handle },
    ];
    assert_eq!(said, expect);
}

#[tokio::test]
async fn a_lost_connection_is_made_again_for_what_is_held() {
    let entry = |fake: Fake| {
        let (channel, first) = fake.accept();
        let mut child = child("exit 7");
        for handle in [5, 6] {
            started(&channel, next(&channel).number, handle, &child);
        }
        let _unanswered = next(&channel);
        drop(channel);
        child.wait().unwrap();
        let (channel, second) = fake.accept();
        let (handle, status) = (Handle(5), None);
        ended(&channel, handle, status);
        // Until the agent's end.
        while let Ok(Some(_)) = channel.receive::<Request>() {}
        (first, second)
    };
    let held = beside(entry, async |client, gauge| {
        there(&gauge).await;
        let one = client.start(start(), Vec::new(), deadline()).await.unwrap();
        let other = client.start(start(), Vec::new(), deadline()).await.unwrap();
        let lost = client.start(start(), Vec::new(), deadline()).await;
        assert!(matches!(lost, Err(Error::Lost)), "{lost:?}");
        // Linux tells it from 6.15 on, though another has taken it.
        let status = one.program.end().wait().await;
        assert!(matches!(status, Some(Status::Exited(7)) | None));
        there(&gauge).await;
        drop((one, other));
    })
    .await;
    assert_eq!(held, (vec![], vec![Handle(5), Handle(6)]));
}

#[tokio::test]
async fn the_next_entry_is_lent_the_terminals_that_are_open() {
    let entry = |fake: Fake| {
        let (channel, _) = fake.accept();
        let mut child = child("exit 0");
        for handle in [5, 6] {
            started(&channel, next(&channel).number, handle, &child);
        }
        let _unanswered = next(&channel);
        drop(channel);
        child.wait().unwrap();
        let (channel, _) = fake.accept();
        let lent = channel.receive::<Request>().unwrap().unwrap();
        // Until the agent's end.
        while let Ok(Some(_)) = channel.receive::<Request>() {}
        (lent.0.action, lent.1.len())
    };
    let lent = beside(entry, async |client, gauge| {
        there(&gauge).await;
        let one = client.start(start(), Vec::new(), deadline()).await.unwrap();
        let closed = client.start(start(), Vec::new(), deadline()).await.unwrap();
        let master = || {
            let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
            let master = openpt(flags).unwrap();
            std::sync::Arc::new(watch(master, Interest::READABLE).unwrap())
        };
        let (open, gone) = (master(), master());
        one.program.lend(&open);
        closed.program.lend(&gone);
        drop(gone);
        let lost = client.start(start(), Vec::new(), deadline()).await;
        assert!(matches!(lost, Err(Error::Lost)), "{lost:?}");
        there(&gauge).await;
        drop((one, closed, open));
    })
    .await;
    assert_eq!(lent, (Action::Lend { handle: Handle(5) }, 1));
}

#[tokio::test]
async fn a_start_that_nobody_waits_for_is_released() {
    let entry = |fake: Fake| {
        let (channel, _) = fake.accept();
        let asked = next(&channel);
        let mut child = child("exit 0");
        // By now it was given up.
        let second = next(&channel);
        started(&channel, asked.number, 5, &child);
        child.wait().unwrap();
        let said = next(&channel).action;
        let reason = Reason::Gone;
        say(&channel, second.number, Answer::Refused { reason }, &[]);
        said
    };
    let said = beside(entry, async |client, gauge| {
        there(&gauge).await;
        let soon = Instant::now() + Duration::from_millis(50);
        let given_up = client.start(start(), Vec::new(), soon).await;
        assert!(matches!(given_up, Err(Error::Timeout)));
        let other = client.start(start(), Vec::new(), deadline()).await;
        assert!(matches!(other, Err(Error::Refused(Reason::Gone))));
    })
    .await;
    assert_eq!(said, Action::Release { handle: Handle(5) });
}

#[tokio::test]
async fn who_asks_while_nobody_is_there_hears_so_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let client = NodeEntry::new(folder.path().join("socket"), Gauge::default());
    let closed = CancellationToken::new();
    let asks = async {
        let asked = soon(client.start(start(), Vec::new(), deadline())).await;
        assert!(matches!(asked, Err(Error::Absent)));
        closed.cancel();
    };
    tokio::join!(client.stay(&closed), asks);
    let asked = client.start(start(), Vec::new(), deadline()).await;
    assert!(matches!(asked, Err(Error::Absent)));
}
