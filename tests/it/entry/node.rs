//! What of a node the entry tells apart: its runtimes' versions, and what it forbids.

use std::fs::File;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use podgate_node_entry::reason::Reason;
use podgate_node_entry::report::{Failure, MAX_REPORT, Report};
use podgate_tests::fixtures::entry::{Entry, launcher};
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::instruments::holder::{Holder, command, of};
use podgate_tests::real::containerd::{Containerd, PodSpec};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair};

use super::stage;

const SOON: Duration = Duration::from_secs(30);

fn version(program: &str) -> String {
    let said = Command::new(program).arg("--version").output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    said.lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn the_log_says_which_runtimes_there_are_and_warns_of_an_old_runc() {
    let stage = stage(PodSpec::busybox("versions")).await;
    let crun = PodSpec::busybox("versions-crun").crun();
    let crun = stage.containerd.run_pod(crun).await.unwrap();
    let mut holder = Holder::connect(&stage.entry.socket(), &[]).unwrap();
    // The first was there when the entry began; of the other it hears now.
    let start = of(&crun).unwrap();
    holder.whole(start, &command("true"), b"").unwrap();
    let expect = [version("runc"), version("crun")];
    let told = || {
        let log = stage.entry.log();
        let all = expect.iter().all(|version| log.contains(version));
        std::future::ready(all.then_some(log))
    };
    let log = eventually("both versions", SOON, told).await.unwrap();
    let numbers = expect[0].trim_start_matches("runc version ");
    let numbers: Vec<u32> = numbers
        .split(|c: char| !c.is_ascii_digit())
        .map_while(|part| part.parse().ok())
        .take(3)
        .collect();
    let warned = || {
        let is_old = numbers < vec![1, 1, 12];
        let warns = stage.entry.log().contains("CVE-2024-21626");
        std::future::ready((warns == is_old).then_some(()))
    };
    assert!(
        eventually("the warning", SOON, warned).await.is_ok(),
        "{log}"
    );
}

/// CVE-2024-21626: a descriptor of the runtime's own is one of the node's, and a working folder may lead through it.
#[tokio::test]
async fn no_working_folder_leads_out_of_the_container() {
    let mut stage = stage(PodSpec::busybox("folders")).await;
    let start = of(&stage.pod).unwrap();
    let links = "for n in $(seq 3 12); do ln -s /proc/self/fd/$n /tmp/$n; done";
    stage.in_pod(links).await;
    let bundle = "state/io.containerd.runtime.v2.task/k8s.io";
    let bundle = stage.containerd.dir().join(bundle);
    let config = bundle.join(start.container.as_ref()).join("config.json");
    let whole = std::fs::read_to_string(&config).unwrap();
    for number in 3..=12 {
        for folder in [format!("/proc/self/fd/{number}"), format!("/tmp/{number}")] {
            let mut changed: serde_json::Value = serde_json::from_str(&whole).unwrap();
            changed["process"]["cwd"] = folder.clone().into();
            std::fs::write(&config, changed.to_string()).unwrap();
            let started = stage.holder.start(start.clone(), &command("pwd")).unwrap();
            assert!(started.is_err(), "{folder}");
        }
    }
    std::fs::write(&config, whole).unwrap();
    let done = stage.holder.whole(start, &command("pwd"), b"").unwrap();
    assert_eq!(done.stdout, "/srv\n");
}

/// vm.memfd_noexec is of a pid namespace (Linux 6.3), so the entry gets one of its own.
#[tokio::test]
async fn where_programs_from_memory_are_forbidden_the_kubelets_way_is_left() {
    if !std::fs::exists("/proc/sys/vm/memfd_noexec").unwrap() {
        return;
    }
    let containerd = Containerd::shared().await.unwrap();
    let pod = containerd
        .run_pod(PodSpec::busybox("memory"))
        .await
        .unwrap();
    let entry = Entry::start_under(
        &containerd,
        &[
            "unshare",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
            "sh",
            "-c",
        ],
        "echo 2 >/proc/sys/vm/memfd_noexec && exec \"$@\"",
    );
    let entry = entry.await.unwrap();
    let mut holder = Holder::connect(&entry.socket(), &[]).unwrap();
    let start = of(&pod).unwrap();
    let refused = holder.start(start, &command("true")).unwrap().err();
    assert_eq!(refused, Some(Reason::MemoryProgram));
    assert!(Reason::MemoryProgram.leaves_the_kubelet().is_some());
    assert!(entry.log().contains("vm.memfd_noexec"), "{}", entry.log());
}

/// What SELinux does with descriptors that a container may not have.
#[test]
fn a_launcher_that_has_dev_null_for_its_streams_runs_nothing() {
    let (control, theirs) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ran = folder.path().join("ran");
    let launch = folder.path().join("launch");
    let text = format!("touch {}", ran.display());
    let mut file = File::create(&launch).unwrap();
    file.write_all(&command(&text).encode().unwrap()).unwrap();
    let mut child = Command::new("sh");
    let script = "exec 3</dev/null 4<&0 5<&1 0</dev/null 1>/dev/null; exec \"$0\"";
    child.args(["-c", script]).arg(launcher().unwrap());
    child.stdin(File::open(&launch).unwrap());
    child.stdout(Stdio::from(theirs));
    child.stderr(Stdio::null());
    let status = child.status().unwrap();
    // So that the command's own copy of the socket is closed.
    drop(child);
    assert_eq!(status.code(), Some(255));
    let mut said = vec![0; MAX_REPORT];
    let (heard, _) = recv(&control, &mut said, RecvFlags::empty()).unwrap();
    let failed = Report::Failed(Failure::Streams);
    assert_eq!(Report::parse(&said[..heard]), Ok(failed));
    assert!(Failure::Streams.leaves_the_kubelet());
    assert!(!ran.exists());
}
