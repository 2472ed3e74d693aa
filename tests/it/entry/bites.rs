//! What has bitten those who start processes beside a runtime, each point a test.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use podgate_node_entry::reason::Reason;
use podgate_node_entry::status::Status;
use podgate_node_entry::system::exit_status;
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::instruments::holder::{Holder, Program, command, of, with_terminal, words};
use podgate_tests::instruments::threads;
use podgate_tests::real::containerd::{PodSpec, RunningPod};
use rustix::process::{Pid, Signal, kill_process};

use super::{stage, stage_with};

const SOON: Duration = Duration::from_secs(30);

fn descriptors(pid: u32) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .flatten();
    let links = entries.filter_map(|it| {
        Some((
            it.file_name().into_string().ok()?,
            std::fs::read_link(it.path()).ok()?,
        ))
    });
    let mut links: Vec<_> = links.collect();
    links.sort();
    links
}

/// Waits until the launcher has given its place to the program.
fn replaced(program: &Program) {
    assert_eq!(program.report().unwrap(), None);
}

#[tokio::test]
async fn a_program_holds_nothing_of_the_entrys() {
    let mut stage = stage(PodSpec::busybox("holds-nothing")).await;
    let start = of(&stage.pod).unwrap();
    let piped = stage.holder.run(start, &words(&["sleep", "1001"])).unwrap();
    let terminal = with_terminal(&stage.pod).unwrap();
    let shown = stage
        .holder
        .run(terminal, &words(&["sleep", "1002"]))
        .unwrap();
    let [starter, front] = stage.entry.pids().unwrap();
    let own: HashSet<PathBuf> = [starter, front]
        .iter()
        .flat_map(|&pid| descriptors(pid))
        .map(|it| it.1)
        .collect();
    for program in [&piped, &shown] {
        replaced(program);
        let links = descriptors(program.process.pid as u32);
        let numbers: Vec<&str> = links.iter().map(|it| it.0.as_str()).collect();
        assert_eq!(numbers, ["0", "1", "2"], "{links:?}");
        let shared: Vec<_> = links.iter().filter(|it| own.contains(&it.1)).collect();
        assert!(shared.is_empty(), "{shared:?}");
    }
}

#[tokio::test]
async fn the_ended_are_reaped_while_a_start_hangs() {
    let mut stage = stage_with(PodSpec::busybox("reaped"), &["--start-timeout", "5"]).await;
    let start = of(&stage.pod).unwrap();
    let frozen = stage
        .containerd
        .run_pod(PodSpec::busybox("frozen"))
        .await
        .unwrap();
    let mut program = stage
        .holder
        .run(start.clone(), &command("read x; exit 7"))
        .unwrap();
    let freezer = Frozen::new(&frozen).await;
    // The runtime hangs with this one.
    let mut other = Holder::connect(&stage.entry.socket(), &[]).unwrap();
    let hanging = of(&frozen).unwrap();
    let hangs = std::thread::spawn(move || {
        let before = Instant::now();
        let refused = other
            .start(hanging, &command("touch /tmp/never"))
            .unwrap()
            .err();
        (refused, before.elapsed())
    });
    let [starter, _] = stage.entry.pids().unwrap();
    let runtime = || {
        let found = Command::new("pgrep")
            .args(["-P", &starter.to_string(), "runc"])
            .output()
            .unwrap();
        std::future::ready(found.status.success().then_some(()))
    };
    eventually("the hanging runtime", SOON, runtime)
        .await
        .unwrap();
    drop(program.stdin.take());
    let before = Instant::now();
    program.gone().unwrap();
    let pid = program.process.pid;
    assert_eq!(
        stage.holder.ended(program.handle).unwrap(),
        Some(Status::Exited(7))
    );
    assert!(
        !std::fs::exists(format!("/proc/{pid}")).unwrap(),
        "it is no zombie"
    );
    assert_eq!(
        stage
            .holder
            .whole(start, &command("exit 3"), b"")
            .unwrap()
            .status,
        Some(Status::Exited(3))
    );
    assert!(
        before.elapsed() < Duration::from_secs(4),
        "{:?}",
        before.elapsed()
    );
    let (refused, took) = hangs.join().unwrap();
    assert_eq!(refused, Some(Reason::Slow));
    assert!(took < Duration::from_secs(8), "{took:?}");
    // Once it is thawed nothing of it runs, and nothing has.
    drop(freezer);
    let id = frozen.container_id("app").unwrap();
    let alone = || std::future::ready((stage.containerd.processes_in(id).len() == 1).then_some(()));
    eventually("nothing left", SOON, alone).await.unwrap();
    let seen = stage.containerd.exec(id, &["ls", "/tmp"]).await.unwrap();
    assert_eq!(seen.stdout, b"");
    let again = of(&frozen).unwrap();
    assert_eq!(
        stage
            .holder
            .whole(again, &command("exit 3"), b"")
            .unwrap()
            .status,
        Some(Status::Exited(3))
    );
}

/// A pod whose control group is frozen above the container's own, until it is dropped.
struct Frozen(PathBuf);

impl Frozen {
    async fn new(pod: &RunningPod) -> Self {
        let pid = pod.pid("app").await.unwrap();
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        let old = groups.lines().find(|line| line.contains(":freezer:"));
        let (line, root) = match old {
            Some(line) => (line, "/sys/fs/cgroup/freezer"),
            None => (groups.lines().last().unwrap(), "/sys/fs/cgroup"),
        };
        let path = line.splitn(3, ':').nth(2).unwrap().trim_start_matches('/');
        let folder = PathBuf::from(root).join(path).parent().unwrap().to_owned();
        let this = Self(folder);
        this.set(true);
        this
    }

    fn set(&self, frozen: bool) {
        let (file, text) = if self.0.join("freezer.state").exists() {
            ("freezer.state", if frozen { "FROZEN" } else { "THAWED" })
        } else {
            ("cgroup.freeze", if frozen { "1" } else { "0" })
        };
        std::fs::write(self.0.join(file), text).unwrap();
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.set(false);
    }
}

/// Kills a process that is the runtime, or still the runtime's. One that has turned into the program since it
/// was found must live: its start was not cut off. Once all its threads have stopped, it turns into nothing.
fn kill_runtime(pid: &str) -> bool {
    let number = pid.parse().ok().and_then(Pid::from_raw).unwrap();
    if kill_process(number, Signal::STOP).is_err() {
        return false;
    }
    let mut is_runtime = false;
    while let Ok(states) = threads::states(number.as_raw_pid().unsigned_abs()) {
        if states.iter().all(|state| *state == Some('T')) {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            is_runtime = name.starts_with("runc");
            break;
        }
        if states.iter().all(|state| *state == Some('Z')) {
            break;
        }
    }
    let signal = if is_runtime {
        Signal::KILL
    } else {
        Signal::CONT
    };
    kill_process(number, signal).is_ok() && is_runtime
}

#[tokio::test]
async fn a_start_that_was_cut_off_has_run_nothing() {
    let mut stage = stage(PodSpec::busybox("cut")).await;
    let start = of(&stage.pod).unwrap();
    let [starter, _] = stage.entry.pids().unwrap();
    let (over, asked) = (
        Arc::new(AtomicBool::new(false)),
        std::env::var("PODGATE_SOAK").ok(),
    );
    let stop = over.clone();
    let killer = std::thread::spawn(move || {
        let (mut killed, mut spared) = (0, 0);
        let mut wait = fastrand::Rng::with_seed(7);
        while !stop.load(Ordering::Relaxed) {
            let found = Command::new("pgrep")
                .args(["-P", &starter.to_string(), "runc"])
                .output()
                .unwrap();
            for pid in String::from_utf8(found.stdout).unwrap().split_whitespace() {
                let until = Instant::now() + Duration::from_micros(wait.u64(0..20_000));
                while Instant::now() < until {
                    std::hint::spin_loop();
                }
                match kill_runtime(pid) {
                    true => killed += 1,
                    false => spared += 1,
                }
            }
        }
        (killed, spared)
    });
    let count = asked.map_or(20, |count| count.parse().expect("PODGATE_SOAK"));
    let (mut started, mut cut) = (0, 0);
    for _ in 0..count {
        match stage
            .holder
            .start(start.clone(), &command("echo >>/tmp/ran"))
            .unwrap()
        {
            Ok(program) => {
                program.go().unwrap();
                let left = stage.holder.left(program).unwrap();
                assert_eq!(left.status, Some(Status::Exited(0)), "it was started");
                started += 1;
            }
            Err(Reason::CutOff) => cut += 1,
            Err(reason) => panic!("{reason}"),
        }
    }
    over.store(true, Ordering::Relaxed);
    let (killed, spared) = killer.join().unwrap();
    println!("{started} started, {cut} cut off, {killed} killed, {spared} spared");
    assert_eq!(started + cut, count);
    assert!(cut > 0);
    let nothing = || std::future::ready(stage.others().is_empty().then_some(()));
    eventually("nothing left", SOON, nothing).await.unwrap();
    let ran = stage.in_pod("cat /tmp/ran 2>/dev/null | wc -l").await;
    assert_eq!(ran.trim(), started.to_string());
}

#[tokio::test]
async fn the_pidfd_tells_the_end_after_another_has_reaped() {
    let mut stage = stage(PodSpec::busybox("pidfd")).await;
    let start = of(&stage.pod).unwrap();
    let program = stage.holder.run(start, &command("exit 7")).unwrap();
    program.gone().unwrap();
    stage.holder.ended(program.handle).unwrap();
    assert!(matches!(
        exit_status(&program.pidfd),
        Some(Status::Exited(7)) | None
    ));
}

#[tokio::test]
async fn the_leaders_end_is_not_the_end_of_the_output() {
    let mut stage = stage(PodSpec::bash("after")).await;
    let start = of(&stage.pod).unwrap();
    let script = "exec > >(while read l; do sleep 0.01; echo \"- $l\"; done); seq 50; exit 3";
    let launch = words(&["bash", "-c", script]);
    let left = stage.holder.whole(start, &launch, b"").unwrap();
    assert_eq!(
        (left.stdout.lines().count(), left.status),
        (50, Some(Status::Exited(3)))
    );
}

#[tokio::test]
async fn root_in_a_container_cannot_spoil_the_launcher_for_others() {
    let mut stage = stage(PodSpec::busybox("spoils")).await;
    let other = stage
        .containerd
        .run_pod(PodSpec::busybox("other"))
        .await
        .unwrap();
    let start = of(&stage.pod).unwrap();
    let _waits = stage
        .holder
        .start(start, &command("true"))
        .unwrap()
        .unwrap();
    let script = "for exe in /proc/[0-9]*/exe /proc/[0-9]*/fd/3; do \
                    case $(readlink $exe) in */memfd:podgate-launcher*) \
                      echo found; chmod 000 $exe && echo spoilt; echo x >$exe && echo written; \
                    esac; done 2>/dev/null";
    let seen = stage.in_pod(script).await;
    assert!(seen.starts_with("found\n"), "{seen}");
    assert!(!seen.contains("written"), "{seen}");
    let left = stage
        .holder
        .whole(of(&other).unwrap(), &command("exit 7"), b"")
        .unwrap();
    assert_eq!(left.status, Some(Status::Exited(7)));
}

#[tokio::test]
async fn nothing_of_a_pods_environment_comes_onto_the_disk() {
    let mut app = podgate_tests::real::containerd::ContainerSpec::new(
        "app",
        podgate_tests::fixtures::images::Image::Busybox,
    );
    app = app.env("SECRET", "s3cr3t-of-the-pod");
    let mut stage = stage(PodSpec::new("secret").container(app)).await;
    let start = of(&stage.pod).unwrap();
    let waits = stage
        .holder
        .start(start, &command("echo $SECRET"))
        .unwrap()
        .unwrap();
    let folder = stage.entry.socket();
    let folder = folder.parent().and_then(|it| it.parent()).unwrap();
    let found = Command::new("grep")
        .args(["-r", "-l", "s3cr3t"])
        .arg(folder)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    waits.go().unwrap();
    assert_eq!(
        stage.holder.left(waits).unwrap().stdout,
        "s3cr3t-of-the-pod\n"
    );
}

#[tokio::test]
async fn what_cannot_be_killed_costs_nobody_else() {
    let arguments = ["--grace", "1", "--programs-per-user", "1"];
    let mut stage = stage_with(PodSpec::busybox("unkillable"), &arguments).await;
    let other = stage
        .containerd
        .run_pod(PodSpec::busybox("next"))
        .await
        .unwrap();
    let start = of(&stage.pod).unwrap();
    let program = stage
        .holder
        .run(start, &command("sleep 1001; sleep 1002"))
        .unwrap();
    replaced(&program);
    let freezer = Frozen::new(&stage.pod).await;
    stage.holder = Holder::connect(&stage.entry.socket(), &[]).unwrap();
    let over = || {
        std::future::ready(
            stage
                .entry
                .log()
                .contains("hung up 1 programs")
                .then_some(()),
        )
    };
    eventually("the end of the hang-up", SOON, over)
        .await
        .unwrap();
    // The user's place is free, though the process is still there.
    assert!(std::fs::exists(format!("/proc/{}", program.process.pid)).unwrap());
    let left = stage
        .holder
        .whole(of(&other).unwrap(), &command("exit 7"), b"")
        .unwrap();
    assert_eq!(left.status, Some(Status::Exited(7)));
    drop(freezer);
    let nothing = || std::future::ready(stage.others().is_empty().then_some(()));
    eventually("nothing left", SOON, nothing).await.unwrap();
}
