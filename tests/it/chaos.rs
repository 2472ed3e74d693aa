//! Sessions of every kind while parts are killed, stopped and cut off, disks are full and containers are at
//! their limits, at random moments. Each session ends with all its bytes and its own status, or with an
//! error that is reported, and leaves nothing behind.
//!
//! `PODGATE_CHAOS=300` runs it for this many seconds, `PODGATE_CHAOS_SEED=…` repeats the disturbances.

mod disturb;
mod limits;
mod sessions;
mod still;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use podgate_tests::fixtures::gateway::Part;
use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::real::containerd::PodSpec;
use podgate_tests::real::network::Network;
use rustix::process::Signal;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::disk::Disk;
use sessions::{Ended, Kind};

/// Seconds, where nothing else is asked for.
const SECONDS: u64 = 25;
/// Sessions at once.
const WORKERS: u64 = 8;
const PODS: [&str; 3] = ["bb", "deb", "bare"];
/// How long everything may take to come to rest: a start that a killed agent had asked for is looked
/// for this long.
const REST: Duration = Duration::from_secs(60);
/// How many more descriptors and tasks a part may have than after its first session: links and
/// connections that are kept, a few for each of 16 threads.
const KEPT: i64 = 128;
/// Bytes of memory that a part may have more than after its first session.
const GROWN: u64 = 48 * 1024 * 1024;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_and_nothing_is_left() {
    let seconds = number("PODGATE_CHAOS").unwrap_or(SECONDS);
    let seed = number("PODGATE_CHAOS_SEED").unwrap_or_else(|| fastrand::u64(..));
    eprintln!("chaos of {seconds} s; again with PODGATE_CHAOS_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);

    let network = Arc::new(Network::new().unwrap());
    let disk = Arc::new(Disk::for_audit());
    let (agent, frontdoor) = (disk.audit("agent"), disk.audit("frontdoor"));
    let changes = Changes {
        helper: true,
        network: Some(Arc::clone(&network)),
        agent: format!("hangUpGraceSeconds: 1\n{agent}"),
        frontdoor: format!("limits: {{keepaliveSeconds: 2, keepalives: 2}}\n{frontdoor}"),
        ..Changes::default()
    };
    let mut stand = Stand::containerd(changes).await.unwrap();
    let mut pods = Vec::new();
    for spec in [
        PodSpec::busybox("bb"),
        PodSpec::bash("deb"),
        PodSpec::distroless("bare"),
    ] {
        pods.push(stand.run_pod(spec).await.unwrap());
    }
    let pods = Arc::new(pods);
    let limited = limits::Count::default();
    // The next agent begins its journal on a disk of its own.
    stand.agent.signal(Signal::KILL).unwrap();
    stand.agent.ended().await.unwrap();
    let journal = Disk::for_journal(&stand.dir().join("journal"));
    stand.restart_agent().await.unwrap();
    let limits = limits::Limits::new(Arc::clone(&pods), journal, limited.clone());
    let first = stand.client.run(&[], "bb", "exit 3").await.unwrap();
    assert_eq!(first.status.code(), Some(3), "{first:?}");
    let (frontdoor, agent) = (
        Held::by(&stand.frontdoor).await,
        Held::by(&stand.agent).await,
    );

    let stop = CancellationToken::new();
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let (client, random, stop) = (stand.client.clone(), random.fork(), stop.clone());
        workers.spawn(sessions::run(client, random, limited.clone(), stop));
    }
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let mut disturbed = BTreeMap::new();
    let (network, all) = (Arc::clone(&network), Arc::clone(&pods));
    let mut disturber = disturb::Disturber::new(network, disk, all, limits);
    while Instant::now() < deadline {
        let what = disturber.disturb(&mut stand, &mut random).await;
        eprintln!("{what}");
        *disturbed.entry(what).or_insert(0) += 1;
        sleep(Duration::from_millis(random.u64(300..2500))).await;
        disturber.mend(&stand, Instant::now()).await;
    }
    disturber.mend_all(&stand).await;
    stop.cancel();

    let mut ended: BTreeMap<(Kind, &str), u32> = BTreeMap::new();
    let mut wrong = Vec::new();
    while let Some(worker) = workers.join_next().await {
        for (kind, end) in worker.unwrap() {
            match end {
                Ok(end) => *ended.entry((kind, end.word())).or_insert(0) += 1,
                Err(why) => wrong.push(format!("{kind:?}: {why}")),
            }
        }
    }
    eprintln!("disturbances: {disturbed:?}");
    eprintln!("sessions: {ended:?}");
    assert_eq!(wrong, [""; 0]);
    // The last disturbance is noticed within moments: an audit log is tried again each second.
    let whole = || async {
        let ended = sessions::one(&stand.client, Kind::Command, &mut random.clone()).await;
        (ended == Ok(Ended::Whole)).then_some(())
    };
    eventually("a session that is whole", REST, whole)
        .await
        .unwrap();
    for kind in Kind::ALL {
        let end = sessions::one(&stand.client, kind, &mut random).await;
        let sound = if matches!(kind, Kind::Left | Kind::LeftUnread) {
            Ended::Killed
        } else {
            Ended::Whole
        };
        assert_eq!(end, Ok(sound), "{kind:?}, with nothing amiss");
    }

    for (pod, name) in pods.iter().zip(PODS) {
        let id = pod.container_id("app").unwrap();
        let alone = |all: &[(u32, String)]| (all.len() == 1).then_some(());
        if let Err(error) = stand.until_processes(REST, id, alone).await {
            panic!("{name}: {error}");
        }
    }
    stand.until_quiet(REST).await.unwrap();
    let over = <[String]>::is_empty;
    stand.until_journal(REST, over).await.unwrap();
    timeout(REST, stand.kubelet.until_open_execs(0))
        .await
        .expect("the kubelet's last exec stays");
    frontdoor.still(&stand.frontdoor).await;
    agent.still(&stand.agent).await;
}

/// What a part holds of its machine.
#[derive(Debug)]
struct Held {
    descriptors: i64,
    tasks: i64,
    memory: u64,
}

impl Held {
    async fn by(part: &Part) -> Self {
        let (_, metrics) = part.admin("/metrics").await.unwrap();
        let mut lines = metrics.lines().filter(|line| !line.starts_with('#'));
        let tasks = lines.find_map(|line| line.split_once("_tasks "));
        Self {
            descriptors: part.descriptors().unwrap() as i64,
            tasks: tasks.unwrap().1.parse().unwrap(),
            memory: part.resident().unwrap(),
        }
    }

    /// Waits until a part holds no more than this, but for what it may keep.
    async fn still(&self, part: &Part) {
        let look = || async {
            let now = Self::by(part).await;
            let still = now.descriptors <= self.descriptors + KEPT
                && now.tasks <= self.tasks + KEPT
                && now.memory <= self.memory + GROWN;
            still.then_some(now)
        };
        match eventually("rest", REST, look).await {
            Ok(now) => eprintln!("{self:?} became {now:?}"),
            Err(_) => panic!(
                "{self:?} became {:?}\n{}",
                Self::by(part).await,
                part.log().join("\n")
            ),
        }
    }
}
