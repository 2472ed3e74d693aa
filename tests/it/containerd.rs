//! The stand's own containerd: pods of each image, exec, restart, and no leftovers.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use podgate_tests::fixtures::images::Image;
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::real::containerd::{ContainerSpec, Containerd, PodSpec, RunningPod};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Code;

const SOON: Duration = Duration::from_secs(30);

/// What a command writes to stdout; it must succeed.
async fn run(containerd: &Containerd, pod: &RunningPod, argv: &[&str]) -> String {
    let id = pod.container_id("app").unwrap();
    let done = containerd.exec(id, argv).await.unwrap();
    assert_eq!(
        done.exit_code,
        0,
        "{argv:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).unwrap()
}

#[tokio::test]
async fn busybox_has_its_users_and_environment() {
    let containerd = Containerd::shared().await.unwrap();
    let sleeper = ContainerSpec::new("app", Image::Busybox)
        .user(1000)
        .env("COLOUR", "blue");
    let pod = containerd
        .run_pod(PodSpec::new("users").container(sleeper))
        .await
        .unwrap();
    let seen = run(
        &containerd,
        &pod,
        &[
            "sh",
            "-c",
            "id -un; pwd; echo $GREETING $COLOUR; touch /tmp/x && echo writable",
        ],
    );
    assert_eq!(seen.await, "app\n/srv\nhello-from-image blue\nwritable\n");
    let shells = run(&containerd, &pod, &["cut", "-d:", "-f1,7", "/etc/passwd"]).await;
    assert_eq!(shells, "root:/bin/sh\nsvc:/sbin/nologin\napp:/bin/sh\n");
    for applet in ["vi", "stty", "ps", "top", "less", "kill", "setsid"] {
        run(&containerd, &pod, &["which", applet]).await;
    }
    let id = pod.container_id("app").unwrap();
    let done = containerd
        .exec(id, &["sh", "-c", "echo no >&2; exit 5"])
        .await
        .unwrap();
    assert_eq!(
        (done.exit_code, done.stderr.as_slice()),
        (5, b"no\n".as_slice())
    );
}

#[tokio::test]
async fn bash_has_a_userland_that_runs() {
    let containerd = Containerd::shared().await.unwrap();
    let pod = containerd.run_pod(PodSpec::bash("userland")).await.unwrap();
    let hello = "printf hello | sha256sum | cut -c1-8; echo $GREETING ${BASH_VERSION%%.*}";
    assert_eq!(
        run(&containerd, &pod, &["bash", "-c", hello]).await,
        "2cf24dba\nhello-from-image 5\n"
    );
    // Each starts: its libraries are there.
    for version in [
        "sh -c true",
        "stty --version",
        "ps --version",
        "top -v",
        "less --version",
        "env true",
        "vi --version",
        "printenv PATH",
        "dd --version",
        "md5sum --version",
        "seq 3",
        "id -un",
        "setsid true",
        "script --version",
        "tput -T xterm-256color colors",
        "tput -T linux cols",
        "tput -T vt100 cols",
        "tput -T xterm cols",
        "awk 1 /dev/null",
    ] {
        let argv: Vec<&str> = version.split(' ').collect();
        run(&containerd, &pod, &argv).await;
    }
    // tty reports "no terminal" by its status.
    let id = pod.container_id("app").unwrap();
    assert_eq!(containerd.exec(id, &["tty"]).await.unwrap().exit_code, 1);
}

#[tokio::test]
async fn static_has_one_program_and_no_shell() {
    let containerd = Containerd::shared().await.unwrap();
    let pod = containerd
        .run_pod(PodSpec::distroless("probe"))
        .await
        .unwrap();
    let id = pod.container_id("app").unwrap();
    assert_eq!(
        run(&containerd, &pod, &["/probe", "args", "a b", ""]).await,
        "[a b]\n[]\n"
    );
    assert!(
        run(&containerd, &pod, &["/probe", "env"])
            .await
            .contains("PATH=")
    );
    assert_eq!(run(&containerd, &pod, &["/probe", "cat"]).await, "");
    for (argv, code) in [
        (["/probe", "exit", "7"], 7),
        (["/probe", "signal", "9"], 137),
    ] {
        assert_eq!(containerd.exec(id, &argv).await.unwrap().exit_code, code);
    }
    assert_eq!(
        containerd
            .exec(id, &["/probe", "size"])
            .await
            .unwrap()
            .exit_code,
        1
    );
    containerd
        .exec(id, &["/bin/sh", "-c", "true"])
        .await
        .unwrap_err();
}

#[tokio::test]
async fn a_streaming_url_upgrades_to_spdy() {
    let containerd = Containerd::shared().await.unwrap();
    let pod = containerd
        .run_pod(PodSpec::busybox("stream"))
        .await
        .unwrap();
    let id = pod.container_id("app").unwrap();
    let argv = ["true".to_owned()];
    let exec = containerd
        .exec_url(id, &argv, true, true, true, false)
        .await
        .unwrap();
    let forward = containerd
        .port_forward_url(&pod.sandbox_id, &[80])
        .await
        .unwrap();
    for (url, protocol) in [(exec, "v4.channel.k8s.io"), (forward, "portforward.k8s.io")] {
        let (host, path) = url
            .strip_prefix("http://")
            .unwrap()
            .split_once('/')
            .unwrap();
        let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
        let request = format!(
            "POST /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\
             X-Stream-Protocol-Version: {protocol}\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 101", "{url}");
    }
    let unknown = "0".repeat(64);
    let refused = containerd
        .exec_url(&unknown, &argv, false, true, true, false)
        .await;
    assert_eq!(refused.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_restart_gives_a_new_container_in_the_same_pod() {
    let containerd = Containerd::shared().await.unwrap();
    let spec = PodSpec::busybox("again").container(ContainerSpec::new("other", Image::Static));
    let mut pod = containerd.run_pod(spec).await.unwrap();
    let (old, other) = (pod.containers[0].clone(), pod.containers[1].clone());
    let pid = pod.pid("app").await.unwrap();
    let found = containerd.processes_in(&old.id);
    assert_eq!(found, [(pid, "/bin/sleep infinity".to_owned())]);

    let new = pod.restart_container("app").await.unwrap();
    assert!(
        new.len() == 64 && new.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{new}"
    );
    assert_ne!(new, old.id);
    assert_eq!(pod.container_id("app").unwrap(), new);
    assert_eq!(pod.containers[0].restarts, 1);
    assert_eq!(pod.container_id("other").unwrap(), other.id);
    assert_eq!(containerd.processes_in(&old.id), []);
    let pids: Vec<u32> = containerd
        .processes_in(&new)
        .iter()
        .map(|found| found.0)
        .collect();
    assert_eq!(pids, [pod.pid("app").await.unwrap()]);
    pod.pid("nobody").await.unwrap_err();

    pod.remove().await.unwrap();
    assert_eq!(containerd.processes_in(&new), []);
}

#[tokio::test]
async fn a_pod_has_the_machines_network_or_its_own() {
    let containerd = Containerd::shared().await.unwrap();
    let host = containerd.run_pod(PodSpec::busybox("host")).await.unwrap();
    let own = containerd
        .run_pod(PodSpec::busybox("own").own_network())
        .await
        .unwrap();
    let namespace = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    let machines = namespace(std::process::id());
    assert_eq!(namespace(host.pid("app").await.unwrap()), machines);
    assert_ne!(namespace(own.pid("app").await.unwrap()), machines);
    let echoed = run(
        &containerd,
        &own,
        &[
            "sh",
            "-c",
            "echo hi >/tmp/hi; nc -l -p 80 </tmp/hi & until nc 127.0.0.1 80 </dev/null; do :; done",
        ],
    );
    assert_eq!(echoed.await, "hi\n");
}

/// What is left of a stand on this machine.
fn left_of(dir: &Path, sockets: &[PathBuf]) -> Vec<String> {
    let path = dir.display().to_string();
    let name = dir.file_name().unwrap();
    let mut left: Vec<String> = sockets
        .iter()
        .chain([&dir.to_owned()])
        .filter(|path| path.exists())
        .map(|path| path.display().to_string())
        .collect();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    for mount in mounts.lines() {
        if mount.contains(&path) {
            left.push(mount.to_owned());
        }
        let target = Path::new(mount.split(' ').nth(4).unwrap());
        if mount.contains(" - cgroup") && target.join(name).exists() {
            left.push(target.join(name).display().to_string());
        }
    }
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        // It has ended, and only waits for the machine's init to reap it.
        if std::fs::read_to_string(process.path().join("stat")).is_ok_and(|s| s.contains(") Z ")) {
            continue;
        }
        for file in ["cmdline", "cgroup"] {
            let text = std::fs::read(process.path().join(file)).unwrap_or_default();
            // Some processes have the stand's name in their paths, others in the pods' parent cgroup.
            if String::from_utf8_lossy(&text).contains(name.to_str().unwrap()) {
                left.push(format!(
                    "{}: {}",
                    process.path().display(),
                    text.escape_ascii()
                ));
            }
        }
    }
    left
}

/// The sockets of a stand's shims, which lie outside its folder.
fn shim_sockets(dir: &Path) -> Vec<PathBuf> {
    let tasks = dir.join("state/io.containerd.runtime.v2.task/k8s.io");
    let addresses = std::fs::read_dir(tasks)
        .unwrap()
        .flatten()
        .filter_map(|task| {
            // The file of containerd 2, or that of containerd 1.
            let read = |file| std::fs::read_to_string(task.path().join(file));
            let text = read("bootstrap.json").or_else(|_| read("address")).ok()?;
            let (_, rest) = text.split_once("unix://")?;
            Some(PathBuf::from(rest.split('"').next()?))
        });
    let sockets: Vec<_> = addresses.collect();
    assert!(
        !sockets.is_empty() && sockets.iter().all(|socket| socket.exists()),
        "{sockets:?}"
    );
    sockets
}

#[tokio::test]
async fn a_drop_leaves_nothing_behind() {
    let containerd = Containerd::start().await.unwrap();
    let dir = containerd.dir().to_owned();
    let attached = Containerd::attach(&dir).await.unwrap();
    let gone = attached.run_pod(PodSpec::busybox("gone")).await.unwrap();
    let (id, sandbox) = (gone.containers[0].id.clone(), gone.sandbox_id.clone());
    drop((gone, attached));
    assert_eq!(containerd.processes_in(&id), []);
    assert_eq!(containerd.processes_in(&sandbox), []);

    let pod = containerd
        .run_pod(PodSpec::bash("left").own_network())
        .await
        .unwrap();
    // A child of its own session, that no hang-up or shim would end.
    run(
        &containerd,
        &pod,
        &["sh", "-c", "setsid -f sleep infinity >/dev/null 2>&1"],
    )
    .await;
    let sockets = shim_sockets(&dir);
    assert!(left_of(&dir, &sockets).len() > 5);
    // A panic drops a test's values in the usual order, the last one first. Here it is the other way.
    drop(containerd);
    assert_eq!(left_of(&dir, &sockets), [""; 0]);
    drop(pod);
}

/// A running `stand`, and the state folder it gave the script. The script's stdin is open as long
/// as the child's, so that an `exec cat` outlives no test.
fn stand(script: &str) -> (Child, PathBuf) {
    let script = format!("echo $PODGATE_TEST_CONTAINERD; {script}");
    let mut stand = Command::new(env!("CARGO_BIN_EXE_stand"))
        .args(["containerd", "--", "sh", "-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = stand.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    (stand, PathBuf::from(line.trim()))
}

#[tokio::test]
async fn what_a_killed_process_left_goes_with_the_next_start() {
    let (mut stand, dir) = stand("exec cat");
    let attached = Containerd::attach(&dir).await.unwrap();
    let _pod = attached.run_pod(PodSpec::busybox("orphan")).await.unwrap();
    let sockets = shim_sockets(&dir);
    stand.kill().unwrap();
    stand.wait().unwrap();

    drop(Containerd::start().await.unwrap());
    // Another test may have started first, and be removing the orphan.
    eventually("the orphan to be gone", SOON, || {
        let left = left_of(&dir, &sockets);
        async move { left.is_empty().then_some(()) }
    })
    .await
    .unwrap();
}

#[test]
fn stand_ends_as_its_command_does() {
    let (mut ended, dir) = stand("exit 3");
    assert_eq!(ended.wait().unwrap().code(), Some(3));
    assert_eq!(left_of(&dir, &[]), [""; 0]);
}

#[test]
fn stand_passes_a_signal_on_and_stops() {
    let (mut running, dir) = stand("exec cat");
    let pid = Pid::from_raw(running.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    // `wait` closes the command's stdin unless it is taken, which would end it too.
    let _stdin = running.stdin.take();
    assert_eq!(running.wait().unwrap().code(), Some(128 + 15));
    assert_eq!(left_of(&dir, &[]), [""; 0]);
}
