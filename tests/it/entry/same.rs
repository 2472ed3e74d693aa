//! What a program has is what the runtime's own exec gives it, in every kind of pod.

use std::process::Command;

use podgate_tests::fixtures::images::Image;
use podgate_tests::instruments::holder::{command, of};
use podgate_tests::real::containerd::{ContainerSpec, PodSpec, Seccomp};

use super::{Stage, field, stage_with};

/// Prints what a process has, without what is of this very process: numbers of its own and times.
const SHOW: &str = r#"
grep -E '^(Umask|Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|Cpus_allowed|Mems_allowed|SigBlk|SigIgn|SigCgt|Speculation)' /proc/self/status
cat /proc/self/limits /proc/self/cgroup /proc/self/oom_score_adj /proc/self/coredump_filter
cat /proc/self/timerslack_ns /proc/self/attr/current /proc/self/autogroup 2>&1 | grep -v autogroup
for name in cgroup ipc mnt net pid time user uts; do readlink /proc/self/ns/$name; done
cut -d')' -f2 /proc/self/stat | cut -d' ' -f19,20,41,42
ls /proc/self/fd
readlink /proc/self/root; readlink /proc/self/cwd
ulimit -a
env | grep -vE '^(USER|LOGNAME|SHELL|SHLVL|PWD|_)=' | sort
"#;

/// Gives the entry limits, scheduling and affinity that its programs are not to have.
fn other_surroundings(stage: &Stage) {
    let [starter, _] = stage.entry.pids().unwrap();
    let pid = &starter.to_string();
    for words in [
        ["prlimit", "--nofile=500:", "--core=7:", "--pid", pid].as_slice(),
        &["renice", "-n", "7", "-p", pid],
        &["taskset", "-a", "-p", "1", pid],
        &["chrt", "--batch", "-p", "0", pid],
        &["ionice", "-c", "3", "-p", pid],
    ] {
        let set = || Command::new(words[0]).args(&words[1..]).output().unwrap();
        let mut done = set();
        // A thread that ends before its turn ends taskset, too. What a thread begins is set as it is.
        while String::from_utf8_lossy(&done.stderr).contains("No such process") {
            done = set();
        }
        assert!(done.status.success(), "{words:?}: {done:?}");
    }
    // Only with CAP_SYS_RESOURCE can its programs get another one back.
    let capabilities = u64::from_str_radix(&field(starter, "CapEff:"), 16).unwrap();
    if capabilities & 1 << 24 != 0 {
        std::fs::write(format!("/proc/{pid}/oom_score_adj"), "321").unwrap();
    }
}

async fn compare(name: &str, container: ContainerSpec, arguments: &[&str]) {
    let pod = PodSpec::new(name).container(container);
    compare_in(pod.clone(), arguments).await;
    compare_in(pod.crun(), arguments).await;
}

async fn compare_in(pod: PodSpec, arguments: &[&str]) {
    let name = format!("{} {}", pod.name, pod.runtime);
    let mut stage = stage_with(pod, arguments).await;
    other_surroundings(&stage);
    let id = stage.pod.container_id("app").unwrap();
    // With a descriptor at 0, as the entry's programs have one there.
    let theirs = stage
        .containerd
        .exec(id, &["sh", "-c", &format!("exec 0<&1\n{SHOW}")])
        .await
        .unwrap();
    let theirs = String::from_utf8(theirs.stdout).unwrap();
    let start = of(&stage.pod).unwrap();
    let ours = stage.holder.whole(start, &command(SHOW), b"").unwrap();
    assert!(theirs.lines().count() > 60, "{theirs}");
    assert_eq!(ours.stdout, theirs, "{name}");
    assert_eq!(ours.stderr, "");
}

#[tokio::test]
async fn in_a_default_pod() {
    compare("default", ContainerSpec::new("app", Image::Busybox), &[]).await;
}

#[tokio::test]
async fn in_a_restricted_pod() {
    let mut app = ContainerSpec::new("app", Image::Busybox).user(1000);
    app.security.group = Some(1000);
    app.security.groups = vec![7, 8];
    app.security.drop = vec!["ALL".into()];
    app.security.read_only_root = true;
    app.security.no_new_privileges = true;
    app.security.seccomp = Seccomp::RuntimeDefault;
    compare("restricted", app, &[]).await;
}

#[tokio::test]
async fn in_a_privileged_pod() {
    let mut app = ContainerSpec::new("app", Image::Busybox);
    app.security.privileged = true;
    compare("privileged", app, &["--allow-privileged"]).await;
}
