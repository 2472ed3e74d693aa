//! The worker may do what an exec in the same container may do, and no more.

use std::os::unix::fs::{PermissionsExt, chown};

use podgate_tests::fixtures::images::Image;
use podgate_tests::fixtures::stand::Changes;
use podgate_tests::real::containerd::{ContainerSpec, PodSpec, Seccomp};
use podgate_tests::real::cri::Mount;

use super::worker::Node;
use super::*;

/// The same by sftp and by a shell.
const ACTIONS: [(&str, &str); 20] = [
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
];

/// A container's file that root has, and one that group 7 may read, as they were.
fn fill(volume: &Path) {
    for (name, group, mode) in [("roots", 0, 0o600), ("groups", 7, 0o640)] {
        let file = volume.join(name);
        std::fs::write(&file, "words").unwrap();
        chown(&file, Some(0), Some(group)).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
    }
    let _ = std::fs::remove_file(volume.join("new"));
    std::fs::set_permissions(volume, PermissionsExt::from_mode(0o777)).unwrap();
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

async fn by_shell(stand: &Stand, target: &str) -> Vec<bool> {
    let lines: String = ACTIONS
        .iter()
        .map(|(_, action)| {
            format!("if ({action}) >/dev/null 2>&1; then echo yes; else echo no; fi\n")
        })
        .collect();
    let said = succeeds(&stand.client.run(&[], target, &lines).await.unwrap());
    said.lines().map(|line| line == "yes").collect()
}

async fn compare(container: ContainerSpec) {
    let node = Node::start(Changes::default()).await;
    let (stand, local, volume) = (&node.stand, Local::new(), Local::new());
    let mut container = container;
    for (path, readonly) in [("/volume", false), ("/fixed", true)] {
        container.mounts.push(Mount {
            container_path: path.to_owned(),
            host_path: volume.0.path().display().to_string(),
            readonly,
        });
    }
    let spec = PodSpec::new("same").container(container);
    let _pod = stand.run_pod(spec).await.unwrap();

    fill(volume.0.path());
    let by_shell = by_shell(stand, "same").await;
    fill(volume.0.path());
    let by_sftp = by_sftp(stand, "same", &local).await;
    let named = |may: &[bool]| -> Vec<_> {
        let all = ACTIONS.iter().zip(may);
        all.map(|((action, _), may)| (*action, *may)).collect()
    };
    assert_eq!(named(&by_sftp), named(&by_shell));
    assert!(by_shell.contains(&true) && by_shell.contains(&false));
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
    app.security.groups = vec![7, 8];
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
