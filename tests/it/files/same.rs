//! The worker may do what an exec in the same container may do, and no more.

mod raw;

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use podgate_tests::fixtures::images::Image;
use podgate_tests::fixtures::stand::Changes;
use podgate_tests::real::containerd::{ContainerSpec, PodSpec, Seccomp};
use podgate_tests::real::cri::Mount;

use super::worker::Node;
use super::*;

/// The same by sftp and by a shell.
const ACTIONS: [(&str, &str); 25] = [
    ("mkdir /made", "mkdir /made"),
    ("rmdir /made", "rmdir /made"),
    ("mkdir /root/made", "mkdir /root/made"),
    ("rmdir /root/made", "rmdir /root/made"),
    ("mkdir /dev/shm/made", "mkdir /dev/shm/made"),
    ("rmdir /dev/shm/made", "rmdir /dev/shm/made"),
    ("mkdir /proc/sys/made", "mkdir /proc/sys/made"),
    (
        "get /proc/sys/kernel/hostname {back}",
        "cat /proc/sys/kernel/hostname",
    ),
    (
        "put {file} /proc/sys/kernel/hostname",
        "echo x >/proc/sys/kernel/hostname",
    ),
    ("get /proc/kcore {back}", "head -c 1 /proc/kcore"),
    ("get /volume/roots {back}", "cat /volume/roots"),
    ("get /volume/groups {back}", "cat /volume/groups"),
    ("put {file} /volume/roots", "echo x >/volume/roots"),
    ("put {file} /volume/groups", "echo x >/volume/groups"),
    ("chmod 660 /volume/groups", "chmod 660 /volume/groups"),
    ("chgrp 7 /volume/groups", "chgrp 7 /volume/groups"),
    ("chown 1000 /volume/roots", "chown 1000 /volume/roots"),
    ("put {file} /volume/new", "echo x >/volume/new"),
    ("get /fixed/groups {back}", "cat /fixed/groups"),
    ("put {file} /fixed/groups", "echo x >/fixed/groups"),
    ("put {file} /shared/new", "echo x >/shared/new"),
    ("mkdir /shared/made", "mkdir /shared/made"),
    ("put {file} /shared/made/new", "echo x >/shared/made/new"),
    ("chmod 640 /shared/new", "chmod 640 /shared/new"),
    ("rm /shared/kept", "rm -f /shared/kept"),
];
/// The group that owns a volume, as `fsGroup` has it.
const SHARED: u32 = 2000;
/// What the system says of the process that asks.
const SELF: [&str; 8] = [
    "limits",
    "status",
    "cgroup",
    "uid_map",
    "gid_map",
    "oom_score_adj",
    "coredump_filter",
    "mountinfo",
];
/// Lines of its status, those of its own filter and tracers left out.
const STATUS: [&str; 11] = [
    "Umask:",
    "Uid:",
    "Gid:",
    "Groups:",
    "CapInh:",
    "CapPrm:",
    "CapEff:",
    "CapBnd:",
    "CapAmb:",
    "Cpus_allowed:",
    "Mems_allowed:",
];

/// The volumes of a container, as they were at first: files that root has and that group 7 may read, and a
/// folder that belongs to a group, as the kubelet makes it.
fn fill(volume: &Path, shared: &Path) {
    for (name, group, mode) in [("roots", 0, 0o600), ("groups", 7, 0o640)] {
        let file = volume.join(name);
        std::fs::write(&file, "words").unwrap();
        chown(&file, Some(0), Some(group)).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
    }
    let _ = std::fs::remove_file(volume.join("new"));
    std::fs::set_permissions(volume, PermissionsExt::from_mode(0o777)).unwrap();
    let _ = std::fs::remove_dir_all(shared.join("made"));
    let _ = std::fs::remove_file(shared.join("new"));
    std::fs::write(shared.join("kept"), "").unwrap();
    chown(shared, Some(0), Some(SHARED)).unwrap();
    std::fs::set_permissions(shared, PermissionsExt::from_mode(0o2770)).unwrap();
}

/// Whose the files of a folder are, and their modes.
fn owners(folder: &Path) -> Vec<(String, u32, u32, u32)> {
    let mut all = Vec::new();
    for name in ["new", "made", "made/new", "kept"] {
        if let Ok(found) = std::fs::metadata(folder.join(name)) {
            all.push((name.to_owned(), found.uid(), found.gid(), found.mode()));
        }
    }
    all
}

/// Which actions succeed by sftp: those between whose marks it says nothing.
async fn by_sftp(stand: &Stand, target: &str, local: &Local) -> Vec<bool> {
    let (file, back) = (local.file("file", 3), local.path("back"));
    let lines: String = ACTIONS
        .iter()
        .map(|(action, _)| {
            let action = action.replace("{file}", file.to_str().unwrap());
            let action = action.replace("{back}", back.to_str().unwrap());
            format!("-{action}\n!echo MARK\n")
        })
        .collect();
    let batch = local.path("batch");
    std::fs::write(&batch, lines).unwrap();
    let line = stand.client.line("sftp -q -b \"$0\"", target);
    let mut sh = tokio::process::Command::new("sh");
    let sh = sh.arg("-c").arg(format!("{line} 2>&1")).arg(batch);
    let said = succeeds(&sh.output().await.unwrap());
    let mut parts: Vec<&str> = said.split("sftp> !echo MARK\nMARK\n").collect();
    parts.pop();
    let is_quiet = |part: &&str| part.lines().all(|line| line.starts_with("sftp> "));
    parts.iter().map(is_quiet).collect()
}

/// The same by a program in the container, as its output.
fn script() -> String {
    let line =
        |action: &str| format!("if ({action}) >/dev/null 2>&1; then echo yes; else echo no; fi\n");
    ACTIONS.iter().map(|(_, action)| line(action)).collect()
}

/// What the system says of a process of the container.
fn of_itself(name: &str, said: &str) -> Vec<String> {
    let is_its = |line: &&str| name != "status" || STATUS.iter().any(|it| line.starts_with(it));
    said.lines().filter(is_its).map(str::to_owned).collect()
}

/// Holds the worker against programs that the container's runtime starts by itself.
async fn compare_with(
    (stand, target): (&Stand, &str),
    (volume, shared): (&Path, &Path),
    exec: impl AsyncFn(&str) -> String,
) {
    let local = Local::new();
    fill(volume, shared);
    let by_shell: Vec<bool> = exec(&script())
        .await
        .lines()
        .map(|line| line == "yes")
        .collect();
    let owned = owners(shared);
    fill(volume, shared);
    let by_sftp = by_sftp(stand, target, &local).await;
    let named = |may: &[bool]| -> Vec<_> {
        let all = ACTIONS.iter().zip(may);
        all.map(|((action, _), may)| (*action, *may)).collect()
    };
    assert_eq!(named(&by_sftp), named(&by_shell));
    assert!(by_shell.contains(&true) && by_shell.contains(&false));
    assert_eq!(owners(shared), owned);

    let gets = SELF.map(|name| format!("get /proc/self/{name} {}\n", local.path(name).display()));
    succeeds(&sftp(stand, target, &gets.concat()).await);
    for name in SELF {
        let theirs = exec(&format!("exec cat /proc/self/{name}")).await;
        let ours = std::fs::read_to_string(local.path(name)).unwrap();
        assert_eq!(of_itself(name, &ours), of_itself(name, &theirs), "{name}");
        assert!(!of_itself(name, &ours).is_empty(), "{name}");
    }
}

async fn compare(container: ContainerSpec) {
    let node = Node::start(Changes::default()).await;
    let (stand, volumes) = (&node.stand, Volumes::new());
    let spec = PodSpec::new("same").container(volumes.mount(container));
    let pod = stand.run_pod(spec).await.unwrap();
    let containerd = stand.containerd.as_ref().unwrap();
    let exec = async |script: &str| {
        let words = ["sh", "-c", script];
        let id = pod.container_id("app").unwrap();
        text(&containerd.exec(id, &words).await.unwrap().stdout)
    };
    let folders = (volumes.volume.0.path(), volumes.shared.0.path());
    compare_with((stand, "same"), folders, exec).await;
}

/// What a container has of this machine.
struct Volumes {
    volume: Local,
    shared: Local,
}

impl Volumes {
    fn new() -> Self {
        let (volume, shared) = (Local::new(), Local::new());
        Self { volume, shared }
    }

    fn mount(&self, mut container: ContainerSpec) -> ContainerSpec {
        for (path, of, readonly) in [
            ("/volume", &self.volume, false),
            ("/fixed", &self.volume, true),
            ("/shared", &self.shared, false),
        ] {
            container.mounts.push(Mount {
                container_path: path.to_owned(),
                host_path: of.0.path().display().to_string(),
                readonly,
            });
        }
        container
    }
}

fn app() -> ContainerSpec {
    ContainerSpec::new("app", Image::Busybox)
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_default_container() {
    compare(app()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_restricted_container() {
    let mut app = app().user(1000);
    app.security.group = Some(1000);
    app.security.groups = vec![7, 8, SHARED.into()];
    app.security.drop = vec!["ALL".into()];
    app.security.no_new_privileges = true;
    app.security.seccomp = Seccomp::RuntimeDefault;
    compare(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_root_is_read_only() {
    let mut app = app();
    app.security.read_only_root = true;
    compare(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_a_root_without_its_capabilities() {
    let mut app = app();
    app.security.drop = ["DAC_OVERRIDE", "CHOWN", "FOWNER"]
        .map(str::to_owned)
        .into();
    compare(app).await;
}

/// Not in the group of the folder, and not root.
#[tokio::test(flavor = "multi_thread")]
async fn as_a_stranger() {
    compare(app().user(1000)).await;
}
