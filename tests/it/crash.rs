//! A part is killed in mid-session. What ran is ended by a part that notices or by the part's
//! successor, and no other program is ended.

use std::process::Stdio;
use std::time::Duration;

use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::instruments::terminal::Terminal;
use podgate_tests::real::containerd::{PodSpec, RunningPod};
use rustix::process::Signal;
use tokio::process::Child;

const SOON: Duration = Duration::from_secs(15);
/// What the sessions run, and others beside them.
const WORD: &str = "sleep 7100";

/// Sessions of each kind in two pods, and in each pod an exec of someone else with the same words.
struct Running {
    stand: Stand,
    pods: Vec<RunningPod>,
    ssh: Vec<Child>,
    terminals: Vec<Terminal>,
    others: Vec<Child>,
}

impl Running {
    async fn start(helper: bool) -> Self {
        let changes = Changes {
            helper,
            agent: "hangUpGraceSeconds: 1\ndrainSeconds: 1\n".into(),
            ..Changes::default()
        };
        let stand = Stand::containerd(changes).await.unwrap();
        let mut specs = vec![PodSpec::busybox("bb"), PodSpec::bash("deb")];
        // Without a shell in the image it takes the helper.
        if helper {
            specs.push(PodSpec::distroless("bare"));
        }
        let mut this = Self {
            stand,
            pods: Vec::new(),
            ssh: Vec::new(),
            terminals: Vec::new(),
            others: Vec::new(),
        };
        for spec in specs {
            let bare = spec.name == "bare";
            let name = spec.name.clone();
            let pod = this.stand.run_pod(spec).await.unwrap();
            this.other(&pod, bare);
            // It was started before ours, so ours is known for sure.
            this.run(&pod, 1).await;
            let client = &this.stand.client;
            let command = if bare { "/probe sleep 7100" } else { WORD };
            for _ in 0..2 {
                let mut ssh = client.ssh(&[], &name);
                let ssh = ssh.arg(command).stdin(Stdio::piped()).spawn();
                this.ssh.push(ssh.unwrap());
            }
            let words: Vec<&str> = command.split(' ').collect();
            this.terminals
                .push(client.terminal(&name, &words, 24, 80).unwrap());
            this.pods.push(pod);
        }
        for pod in &this.pods {
            this.run(pod, 4).await;
        }
        let sessions = 3 * this.pods.len();
        let begun = format!("podgate_agent_sessions_active {sessions}");
        this.stand.agent.counts(SOON, &[&begun]).await.unwrap();
        if helper && !this.is_direct() {
            this.in_journal(r#""leader":{"container""#, 3).await;
        }
        this
    }

    /// Whether the sessions run by the node entry. Nothing of them is in the agent's journal then: the
    /// entry hangs up what its agent has held.
    fn is_direct(&self) -> bool {
        self.stand.entry.is_some()
    }

    fn other(&mut self, pod: &RunningPod, bare: bool) {
        let containerd = self.stand.containerd.as_ref().unwrap();
        let words: &[&str] = if bare {
            &["/probe", "sleep", "7100"]
        } else {
            &["sleep", "7100"]
        };
        let id = format!("other-{}", pod.name);
        let other = containerd.exec_beside(pod.container_id("app").unwrap(), &id, words);
        self.others.push(other.unwrap());
    }

    /// Waits until so many programs run the words.
    async fn run(&self, pod: &RunningPod, expect: usize) {
        self.count(pod, expect, |line| {
            line == WORD || line == "/probe sleep 7100"
        })
        .await;
    }

    async fn count(&self, pod: &RunningPod, expect: usize, wanted: impl Fn(&str) -> bool) {
        let id = pod.container_id("app").unwrap();
        let look = |all: &[(u32, String)]| {
            let found = all.iter().filter(|(_, line)| wanted(line)).count();
            (found == expect).then_some(())
        };
        if let Err(error) = self.stand.until_processes(SOON, id, look).await {
            panic!("not {expect} in {}: {error}", pod.name);
        }
    }

    /// Waits until so many sessions in the journal have this.
    async fn in_journal(&self, text: &str, expect: usize) {
        let fits = |all: &[String]| {
            let found = all.iter().filter(|entry| entry.contains(text)).count();
            found == expect
        };
        if let Err(error) = self.stand.until_journal(SOON, fits).await {
            panic!("not {expect} of {text}: {error}");
        }
    }

    /// Waits until all of ours have ended, and checks that all of the others still run.
    async fn only_others_are_left(&mut self) {
        for pod in &self.pods {
            // A shell in front of the words would be a leftover of ours, too.
            self.count(pod, 1, |line| line.contains(WORD)).await;
        }
        for other in &mut self.others {
            assert!(other.try_wait().unwrap().is_none(), "another's session");
        }
        self.nothing_is_in_a_journal().await;
    }

    async fn nothing_is_in_a_journal(&self) {
        self.in_journal("session", 0).await;
        if let Some(entry) = &self.stand.entry {
            let empty = || std::future::ready(entry.journal().is_empty().then_some(()));
            let empty = eventually("an empty journal of the node entry", SOON, empty);
            empty.await.unwrap();
        }
    }
}

async fn an_agent_that_is_killed_leaves_its_sessions_to_the_next(helper: bool) {
    let mut running = Running::start(helper).await;
    running.stand.agent.signal(Signal::KILL).unwrap();
    running.stand.agent.ended().await.unwrap();
    for mut ssh in std::mem::take(&mut running.ssh) {
        assert_eq!(ssh.wait().await.unwrap().code(), Some(255));
    }
    for terminal in std::mem::take(&mut running.terminals) {
        let (text, status) = terminal.end().await.unwrap();
        assert_eq!(status, 255, "{text}");
        assert!(text.contains("podgate: "), "{text}");
    }
    running.stand.restart_agent().await.unwrap();
    running.only_others_are_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_killed_leaves_its_sessions_to_the_next_by_the_image() {
    an_agent_that_is_killed_leaves_its_sessions_to_the_next(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_killed_leaves_its_sessions_to_the_next_by_the_helper() {
    an_agent_that_is_killed_leaves_its_sessions_to_the_next(true).await;
}

async fn an_agent_that_is_killed_in_mid_hang_up_leaves_the_kill_to_the_next(helper: bool) {
    let mut running = Running::start(helper).await;
    let mut stubborn = running.stand.client.ssh(&[], "bb");
    stubborn
        .arg("trap '' HUP; sleep 7100")
        .stdin(Stdio::piped());
    let mut stubborn = stubborn.spawn().unwrap();
    running.run(&running.pods[0], 5).await;
    stubborn.kill().await.unwrap();
    if running.is_direct() {
        let ends = |line: &serde_json::Value| line["message"] == "session ends";
        running.stand.agent.wait_log(SOON, ends).await.unwrap();
    } else {
        running.in_journal(r#""begun":{"#, 1).await;
    }
    running.stand.agent.signal(Signal::KILL).unwrap();
    running.stand.agent.ended().await.unwrap();
    running.stand.restart_agent().await.unwrap();
    running.only_others_are_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_killed_in_mid_hang_up_leaves_the_kill_to_the_next_by_the_image() {
    an_agent_that_is_killed_in_mid_hang_up_leaves_the_kill_to_the_next(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_killed_in_mid_hang_up_leaves_the_kill_to_the_next_by_the_helper() {
    an_agent_that_is_killed_in_mid_hang_up_leaves_the_kill_to_the_next(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frontdoor_that_is_killed_leaves_nothing() {
    let mut running = Running::start(true).await;
    running.stand.frontdoor.signal(Signal::KILL).unwrap();
    for mut ssh in std::mem::take(&mut running.ssh) {
        assert_eq!(ssh.wait().await.unwrap().code(), Some(255));
    }
    running.only_others_are_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_helper_that_is_killed_disturbs_no_session() {
    let mut running = Running::start(true).await;
    let mut shell = running.stand.client.terminal("bb", &[], 24, 80).unwrap();
    shell.send("echo h''ere\n").await.unwrap();
    shell.expect("here").await.unwrap();
    running
        .stand
        .helper
        .as_mut()
        .unwrap()
        .restart()
        .await
        .unwrap();
    shell.send("echo st''ill; exit 4\n").await.unwrap();
    shell.expect("still").await.unwrap();
    assert_eq!(shell.end().await.unwrap().1, 4);
    for ssh in &mut running.ssh {
        assert!(ssh.try_wait().unwrap().is_none());
        ssh.start_kill().unwrap();
    }
    running.terminals.clear();
    running.only_others_are_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_helper_or_an_entry_that_is_away_is_waited_for() {
    let mut running = Running::start(true).await;
    let helper = running.stand.helper.take().unwrap();
    let socket = helper.socket().to_owned();
    drop(helper);
    if let Some(entry) = &mut running.stand.entry {
        entry.kill().unwrap();
    }
    for ssh in &mut running.ssh {
        ssh.start_kill().unwrap();
    }
    running.terminals.clear();
    let again = |line: &serde_json::Value| line["message"] == "hang-up is tried again";
    running.stand.agent.wait_log(SOON, again).await.unwrap();
    let helper = podgate_tests::fixtures::helper::Helper::start(&socket)
        .await
        .unwrap();
    if let Some(entry) = &mut running.stand.entry {
        entry.start_again().unwrap();
    }
    running.only_others_are_left().await;
    drop(helper);
}

/// The first process of the session whose command begins with `sleep 7101`: the wrapper in front of its
/// shell, or by the node entry that shell itself.
async fn first(running: &Running, pod: &RunningPod) -> u32 {
    let id = pod.container_id("app").unwrap();
    let look = |all: &[(u32, String)]| {
        let (pid, _) = all
            .iter()
            .find(|(_, line)| line.ends_with("sleep 7101; sleep 7100"))?;
        if running.is_direct() {
            return Some(*pid);
        }
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, rest) = stat.rsplit_once(") ")?;
        let parent = rest.split(' ').nth(1)?.parse().ok()?;
        let is_wrapper = |(pid, line): &(u32, String)| *pid == parent && line.contains("podgate:");
        all.iter().any(is_wrapper).then_some(parent)
    };
    running.stand.until_processes(SOON, id, look).await.unwrap()
}

/// A runtime kills only the process that it has started, as soon as the connection breaks. This does
/// the same. By the node entry there is no such connection; the session goes on as long as something
/// has its output, as under sshd.
async fn what_a_killed_wrapper_has_left_is_ended(helper: bool, by_the_next_agent: bool) {
    let mut running = Running::start(helper).await;
    for name in ["bb", "deb"] {
        let mut ssh = running.stand.client.ssh(&[], name);
        let command = "sleep 7101; sleep 7100";
        let ssh = ssh.arg(command).stdin(Stdio::piped()).spawn().unwrap();
        running.ssh.push(ssh);
    }
    let sleeps = |line: &str| line == "sleep 7101";
    for pod in &running.pods[..2] {
        running.count(pod, 1, sleeps).await;
    }
    if !running.is_direct() {
        let expect = 3 * running.pods.len() + 2;
        running.in_journal(r#""start_time""#, expect).await;
    }
    running.stand.kubelet.faults().set_frozen(true);
    for pod in &running.pods[..2] {
        let first = first(&running, pod).await;
        let pid = rustix::process::Pid::from_raw(first as i32).unwrap();
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
        let id = pod.container_id("app").unwrap();
        let gone = |all: &[(u32, String)]| all.iter().all(|(one, _)| *one != first).then_some(());
        running.stand.until_processes(SOON, id, gone).await.unwrap();
        running.count(pod, 1, sleeps).await;
    }
    if by_the_next_agent {
        running.stand.agent.signal(Signal::KILL).unwrap();
        running.stand.agent.ended().await.unwrap();
        running.stand.kubelet.faults().set_frozen(false);
        running.stand.restart_agent().await.unwrap();
    } else {
        running.stand.kubelet.faults().set_frozen(false);
        running.stand.kubelet.cut().await.unwrap();
        if running.is_direct() {
            for ssh in &mut running.ssh {
                ssh.start_kill().unwrap();
            }
            running.terminals.clear();
        }
    }
    for pod in &running.pods[..2] {
        running.count(pod, 0, sleeps).await;
    }
    running.only_others_are_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_wrapper_has_left_is_ended_by_the_image() {
    what_a_killed_wrapper_has_left_is_ended(false, false).await;
    what_a_killed_wrapper_has_left_is_ended(false, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_wrapper_has_left_is_ended_by_the_helper() {
    what_a_killed_wrapper_has_left_is_ended(true, false).await;
    what_a_killed_wrapper_has_left_is_ended(true, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_helper_or_an_entry_that_is_told_to_end_serves_the_agents_last_hang_up() {
    let mut running = Running::start(true).await;
    let helper = running.stand.helper.as_ref().unwrap();
    helper.signal(Signal::TERM).unwrap();
    if let Some(entry) = &running.stand.entry {
        entry.terminate().unwrap();
    }
    running.stand.agent.signal(Signal::TERM).unwrap();
    let ended = running.stand.agent.ended().await.unwrap();
    assert!(ended.success());
    for pod in &running.pods {
        running.count(pod, 1, |line| line.contains(WORD)).await;
    }
    running.nothing_is_in_a_journal().await;
    let helper = running.stand.helper.as_mut().unwrap();
    assert!(helper.ended().await.unwrap().success());
    if let Some(entry) = &mut running.stand.entry {
        assert!(entry.ended().await.unwrap().success());
    }
}
