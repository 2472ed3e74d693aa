//! Where nothing better is, the image's own programs serve files. The plain processes that stand for
//! containers have this machine's.

use std::path::Path;

use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::real::containerd::PodSpec;
use podgate_tests::stand_ins::cluster::pod;
use podgate_tests::stand_ins::embedded::EmbeddedContainer;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn every_client_brings_a_file_there_and_back() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let (local, there) = (Local::new(), Local::new());
    for name in NAMES {
        let file = local.file(name, 300_000);
        let (remote, back) = (there.path(name), local.path("back"));
        let at = |path: String| format!("{}:{path}", stand.client.address("demo"));
        for modern in [true, false] {
            let mode = if modern { "-s" } else { "-O" };
            let from = if modern {
                escaped(&remote)
            } else {
                quoted(&remote)
            };
            // A name of the client's own is none of its options, and no host.
            let put = [
                "-p",
                mode,
                "--",
                file.to_str().unwrap(),
                &at(match modern {
                    true => remote.to_str().unwrap().to_owned(),
                    false => from.clone(),
                }),
            ];
            succeeds(&scp(&stand, &put).await);
            same(&file, &remote);
            let get = [mode, "-T", "--", &at(from), back.to_str().unwrap()];
            succeeds(&scp(&stand, &get).await);
            same(&file, &back);
            std::fs::remove_file(&remote).unwrap();
        }
    }
    let file = local.file("plain", 3_000_000);
    let (remote, back) = (there.path("s"), local.path("t"));
    let batch = format!(
        "put {} {}\nget {} {}\n",
        file.display(),
        remote.display(),
        remote.display(),
        back.display()
    );
    succeeds(&sftp(&stand, "demo", &batch).await);
    same(&file, &back);
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_are_copied_and_pods_to_pods() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let embedded = stand.embedded.as_ref().unwrap();
    embedded.container("other", EmbeddedContainer::default());
    stand.cluster.add(
        pod("default", "other", "other-uid", "node-a", "127.0.0.1").container("main", "other"),
    );
    let (local, there) = (Local::new(), Local::new());
    let folder = local.path("tree");
    std::fs::create_dir_all(folder.join("empty")).unwrap();
    std::fs::create_dir_all(folder.join("a/b")).unwrap();
    std::fs::write(folder.join("a/b/file"), "x").unwrap();
    let at =
        |target: &str, path: &Path| format!("{}:{}", stand.client.address(target), path.display());
    for mode in ["-s", "-O"] {
        let (one, two, back) = (there.path("one"), there.path("two"), local.path("back"));
        succeeds(
            &scp(
                &stand,
                &[mode, "-r", folder.to_str().unwrap(), &at("demo", &one)],
            )
            .await,
        );
        succeeds(
            &scp(
                &stand,
                &[mode, "-3", "-r", &at("demo", &one), &at("other", &two)],
            )
            .await,
        );
        succeeds(
            &scp(
                &stand,
                &[mode, "-r", &at("other", &two), back.to_str().unwrap()],
            )
            .await,
        );
        assert_eq!(std::fs::read(back.join("a/b/file")).unwrap(), b"x");
        assert!(back.join("empty").is_dir());
        for copy in [one, two, back] {
            std::fs::remove_dir_all(copy).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_file_and_a_cut_one_are_failures() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let local = Local::new();
    let back = local.path("back");
    let from = format!("{}:/nowhere/x", stand.client.address("demo"));
    for mode in ["-s", "-O"] {
        let told = fails(&scp(&stand, &[mode, &from, back.to_str().unwrap()]).await);
        assert!(told.contains("No such file"), "{told}");
        assert!(!back.exists());
    }
    let told = fails(&sftp(&stand, "demo", "get /nowhere/x\n").await);
    assert!(told.contains("not found"), "{told}");
    // Other subsystems are none.
    let ssh = stand.client.ssh(&["-s"], "demo").arg("netconf").output();
    let told = fails(&ssh.await.unwrap());
    assert!(told.contains("subsystem request failed"), "{told}");
}

/// busybox and distroless have no server, and bash's image none either.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_without_a_server_says_what_works_instead() {
    let stand = Stand::containerd(Changes::default()).await.unwrap();
    let mut pods = Vec::new();
    for spec in [
        PodSpec::busybox("bb"),
        PodSpec::bash("deb"),
        PodSpec::distroless("none"),
    ] {
        pods.push(stand.run_pod(spec).await.unwrap());
    }
    let local = Local::new();
    let file = local.file("plain", 10);
    for target in ["bb", "deb", "none"] {
        let told = fails(&sftp(&stand, target, "ls\n").await);
        let line = "podgate: this image has no sftp-server; where it has scp, scp -O works, and where it has tar, this does: ssh TARGET tar cf - FILES | tar xf -";
        assert!(told.contains(line), "{target}: {told}");
        let to = format!("{}:x", stand.client.address(target));
        let told = fails(&scp(&stand, &["-O", file.to_str().unwrap(), &to]).await);
        let line = "podgate: this image has no scp; where it has an sftp-server,";
        assert!(told.contains(line), "{target}: {told}");
        let ssh = stand.client.ssh(&["-s"], target).arg("sftp").output().await;
        assert_eq!(ssh.unwrap().status.code(), Some(255), "{target}");
    }
    let counts = ["podgate_frontdoor_sessions_total{action=\"files\",outcome=\"failed\"} 9"];
    stand.frontdoor.counts(SOON, &counts).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_a_share_of_a_nodes_transfers() {
    let changes = Changes {
        agent: "transfers: 2\ntransfersPerUser: 1\n".into(),
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    // A client that has begun and waits for its user.
    let mut first = stand.client.ssh(&["-s"], "demo");
    let first = first
        .arg("sftp")
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let begun = ["podgate_agent_sessions_active 1"];
    stand.agent.counts(SOON, &begun).await.unwrap();
    let told = fails(&sftp(&stand, "demo", "ls\n").await);
    let line = "podgate: you have reached the limit of file transfers per user on the pod's node; end one, then try again";
    assert!(told.contains(line), "{told}");
    // Commands count apart.
    let output = stand.client.run(&[], "demo", "echo ran").await.unwrap();
    assert_eq!(output.stdout, b"ran\n");
    let counts = ["podgate_agent_refused_total{limit=\"transfersPerUser\"} 1"];
    stand.agent.counts(SOON, &counts).await.unwrap();
    // The end of input is the end of the session, and a success.
    let output = first.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    let none = ["podgate_agent_sessions_active 0"];
    stand.agent.counts(SOON, &none).await.unwrap();
    succeeds(&sftp(&stand, "demo", "ls\n").await);
}
