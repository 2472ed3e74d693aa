//! The entry itself is lost: what runs goes on to its end, and the next one hangs up what nobody holds.

use std::io::{BufRead, BufReader, Write};
use std::time::Duration;

use podgate_node_entry::status::Status;
use podgate_node_entry::system::exit_status;
use podgate_tests::fixtures::entry::Entry;
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::instruments::holder::{Holder, command, of, with_terminal};
use podgate_tests::real::containerd::{Containerd, PodSpec};
use rustix::process::{Pid, Signal, kill_process};

use super::{stage, stage_with};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn sessions_go_on_and_the_next_entry_takes_over_those_that_are_held() {
    let mut stage = stage_with(PodSpec::busybox("lost"), &["--grace", "1"]).await;
    let start = of(&stage.pod).unwrap();
    let mut held = stage
        .holder
        .run(
            start.clone(),
            &command("read x; echo \"got $x\"; sleep 1001"),
        )
        .unwrap();
    let lost = stage
        .holder
        .run(
            start.clone(),
            &command("trap '' HUP; sleep 1002; sleep 1003"),
        )
        .unwrap();
    let terminal = with_terminal(&stage.pod).unwrap();
    let closed = stage
        .holder
        .run(terminal, &command("sleep 1004; sleep 1005"))
        .unwrap();
    let waits = stage
        .holder
        .start(start, &command("touch /tmp/never"))
        .unwrap()
        .unwrap();
    stage.entry.kill().unwrap();
    // Its input and output are the agent's, so it goes on.
    held.stdin.as_mut().unwrap().write_all(b"on\n").unwrap();
    let mut line = String::new();
    BufReader::new(held.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "got on\n");
    drop((closed, waits));
    stage.entry.restart().await.unwrap();
    // `restart` has connected without holding anything, so all were hung up but what is held now.
    lost.gone().unwrap();
    held.gone().unwrap();
    let others = || std::future::ready(stage.others().is_empty().then_some(()));
    eventually("nothing left", SOON, others).await.unwrap();
    assert_eq!(stage.in_pod("ls /tmp").await, "");
    let killed = Status::Signalled {
        signal: 1,
        core: false,
    };
    // Another reaps it, and Linux 6.15 tells all the same.
    let status = || std::future::ready(exit_status(&held.pidfd).or((!tells()).then_some(killed)));
    assert_eq!(
        eventually("the status", SOON, status).await.unwrap(),
        killed
    );
}

#[tokio::test]
async fn a_restart_of_containerd_cuts_nothing() {
    let mut containerd = Containerd::start().await.unwrap();
    let pod = containerd.run_pod(PodSpec::busybox("bb")).await.unwrap();
    let entry = Entry::start(&containerd, &[]).await.unwrap();
    let mut holder = Holder::connect(&entry.socket(), &[]).unwrap();
    let start = of(&pod).unwrap();
    let echo = command("while read x; do echo \"got $x\"; done; exit 7");
    let mut program = holder.run(start.clone(), &echo).unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let mut stdin = program.stdin.take().unwrap();
    let mut echoes = |text: &str| {
        writeln!(stdin, "{text}").unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), format!("got {text}"));
    };
    echoes("before");
    containerd.restart().await.unwrap();
    echoes("after");
    let new = holder.whole(start, &command("exit 3"), b"").unwrap();
    assert_eq!(new.status, Some(Status::Exited(3)));
    drop(stdin);
    assert_eq!(
        holder.ended(program.handle).unwrap(),
        Some(Status::Exited(7))
    );
}

/// Whether the kernel tells how a process ended that another has reaped.
fn tells() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut parts = release
        .split('.')
        .map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next(), parts.next()) >= (Some(6), Some(15))
}

#[tokio::test]
async fn what_an_agent_holds_is_signalled_by_the_next_entry() {
    let mut stage = stage(PodSpec::busybox("holds")).await;
    let start = of(&stage.pod).unwrap();
    let held = stage
        .holder
        .run(start.clone(), &command("sleep 1001; sleep 1002"))
        .unwrap();
    let ended = stage.holder.run(start, &command("exit 7")).unwrap();
    stage.entry.kill().unwrap();
    ended.gone().unwrap();
    // An entry that listens takes nobody's programs before an agent has spoken.
    stage.holder = stage
        .entry
        .restart_holding(&[held.handle, ended.handle])
        .await
        .unwrap();
    let mut taken = stage.holder.taken_over.clone();
    taken.sort();
    let mut both = vec![held.handle, ended.handle];
    both.sort();
    assert_eq!(taken, both);
    assert_eq!(
        stage.holder.ended(ended.handle).unwrap(),
        None,
        "not its child"
    );
    assert!(stage.holder.kill(held.handle).unwrap() > 0);
    assert_eq!(stage.holder.ended(held.handle).unwrap(), None);
    let again = Holder::connect(&stage.entry.socket(), &[held.handle]).unwrap();
    assert_eq!(again.taken_over, []);
}

#[tokio::test]
async fn without_its_front_it_ends_and_programs_go_on() {
    let mut stage = stage(PodSpec::busybox("front")).await;
    let start = of(&stage.pod).unwrap();
    let mut program = stage.holder.run(start, &command("read x; exit 7")).unwrap();
    let [_, front] = stage.entry.pids().unwrap();
    kill_process(Pid::from_raw(front as i32).unwrap(), Signal::KILL).unwrap();
    assert!(!stage.entry.ended().await.unwrap().success());
    program.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    program.gone().unwrap();
    // Who reaps it does so soon; then its pidfd tells.
    let status = || {
        std::future::ready(
            exit_status(&program.pidfd).or_else(|| (!tells()).then_some(Status::Exited(7))),
        )
    };
    assert_eq!(
        eventually("the status", SOON, status).await.unwrap(),
        Status::Exited(7)
    );
}
