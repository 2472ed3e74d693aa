//! An upgrade of the agents: a new one comes beside the old one of its node, and takes the new sessions while
//! the old one drains. Both have one journal.

use std::time::Duration;

use podgate_tests::fixtures::entry::Entry;
use podgate_tests::fixtures::gateway::Part;
use podgate_tests::fixtures::stand::{Changes, NODE_IP, Stand};
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::instruments::terminal::Terminal;
use podgate_tests::real::containerd::{PodSpec, RunningPod};
use rustix::process::Signal;

const SOON: Duration = Duration::from_secs(30);
/// The new agent's address.
const NEW_IP: &str = "127.0.0.2";
/// When the agents' pods were made.
const CREATED: [i64; 2] = [1_800_000_000, 1_800_000_100];

/// A node with two agents, each with as many sessions of its user as it takes.
struct Upgrade {
    stand: Stand,
    pod: RunningPod,
    /// Sessions of the old agent: a shell, and one that does nothing.
    old: [Terminal; 2],
    agent: Part,
    entry: Option<Entry>,
    /// Sessions of the new agent.
    new: [Terminal; 2],
}

fn says(words: &str) -> [String; 1] {
    [format!("echo {words}; exec sleep 7300")]
}

async fn terminal(stand: &Stand, command: &[String]) -> Terminal {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    stand.client.terminal("bb", &words, 24, 80).unwrap()
}

async fn shell(stand: &Stand) -> Terminal {
    let mut shell = terminal(stand, &[]).await;
    shell.send("echo h''ere\n").await.unwrap();
    shell.expect("here").await.unwrap();
    shell
}

async fn sleeper(stand: &Stand, words: &str) -> Terminal {
    let mut sleeper = terminal(stand, &says(words)).await;
    sleeper.expect(words).await.unwrap();
    sleeper
}

impl Upgrade {
    async fn start() -> Self {
        let limits = "sessions: 4\nsessionsPerUser: 2\ndrainSeconds: 5\nhangUpGraceSeconds: 1\n";
        let changes = Changes {
            agent: limits.into(),
            agent_pods: true,
            helper: true,
            ..Changes::default()
        };
        let stand = Stand::containerd(changes).await.unwrap();
        let pod = stand.run_pod(PodSpec::busybox("bb")).await.unwrap();
        let agent = |index: usize, ip| {
            let name = format!("agent-{index}");
            Stand::agent_pod(&name, ip).created(CREATED[index])
        };
        stand.cluster.add(agent(0, NODE_IP));
        until_served(&stand, &stand.agent).await;
        let old = [shell(&stand).await, sleeper(&stand, "old").await];
        let output = stand.client.run(&[], "bb", "true").await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("the limit of sessions per user"), "{said}");

        let (new, entry) = stand.another_agent(NEW_IP).await.unwrap();
        stand.cluster.add(agent(1, NEW_IP));
        until_served(&stand, &new).await;
        stand.cluster.add(agent(0, NODE_IP).deleted());
        let sessions = [shell(&stand).await, sleeper(&stand, "new").await];
        for agent in [&stand.agent, &new] {
            let both = ["podgate_agent_sessions_active 2"];
            agent.counts(SOON, &both).await.unwrap();
        }
        Self {
            stand,
            pod,
            old,
            agent: new,
            entry,
            new: sessions,
        }
    }

    /// Waits until so many of the sessions that do nothing run.
    async fn sleepers(&self, expect: usize) {
        let id = self.pod.container_id("app").unwrap();
        let look = |all: &[(u32, String)]| {
            let sleepers = all.iter().filter(|(_, line)| line == "sleep 7300");
            (sleepers.count() == expect).then_some(())
        };
        self.stand.until_processes(SOON, id, look).await.unwrap();
    }

    async fn nothing_is_left(self) {
        let [mut shell, _sleeper] = self.new;
        shell.send("echo s''till; exit 4\n").await.unwrap();
        shell.expect("still").await.unwrap();
        assert_eq!(shell.end().await.unwrap().1, 4);
        let one = ["podgate_agent_sessions_active 1"];
        self.agent.counts(SOON, &one).await.unwrap();
    }
}

/// Runs commands until this agent has served one.
async fn until_served(stand: &Stand, agent: &Part) {
    let look = || async {
        stand.client.run(&[], "bb", "true").await.ok()?;
        let (_, metrics) = agent.admin("/metrics").await.ok()?;
        let served = "podgate_agent_session_start_seconds_count 1";
        metrics.lines().any(|line| line == served).then_some(())
    };
    eventually("a session of this agent", SOON, look)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_agent_drains_beside_the_new_one() {
    let mut upgrade = Upgrade::start().await;
    upgrade.sleepers(2).await;
    upgrade.stand.agent.signal(Signal::TERM).unwrap();
    let [shell, sleeper] = &mut upgrade.old;
    shell.send("echo dr''ained; exit 3\n").await.unwrap();
    shell.expect("drained").await.unwrap();
    sleeper.expect("podgate: ").await.unwrap();
    assert!(upgrade.stand.agent.ended().await.unwrap().success());
    // What the old one has ended is gone, and nothing of the new one's.
    upgrade.sleepers(1).await;
    if let Some(entry) = &mut upgrade.stand.entry {
        entry.terminate().unwrap();
        assert!(entry.ended().await.unwrap().success());
        assert_eq!(entry.journal().len(), 2, "the new one's");
    }
    upgrade.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_old_agent_has_left_is_ended_and_nothing_of_the_new_one() {
    let mut upgrade = Upgrade::start().await;
    upgrade.sleepers(2).await;
    upgrade.stand.agent.signal(Signal::KILL).unwrap();
    upgrade.stand.agent.ended().await.unwrap();
    // Its node entry goes with its pod.
    if let Some(entry) = &mut upgrade.stand.entry {
        entry.terminate().unwrap();
    }
    upgrade.sleepers(1).await;
    let entry = upgrade.entry.take();
    upgrade.nothing_is_left().await;
    drop(entry);
}
