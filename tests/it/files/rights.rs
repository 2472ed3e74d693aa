//! Who may do what with files: those who may run programs all, others what `files/read` and
//! `files/write` allow, and only where a server of Podgate's own enforces it.

use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::stand_ins::apiserver::{Rbac, group, rule};

use super::*;

/// Waits until a client is told this: what was answered before counts for a second.
async fn told(line: &str, client: impl AsyncFn() -> Output) {
    let new = || async { fails(&client().await).contains(line).then_some(()) };
    let new = eventually("the new rights", SOON, new).await;
    new.unwrap_or_else(|error| panic!("{error}: {line}"));
}

fn dev_may(rules: &[(&str, &str)]) -> Rbac {
    let rules: Vec<_> = rules
        .iter()
        .map(|(api, resource)| rule(&["create"], &[api], &[resource]))
        .collect();
    let rbac = Rbac::default().cluster_role("files", &rules);
    rbac.bind("default", "dev", "ClusterRole/files", &[group("dev")])
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
    let image = "here the image's own programs serve files, and for these you need the right to create pods/exec";
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
