//! Whichever ends first, what was started is hung up as a terminal hangs up, what detached itself lives
//! on, and nothing stays behind.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use podgate_node_entry::ids::Handle;
use podgate_node_entry::launch::Program as What;
use podgate_node_entry::status::Status;
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::instruments::holder::{Holder, command, launch, of, with_terminal, words};
use podgate_tests::instruments::threads;
use podgate_tests::real::containerd::PodSpec;

use super::{Stage, field, stage, stage_with};

const SOON: Duration = Duration::from_secs(30);

async fn only_these_are_left(stage: &Stage, expect: &[&str]) {
    let look = || {
        let others = stage.others();
        let same =
            others.len() == expect.len() && others.iter().all(|it| expect.contains(&it.1.as_str()));
        std::future::ready(same.then_some(()))
    };
    if let Err(error) = eventually("the container's processes", SOON, look).await {
        panic!("{error}: {:?}, {}", stage.others(), stage.entry.log());
    }
}

/// An entry of the journal goes after the last process that it tells of.
async fn the_journal_empties(stage: &Stage) {
    let look = || std::future::ready(stage.entry.journal().is_empty().then_some(()));
    eventually("an empty journal", SOON, look).await.unwrap();
}

async fn runs(stage: &Stage, line: &str) {
    let look = || std::future::ready(stage.others().iter().any(|it| it.1 == line).then_some(()));
    eventually(line, SOON, look).await.unwrap();
}

#[tokio::test]
async fn programs_of_an_agent_that_is_gone_are_hung_up() {
    let mut stage = stage_with(PodSpec::busybox("agent"), &["--grace", "2"]).await;
    let start = of(&stage.pod).unwrap();
    // One saves, one bears it and is killed, one has detached itself.
    let script = "exec 2>/dev/null; trap 'sleep 1; echo saved >/tmp/saved; exit' HUP; sleep 1001 </dev/null >/dev/null 2>&1 & \
                  while :; do sleep 0.1; done";
    let _saves = stage.holder.run(start.clone(), &command(script)).unwrap();
    let _bears = stage
        .holder
        .run(
            start.clone(),
            &command("trap '' HUP; sleep 1002; sleep 1003"),
        )
        .unwrap();
    let terminal = with_terminal(&stage.pod).unwrap();
    let _shell = stage
        .holder
        .run(terminal, &command("sleep 1004; sleep 1005"))
        .unwrap();
    for line in ["sleep 1001", "sleep 1002", "sleep 1004"] {
        runs(&stage, line).await;
    }
    drop((_saves, _bears, _shell));
    stage.holder = Holder::connect(&stage.entry.socket(), &[]).unwrap();
    only_these_are_left(&stage, &["sleep 1001"]).await;
    assert_eq!(stage.in_pod("cat /tmp/saved").await, "saved\n");
    the_journal_empties(&stage).await;
    assert!(
        stage.entry.log().contains("hung up"),
        "{}",
        stage.entry.log()
    );
}

#[tokio::test]
async fn a_client_that_is_gone_has_a_hang_up_a_grace_and_a_kill() {
    let mut stage = stage(PodSpec::busybox("client")).await;
    let start = of(&stage.pod).unwrap();
    let script = "trap 'echo hup; trap - HUP' HUP; echo ready; while :; do sleep 0.1; done";
    let mut program = stage.holder.run(start.clone(), &command(script)).unwrap();
    let mut out = std::io::BufReader::new(program.stdout.take().unwrap());
    let mut line = |expect: &str| {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        assert_eq!(line, expect);
    };
    line("ready\n");
    assert!(stage.holder.hang_up(program.handle).unwrap() > 0);
    line("hup\n");
    assert!(stage.holder.kill(program.handle).unwrap() > 0);
    let killed = Status::Signalled {
        signal: 9,
        core: false,
    };
    assert_eq!(stage.holder.ended(program.handle).unwrap(), Some(killed));
    only_these_are_left(&stage, &[]).await;

    // A terminal is closed by both who have it; what another one has is not touched.
    let terminal = with_terminal(&stage.pod).unwrap();
    let shell = stage
        .holder
        .run(terminal.clone(), &command("sleep 1001; sleep 1002"))
        .unwrap();
    let other = stage
        .holder
        .run(terminal, &command("sleep 1003; sleep 1004"))
        .unwrap();
    runs(&stage, "sleep 1001").await;
    runs(&stage, "sleep 1003").await;
    let (handle, before) = (shell.handle, Instant::now());
    drop(shell);
    stage.holder.hang_up(handle).unwrap();
    assert!(matches!(
        stage.holder.ended(handle).unwrap(),
        Some(Status::Signalled { signal: 1, .. })
    ));
    assert!(
        before.elapsed() < Duration::from_secs(2),
        "{:?}",
        before.elapsed()
    );
    only_these_are_left(&stage, &["sleep 1003", "sh -c sleep 1003; sleep 1004"]).await;
    let handle = other.handle;
    drop(other);
    stage.holder.hang_up(handle).unwrap();
    only_these_are_left(&stage, &[]).await;
}

/// A shell that hears the hang-up, a job in its foreground that does not, and one in its background.
async fn with_a_stubborn_job(stage: &mut Stage) -> (Handle, File) {
    let terminal = with_terminal(&stage.pod).unwrap();
    let shell = stage.holder.run(terminal, &launch(What::Shell)).unwrap();
    let mut master = shell.master.unwrap();
    let line = b"(trap '' HUP; exec sleep 1001) & (trap '' HUP; exec sleep 1002)\n";
    master.write_all(line).unwrap();
    for line in ["sleep 1001", "sleep 1002"] {
        runs(stage, line).await;
    }
    (shell.handle, master)
}

#[tokio::test]
async fn a_job_in_the_foreground_of_a_terminal_that_bears_the_hang_up_is_killed() {
    let arguments = ["--grace", "1"];
    let mut stage = stage_with(PodSpec::busybox("stubborn"), &arguments).await;
    // Its client is gone.
    let (handle, master) = with_a_stubborn_job(&mut stage).await;
    drop(master);
    assert!(stage.holder.hang_up(handle).unwrap() > 0);
    stage.holder.ended(handle).unwrap();
    only_these_are_left(&stage, &["sleep 1001", "sleep 1002"]).await;
    assert_eq!(stage.holder.kill(handle).unwrap(), 1);
    only_these_are_left(&stage, &["sleep 1001"]).await;

    // Its client is gone, and then its entry.
    let (handle, master) = with_a_stubborn_job(&mut stage).await;
    drop(master);
    stage.holder.hang_up(handle).unwrap();
    stage.holder.ended(handle).unwrap();
    stage.holder = stage.entry.restart_holding(&[handle]).await.unwrap();
    assert_eq!(stage.holder.kill(handle).unwrap(), 1);
    only_these_are_left(&stage, &["sleep 1001"; 2]).await;

    // Its agent is gone.
    let (_, master) = with_a_stubborn_job(&mut stage).await;
    drop(master);
    stage.holder = Holder::connect(&stage.entry.socket(), &[]).unwrap();
    only_these_are_left(&stage, &["sleep 1001"; 3]).await;

    // Its entry is gone, and then its agent, which has lent the next one its terminal.
    let (handle, master) = with_a_stubborn_job(&mut stage).await;
    stage.holder = stage.entry.restart_holding(&[handle]).await.unwrap();
    stage.holder.lend(handle, &master).unwrap();
    drop(master);
    stage.holder = Holder::connect(&stage.entry.socket(), &[]).unwrap();
    only_these_are_left(&stage, &["sleep 1001"; 4]).await;
    the_journal_empties(&stage).await;
}

/// No thread of the starter is busy: each waits for something.
async fn rests(stage: &Stage) {
    let [starter, _] = stage.entry.pids().unwrap();
    let waits = || {
        let states = threads::states(starter).unwrap();
        let all = states.iter().flatten().all(|&state| state == 'S');
        std::future::ready(all.then_some(()))
    };
    eventually("threads that wait", SOON, waits).await.unwrap();
}

#[tokio::test]
async fn it_ends_when_asked_only_once_its_agent_is_gone_and_all_is_hung_up() {
    let mut stage = stage_with(PodSpec::busybox("asked"), &["--grace", "1"]).await;
    let start = of(&stage.pod).unwrap();
    let program = stage
        .holder
        .run(
            start.clone(),
            &command("trap '' HUP; sleep 1001; sleep 1002"),
        )
        .unwrap();
    stage.entry.terminate().unwrap();
    let refuses = || {
        std::future::ready(
            Holder::connect(&stage.entry.socket(), &[])
                .is_err()
                .then_some(()),
        )
    };
    eventually("no new connection", SOON, refuses)
        .await
        .unwrap();
    // Its agent drains meanwhile, and is served.
    let left = stage.holder.whole(start, &command("exit 7"), b"").unwrap();
    assert_eq!(left.status, Some(Status::Exited(7)));
    assert!(stage.entry.runs());
    rests(&stage).await;
    let Stage {
        holder,
        mut entry,
        pod,
        containerd,
    } = stage;
    drop((program, holder));
    assert!(entry.ended().await.unwrap().success(), "{}", entry.log());
    let id = pod.container_id("app").unwrap();
    // What was killed may take a moment to be gone.
    let alone = || std::future::ready((containerd.processes_in(id).len() == 1).then_some(()));
    eventually("nothing left", SOON, alone).await.unwrap();
    assert!(entry.journal().is_empty());
}

#[tokio::test]
async fn without_an_agent_it_ends_at_once() {
    let mut stage = stage(PodSpec::busybox("alone")).await;
    drop(stage.holder);
    stage.entry.terminate().unwrap();
    assert!(stage.entry.ended().await.unwrap().success());
}

#[tokio::test]
async fn when_the_container_ends_its_programs_have_ended() {
    let mut stage = stage(PodSpec::busybox("container")).await;
    let start = of(&stage.pod).unwrap();
    let program = stage
        .holder
        .run(start, &command("sleep 1001; sleep 1002"))
        .unwrap();
    let before = Instant::now();
    stage.pod.remove().await.unwrap();
    assert!(
        before.elapsed() < Duration::from_secs(10),
        "{:?}",
        before.elapsed()
    );
    let status = stage.holder.ended(program.handle).unwrap();
    assert!(
        matches!(status, Some(Status::Signalled { signal: 9, .. })),
        "{status:?}"
    );
}

#[tokio::test]
async fn nothing_is_left_of_many() {
    let mut stage = stage(PodSpec::busybox("many")).await;
    let asked = std::env::var("PODGATE_SOAK").ok();
    let count = asked.map_or(5, |count| count.parse().expect("PODGATE_SOAK"));
    let start = of(&stage.pod).unwrap();
    let terminal = with_terminal(&stage.pod).unwrap();
    let [starter, front] = stage.entry.pids().unwrap();
    let open = || {
        [starter, front].map(|pid| {
            std::fs::read_dir(format!("/proc/{pid}/fd"))
                .unwrap()
                .count()
        })
    };
    let mut before = None;
    for _ in 0..count {
        stage
            .holder
            .whole(start.clone(), &command("cat; exit 7"), b"x")
            .unwrap();
        drop(
            stage
                .holder
                .start(start.clone(), &command("touch /tmp/never"))
                .unwrap()
                .unwrap(),
        );
        drop(
            stage
                .holder
                .run(terminal.clone(), &command("sleep 1001; sleep 1002"))
                .unwrap(),
        );
        let killed = stage
            .holder
            .run(start.clone(), &command("sleep 1003; sleep 1004"))
            .unwrap();
        stage.holder.kill(killed.handle).unwrap();
        stage.holder.ended(killed.handle).unwrap();
        stage.holder = Holder::connect(&stage.entry.socket(), &[]).unwrap();
        only_these_are_left(&stage, &[]).await;
        before.get_or_insert_with(open);
    }
    let same = || {
        let more =
            before.is_none_or(|before| open().iter().zip(before).any(|(now, then)| *now > then));
        std::future::ready((!more && stage.entry.journal().is_empty()).then_some(()))
    };
    if let Err(error) = eventually("the same descriptors", SOON, same).await {
        panic!(
            "{error}: {before:?}, {:?}, {:?}",
            open(),
            stage.entry.journal()
        );
    }
    let children = std::process::Command::new("pgrep")
        .args(["-P", &starter.to_string()])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(children.stdout).unwrap().trim(),
        front.to_string()
    );
    assert_eq!(stage.in_pod("ls /tmp").await, "");
}

/// The end of a process that is traced is heard of by its tracer first, and by its parent only after that.
#[tokio::test]
async fn root_in_a_container_holds_back_no_hang_up() {
    let arguments = ["--grace", "1", "--programs-per-user", "1"];
    let mut stage = stage_with(PodSpec::distroless("traced"), &arguments).await;
    let start = of(&stage.pod).unwrap();
    let sleeps = words(&["/probe", "sleep", "1001"]);
    let traced = stage.holder.run(start.clone(), &sleeps).unwrap();
    // The launcher has given its place to it.
    assert_eq!(traced.report().unwrap(), None);
    let inside = field(traced.process.pid as u32, "NSpid:");
    let inside = inside.split_whitespace().last().unwrap();
    let mut other = Holder::connect(&stage.entry.socket(), &[]).unwrap();
    let mut evil = start.clone();
    evil.user = "bob".to_owned().try_into().unwrap();
    let traces = words(&["/probe", "trace", inside]);
    let mut tracer = other.run(evil, &traces).unwrap();
    let mut said = [0; 8];
    let stdout = tracer.stdout.as_mut().unwrap();
    std::io::Read::read_exact(stdout, &mut said).unwrap();
    assert_eq!(&said, b"tracing\n");

    stage.holder = Holder::connect(&stage.entry.socket(), &[]).unwrap();
    let over = || {
        let log = stage.entry.log();
        std::future::ready(log.contains("hung up 1 programs").then_some(()))
    };
    let over = eventually("the end of the hang-up", SOON, over);
    over.await.unwrap();
    // Nobody has reaped it, and its user's place is free all the same.
    let path = format!("/proc/{}", traced.process.pid);
    assert!(std::fs::exists(&path).unwrap());
    rests(&stage).await;
    let exits = words(&["/probe", "exit", "7"]);
    let left = stage.holder.whole(start, &exits, b"").unwrap();
    assert_eq!(left.status, Some(Status::Exited(7)));
    assert!(other.kill(tracer.handle).is_ok());
    let gone = || std::future::ready((!std::fs::exists(&path).unwrap()).then_some(()));
    eventually("the traced one's end", SOON, gone)
        .await
        .unwrap();
}
