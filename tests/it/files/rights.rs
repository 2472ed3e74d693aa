//! Who may do what with files: those who may run programs all, others what `files/read` and
//! `files/write` allow, and only where a server of Podgate's own enforces it.

use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::real::containerd::PodSpec;
use podgate_tests::stand_ins::apiserver::{Rbac, group, rule};

use super::worker::Node;
use super::*;

/// Waits until a client is told this: what was answered before counts for a second.
pub(super) async fn told(line: &str, client: impl AsyncFn() -> Output) {
    let new = || async { text(&client().await.stderr).contains(line).then_some(()) };
    let new = eventually("the new rights", SOON, new).await;
    new.unwrap_or_else(|error| panic!("{error}: {line}"));
}

pub(super) fn dev_may(rules: &[(&str, &str)]) -> Rbac {
    let rules: Vec<_> = rules
        .iter()
        .map(|(api, resource)| rule(&["create"], &[api], &[resource]))
        .collect();
    let rbac = Rbac::default().cluster_role("files", &rules);
    rbac.bind("default", "dev", "ClusterRole/files", &[group("dev")])
}

/// Waits until a client succeeds.
async fn may(client: impl AsyncFn() -> Output) {
    let new = || async { client().await.status.success().then_some(()) };
    eventually("the new rights", SOON, new).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_right_the_pod_looks_as_if_it_were_not_there() {
    let changes = Changes {
        frontdoor: "authorization: {allowedSeconds: 1, deniedSeconds: 1}\n".into(),
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    let local = Local::new();
    let file = local.file("plain", 10);
    let file = file.to_str().unwrap();
    let (read, write) = (("podgate.io", "files/read"), ("podgate.io", "files/write"));
    let at = format!("{}:/dev/null", stand.client.address("demo"));
    // The image's programs are for those who may run programs.
    let image = "here only the image's own programs could serve them, for which you need the right to create pods/exec";
    let denied = "no pod demo in namespace default, or you may not enter it";
    for (rights, sftp_says, get_says, put_says) in [
        (&[][..], denied, denied, denied),
        (&[("", "files/read")], denied, denied, denied),
        (&[read], image, image, denied),
        (&[write], image, denied, image),
        (&[read, write], image, image, image),
    ] {
        stand.api.set_rbac(dev_may(rights));
        told(sftp_says, async || sftp(&stand, "demo", "ls\n").await).await;
        let get = ["-O", &at, "/dev/null"];
        told(get_says, async || scp(&stand, &get).await).await;
        let put = ["-O", file, &at];
        told(put_says, async || scp(&stand, &put).await).await;
        let exec = stand.client.run(&[], "demo", "true").await.unwrap();
        assert!(fails(&exec).contains(denied));
    }
}

/// Where a worker serves, each half is allowed alone, and ends when it is taken away.
#[tokio::test(flavor = "multi_thread")]
async fn reading_and_writing_are_rights_of_their_own() {
    let changes = Changes {
        frontdoor: "recheckSeconds: 1\nauthorization: {allowedSeconds: 1, deniedSeconds: 1}\n"
            .into(),
        ..Changes::default()
    };
    let node = Node::start(changes).await;
    let stand = &node.stand;
    let _pod = stand.run_pod(PodSpec::distroless("none")).await.unwrap();
    let local = Local::new();
    let file = local.file("plain", 10);
    let file = file.to_str().unwrap();
    let at = format!("{}:/plain", stand.client.address("none"));
    succeeds(&scp(stand, &[file, &at]).await);
    let (read, write) = (("podgate.io", "files/read"), ("podgate.io", "files/write"));
    let denied = "no pod none in namespace default, or you may not enter it";
    let back = local.path("back");
    let back = back.to_str().unwrap();

    stand.api.set_rbac(dev_may(&[read]));
    told(denied, async || scp(stand, &["-O", file, &at]).await).await;
    may(async || scp(stand, &["-O", &at, back]).await).await;
    succeeds(&scp(stand, &[&at, back]).await);
    let said = succeeds(&sftp(stand, "none", "ls -l /plain\n").await);
    assert!(said.contains("/plain"), "{said}");
    for change in [
        "put {file} /other",
        "rm /plain",
        "mkdir /d",
        "rename /plain /p",
        "chmod 600 /plain",
    ] {
        let change = change.replace("{file}", file);
        let said = fails(&sftp(stand, "none", &format!("{change}\n")).await);
        assert!(said.contains("ermission denied"), "{change}: {said}");
    }

    let refused = ["podgate_frontdoor_files_refused_total 5"];
    stand.frontdoor.counts(SOON, &refused).await.unwrap();

    stand.api.set_rbac(dev_may(&[write]));
    told(denied, async || scp(stand, &["-O", &at, back]).await).await;
    may(async || scp(stand, &["-O", file, &at]).await).await;
    let batch = format!("put {file} /other\nmkdir /d\nrename /other /d/o\nrm /d/o\n");
    succeeds(&sftp(stand, "none", &batch).await);
    for look in ["get /plain {back}", "ls /"] {
        let look = look.replace("{back}", back);
        let said = fails(&sftp(stand, "none", &format!("{look}\n")).await);
        assert!(said.contains("ermission denied"), "{look}: {said}");
    }

    stand.api.set_rbac(dev_may(&[read, write]));
    let both = format!("put {file} /b\nget /b {back}\n");
    may(async || sftp(stand, "none", &both).await).await;
    let mut session = stand.client.ssh(&["-s"], "none");
    let session = session.arg("sftp").stdin(std::process::Stdio::piped());
    let mut session = session.spawn().unwrap();
    let _stdin = session.stdin.take();
    let begun = ["podgate_agent_sessions_active 1"];
    stand.agent.counts(SOON, &begun).await.unwrap();
    stand.api.set_rbac(dev_may(&[read]));
    let output = tokio::time::timeout(SOON, session.wait_with_output()).await;
    let told = fails(&output.expect("the session ends").unwrap());
    assert!(
        told.contains("you may not enter this pod any more"),
        "{told}"
    );
}
