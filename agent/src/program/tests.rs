//! Programs of a made-up runtime, which has no kubelet, shell or helper. It does what a test says, and
//! records what it was asked.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use podgate_proto::v1::{Exec, TerminalSize, WorkingDirectory};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio_util::sync::CancellationToken;

use super::journal::Journal;
use super::{HangUps, NotStarted, ProgramServices, Programs};
use crate::exit::Exit;
use crate::grant::Granted;
use crate::metrics::Metrics;
use crate::runtime::running::Error;
use crate::runtime::{self, Choice, HangUp, Running, Runtime, Start, Started, Trace};
use crate::streams::{Event, Input, Lost, Output, Streams};
use podgate_helper::protocol::Signal;

/// What a program does when it is hung up.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ends {
    AtOnce,
    ByKill,
    InDoubt,
    Never,
}

type Asked = Arc<Mutex<Vec<&'static str>>>;

#[derive(Clone, Debug)]
struct Fake {
    ends: Ends,
    /// Whether a start fails, and whether it may have started all the same.
    fails: Option<bool>,
    asked: Asked,
    /// Set once the streams of a program were closed.
    closed: Arc<AtomicBool>,
}

impl Fake {
    fn ask(&self, what: &'static str) {
        self.asked.lock().unwrap().push(what);
    }
}

fn trace() -> Trace {
    serde_json::from_str(r#"{"Wrapped":{"leader":null}}"#).unwrap()
}

#[async_trait]
impl Runtime for Fake {
    fn word(&self) -> &'static str {
        "fake"
    }

    async fn start(&self, start: &Start<'_>) -> Result<Started, runtime::NotStarted> {
        start.record.record(trace()).await;
        self.ask("start");
        let running = Box::new(self.clone());
        match self.fails {
            None => Ok(Started {
                streams: Streams {
                    input: Box::new(Silent),
                    output: Box::new(Closes(Arc::clone(&self.closed))),
                },
                running,
            }),
            Some(doubtful) => Err(runtime::NotStarted {
                error: runtime::Error::NoShell,
                running: doubtful.then_some(running as Box<dyn Running>),
            }),
        }
    }

    fn resume(&self, _: &str, _: &Granted, _: &Trace) -> Box<dyn Running> {
        self.ask("resume");
        // It has no streams.
        self.closed.store(false, Ordering::Relaxed);
        Box::new(self.clone())
    }

    async fn allows(&self, _granted: &Granted) -> Result<(), runtime::Error> {
        Ok(())
    }

    async fn until_gone(&self, _: &Granted) -> String {
        std::future::pending().await
    }

    async fn why_gone(&self, _: &Granted) -> Option<String> {
        None
    }
}

#[async_trait]
impl Running for Fake {
    fn trace(&self) -> Option<Trace> {
        Some(trace())
    }

    async fn settle(&mut self) -> bool {
        self.ask("settle");
        false
    }

    async fn signal(&mut self, _: Signal) -> Result<(), Error> {
        Ok(())
    }

    async fn hang_up(&mut self, _: &mut Option<Streams>) -> Result<Option<HangUp>, Error> {
        self.ask("hang up");
        let long_ago = r#"{"ByKubelet":{"leader":{"pid":7,"start_time":9},"foreground":7,"at":0}}"#;
        match self.ends {
            Ends::AtOnce => Ok(None),
            Ends::ByKill => Ok(Some(serde_json::from_str(long_ago).unwrap())),
            Ends::InDoubt => Err(Error::InDoubt),
            Ends::Never => Err(Error::Failed("it does not answer".into())),
        }
    }

    async fn kill(&mut self, _: &HangUp) -> Result<bool, Error> {
        // Closing the streams lets a runtime kill the program, and the grace would be lost.
        assert!(!self.closed.load(Ordering::Relaxed), "closed in the grace");
        self.ask("kill");
        Ok(true)
    }
}

/// Neither takes nor gives anything.
struct Silent;

#[async_trait]
impl Input for Silent {
    async fn write(&mut self, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }

    async fn ready(&mut self) -> std::io::Result<()> {
        Ok(())
    }

    async fn end(&mut self) -> std::io::Result<()> {
        Ok(())
    }

    fn unwanted(&self) -> CancellationToken {
        CancellationToken::new()
    }

    async fn discard(&mut self) -> std::io::Result<()> {
        Ok(())
    }

    async fn resize(&mut self, _: &TerminalSize) -> std::io::Result<()> {
        Ok(())
    }

    async fn keep_alive(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Says that it was closed.
struct Closes(Arc<AtomicBool>);

impl Drop for Closes {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl Output for Closes {
    async fn next(&mut self) -> Result<Event, Lost> {
        Ok(Event::Exit(Exit::Code(0)))
    }
}

/// Programs of one fake runtime, with a journal in a folder of its own.
struct Node {
    folder: PathBuf,
    asked: Asked,
    programs: Programs,
    stopped: CancellationToken,
    metrics: Arc<Metrics>,
}

impl Node {
    fn new(name: &str, ends: Ends, fails: Option<bool>) -> Self {
        let folder = format!("podgate-program-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        let (journal, _) =
            Journal::open(&folder, 1024 * 1024, (Counter::default(), Gauge::default())).unwrap();
        let (stopped, metrics) = (CancellationToken::new(), Arc::new(Metrics::new()));
        let services = ProgramServices::new(
            Some(journal),
            (Duration::from_secs(5), HangUps::default()),
            Arc::clone(&metrics),
            stopped.clone(),
        );
        let asked = Asked::default();
        let fake = Fake {
            ends,
            fails,
            asked: Arc::clone(&asked),
            closed: Arc::default(),
        };
        let fake: Arc<dyn Runtime> = Arc::new(fake);
        let choice = Choice::new(Arc::clone(&fake), None, metrics.starts.clone());
        let programs = Programs::new(choice, fake, Arc::new(services));
        Self {
            folder,
            asked,
            programs,
            stopped,
            metrics,
        }
    }

    async fn start(&self) -> Result<super::start::Program, NotStarted> {
        let granted = Granted {
            namespace: "prod".into(),
            pod: "web-0".into(),
            uid: "u1".into(),
            container: "main".into(),
            container_id: "containerd://c1".into(),
        };
        self.programs
            .start(
                granted,
                ("ada", "a"),
                (&Exec::default(), WorkingDirectory::Image),
            )
            .await
    }

    fn hangups(&self, outcome: &'static str) -> u64 {
        self.metrics.hangups.get_or_create(&outcome.into()).get()
    }

    /// Checks what was asked of the runtime, and what is in the journal once its thread is done.
    #[track_caller]
    fn asked(&self, expect: &[&str], in_journal: bool) {
        assert_eq!(*self.asked.lock().unwrap(), expect);
        let (page, begun) = (self.folder.join("0.a.json"), Instant::now());
        while page.exists() != in_journal && begun.elapsed() < Duration::from_secs(20) {
            std::thread::yield_now();
        }
        assert_eq!(page.exists(), in_journal);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

#[tokio::test]
async fn a_program_is_in_the_journal_until_it_has_ended() {
    let node = Node::new("ended", Ends::AtOnce, None);
    let program = node.start().await.ok().unwrap();
    node.asked(&["start"], true);
    program.ended();
    node.asked(&["start"], false);
}

#[tokio::test]
async fn a_hang_up_kills_what_is_left_after_the_grace() {
    let node = Node::new("killed", Ends::ByKill, None);
    node.start().await.ok().unwrap().hang_up().await;
    node.asked(&["start", "settle", "hang up", "kill"], false);
    assert_eq!(node.hangups("killed"), 1);
    let node = Node::new("gone", Ends::AtOnce, None);
    node.start().await.ok().unwrap().hang_up().await;
    node.asked(&["start", "settle", "hang up"], false);
    assert_eq!(node.hangups("gone"), 1);
}

#[tokio::test]
async fn what_is_in_doubt_is_let_be() {
    let node = Node::new("doubt", Ends::InDoubt, None);
    node.start().await.ok().unwrap().hang_up().await;
    node.asked(&["start", "settle", "hang up"], false);
    assert_eq!(node.hangups("in_doubt"), 1);
}

#[tokio::test]
async fn what_cannot_be_hung_up_is_left_to_the_next_agent() {
    let node = Node::new("failed", Ends::Never, None);
    let program = node.start().await.ok().unwrap();
    node.stopped.cancel();
    program.hang_up().await;
    node.asked(&["start", "settle", "hang up"], true);
    assert_eq!(node.hangups("failed"), 1);
}

#[tokio::test]
async fn a_failed_start_is_ended_if_it_may_run_all_the_same() {
    let node = Node::new("unstarted", Ends::AtOnce, Some(false));
    node.start().await.err().unwrap().failed.end().await;
    node.asked(&["start"], false);
    let node = Node::new("doubtful", Ends::ByKill, Some(true));
    node.start().await.err().unwrap().failed.end().await;
    node.asked(&["start", "settle", "hang up", "kill"], false);
}

#[tokio::test]
async fn the_next_agent_ends_what_the_journal_has() {
    let node = Node::new("again", Ends::ByKill, None);
    let program = node.start().await.ok().unwrap();
    let page = std::fs::read(node.folder.join("0.a.json")).unwrap();
    drop(program);
    let page: serde_json::Value = serde_json::from_slice(&page).unwrap();
    let entry = serde_json::from_value(page["left"].clone()).unwrap();
    node.programs.recover(entry).await;
    let asked = ["start", "resume", "settle", "hang up", "kill"];
    node.asked(&asked, false);
}
