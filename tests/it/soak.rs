//! Short sessions of all kinds, one after the other: they give back everything that they used. A
//! thousand by default, or as many as `PODGATE_SOAK` says. Prints what was measured.

use std::time::Duration;

use podgate_tests::fixtures::gateway::Part;
use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::instruments::client::{Connection, Login};
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::instruments::program::Input;
use tokio::time::timeout;

/// Sessions where nobody asks for more.
const SESSIONS: usize = 1_000;
/// Sessions before the first look: each core has its connections, and the allocator its pages.
const WARM_UP: usize = 200;
/// Sessions of a connection.
const OF_CONNECTION: usize = 8;
/// Times that memory is looked at.
const SAMPLES: usize = 20;
/// How much a part may grow on its allocator's account, whatever the number of sessions.
const SLACK: f64 = 4.0 * 1024.0 * 1024.0;
/// Growth per session beyond that, in bytes, which would be a leak: less than any session's own
/// buffers.
const LEAK: f64 = 32.0;
/// For a session, and for all of it to be given back.
const SOON: Duration = Duration::from_secs(30);

/// Runs session number `n` of its kind to its end, and checks it.
async fn session(n: usize, there: &Connection, absent: &Connection) {
    let (connection, command, input, expect) = match n % 5 {
        0 | 1 => (there, "true".to_owned(), None, (String::new(), 0)),
        2 => (
            there,
            format!("exit {}", n % 251),
            None,
            (String::new(), n as u32 % 251),
        ),
        3 => {
            let text = format!("small input {n}\n");
            (there, "cat".to_owned(), Some(text.clone()), (text, 0))
        }
        // Another test checks the words.
        _ => (
            absent,
            "true".to_owned(),
            None,
            ("podgate: no".to_owned(), 255),
        ),
    };
    let mut session = connection.exec(&command).await.unwrap();
    if let Some(input) = input {
        session.input.write(input.into()).await.unwrap();
        session.input.end().await.unwrap();
    }
    let (said, status) = session.wait().await.unwrap();
    let mut said = String::from_utf8(said).unwrap();
    if status == 255 {
        said.truncate("podgate: no".len());
    }
    assert_eq!((said, status), expect, "session {n}");
}

/// Sessions `range`, and the end of their connections.
async fn sessions(stand: &Stand, range: std::ops::Range<usize>) {
    let login = |target| Login::to(stand, target).unwrap();
    let (there, absent) = (login("demo"), login("absent"));
    for begin in range.clone().step_by(OF_CONNECTION) {
        // In turn, so that each core has sessions of both.
        let connections = if (begin / OF_CONNECTION).is_multiple_of(2) {
            let there = there.connect().await.unwrap();
            (there, absent.connect().await.unwrap())
        } else {
            let absent = absent.connect().await.unwrap();
            (there.connect().await.unwrap(), absent)
        };
        for n in begin..range.end.min(begin + OF_CONNECTION) {
            let session = session(n, &connections.0, &connections.1);
            timeout(SOON, session).await.expect("a session hangs");
        }
        connections.0.close().await;
        connections.1.close().await;
    }
}

/// Descriptors and threads.
fn held(part: &Part) -> (usize, usize) {
    (part.descriptors().unwrap(), part.threads().unwrap())
}

/// Descriptors and threads once they have stayed the same for a while: connections that are opened
/// ahead may come at any time.
async fn settled(part: &Part) -> (usize, usize) {
    let (mut last, mut same) = (held(part), 0);
    let look = || {
        let now = held(part);
        same = if now == last { same + 1 } else { 0 };
        last = now;
        std::future::ready((same == 100).then_some(now))
    };
    eventually("the same descriptors", SOON, look)
        .await
        .unwrap()
}

/// Bytes a session by least squares, of (sessions, bytes).
fn slope(samples: &[(f64, f64)]) -> f64 {
    let count = samples.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|sample| sample.0), mean(|sample| sample.1));
    let both: f64 = samples.iter().map(|s| (s.0 - x) * (s.1 - y)).sum();
    both / samples.iter().map(|s| (s.0 - x).powi(2)).sum::<f64>()
}

/// What a part used as sessions went by.
#[derive(Default)]
struct Samples {
    memory: Vec<(f64, f64)>,
    held: Vec<(usize, usize)>,
}

impl Samples {
    fn take(&mut self, sessions: usize, part: &Part) {
        let bytes = part.resident().unwrap();
        self.memory.push((sessions as f64, bytes as f64));
        self.held.push(held(part));
    }

    fn kib(&self) -> Vec<u64> {
        let kib = self.memory.iter().map(|sample| sample.1 / 1024.0);
        kib.map(|kib| kib as u64).collect()
    }

    fn print(&self, name: &str) {
        let slope = slope(&self.memory);
        println!("{name}: {slope:.1} bytes a session; KiB: {:?}", self.kib());
        println!("{name}: descriptors and threads: {:?}", self.held);
    }

    /// Holds memory to what it may have grown.
    fn check(&self, name: &str) {
        let (first, last) = (self.memory[0], self.memory[self.memory.len() - 1]);
        let may = SLACK + LEAK * (last.0 - first.0);
        let grown = last.1 - first.1;
        assert!(grown < may, "{name} grows: {:?} KiB", self.kib());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_leave_nothing_behind() {
    let asked = std::env::var("PODGATE_SOAK").ok();
    let count = asked.map_or(SESSIONS, |count| count.parse().expect("PODGATE_SOAK"));
    let workers = "workers: 2\n".to_owned();
    let changes = Changes {
        agent: workers.clone(),
        frontdoor: workers,
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    let parts = [&stand.frontdoor, &stand.agent];

    sessions(&stand, 0..WARM_UP).await;
    stand.until_quiet(SOON).await.unwrap();
    let before = [settled(parts[0]).await, settled(parts[1]).await];
    println!("descriptors and threads of frontdoor and agent: {before:?}");

    let mut samples: [Samples; 2] = Default::default();
    let step = count.div_ceil(SAMPLES).max(1);
    for begin in (0..count).step_by(step) {
        let end = count.min(begin + step);
        sessions(&stand, begin..end).await;
        for (samples, part) in samples.iter_mut().zip(parts) {
            samples.take(end, part);
        }
    }
    stand.until_quiet(SOON).await.unwrap();
    for (samples, name) in samples.iter().zip(["frontdoor", "agent"]) {
        samples.print(name);
    }
    for ((part, before), name) in parts.iter().zip(before).zip(["frontdoor", "agent"]) {
        let back = || std::future::ready((held(part) == before).then_some(()));
        if eventually("descriptors and threads", SOON, back)
            .await
            .is_err()
        {
            panic!("{name} held {before:?}, and holds {:?}", held(part));
        }
    }
    for (samples, name) in samples.iter().zip(["frontdoor", "agent"]) {
        samples.check(name);
    }
    assert_eq!(stand.embedded.as_ref().unwrap().running().len(), 0);
    assert_eq!(stand.kubelet.open_execs(), 0);
}
