//! Containers whose own seccomp filter forbids the worker what it needs: it ends before it has read a
//! request, and the image's own server stands in for those who may run programs.

use std::path::Path;

use podgate_tests::fixtures::images::Image;
use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::real::containerd::{ContainerSpec, PodSpec, RunningPod, Seccomp};

use super::rights::{dev_may, told};
use super::worker::Node;
use super::*;

/// A pod whose filter does this to `pwrite64`, which only the worker uses.
async fn pod(stand: &Stand, folder: &Path, name: &str, action: &str) -> RunningPod {
    let profile = serde_json::json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["pwrite64"], "action": action}],
    });
    let path = folder.join(name);
    std::fs::write(&path, profile.to_string()).unwrap();
    let mut app = ContainerSpec::new("app", Image::Bash);
    app.security.seccomp = Seccomp::Localhost(path);
    stand
        .run_pod(PodSpec::new(name).container(app))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_forbids_the_worker_has_its_own_server() {
    let changes = Changes {
        frontdoor: "authorization: {allowedSeconds: 1, deniedSeconds: 1}\n".into(),
        ..Changes::default()
    };
    let node = Node::start(changes).await;
    let (stand, local) = (&node.stand, Local::new());
    let pods = [
        (
            "refuses",
            "SCMP_ACT_ERRNO",
            "this container's own seccomp filter forbids pwrite64, which a file server needs",
        ),
        (
            "kills",
            "SCMP_ACT_KILL_PROCESS",
            "the file server in the container was ended by signal 31, as where the container forbids it what it needs",
        ),
    ];
    let mut running = Vec::new();
    for (target, action, _) in pods {
        running.push(pod(stand, local.0.path(), target, action).await);
        let told = fails(&sftp(stand, target, "ls\n").await);
        let line = "podgate: this image has no sftp-server";
        assert!(told.contains(line), "{target}: {told}");
        // It need not speak SFTP to be seen to run.
        let server = "mkdir -p /usr/lib/openssh && cd /usr/lib/openssh && \
            printf '#!/bin/sh\\necho of the image; cat\\n' >sftp-server && chmod 755 sftp-server";
        succeeds(&stand.client.run(&[], target, server).await.unwrap());
        let ssh = stand.client.ssh(&["-s"], target).arg("sftp").output().await;
        assert_eq!(succeeds(&ssh.unwrap()), "of the image\n", "{target}");
    }
    let counts = ["podgate_agent_file_servers_total{outcome=\"image\"} 4"];
    stand.agent.counts(SOON, &counts).await.unwrap();
    // Without the right to run programs there is only the reason.
    let rights = [("podgate.io", "files/read"), ("podgate.io", "files/write")];
    stand.api.set_rbac(dev_may(&rights));
    for (target, _, reason) in pods {
        told(reason, async || sftp(stand, target, "ls\n").await).await;
    }
}
