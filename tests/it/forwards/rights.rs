//! Who may forward what: options of keys, extensions of certificates, RBAC, and rules about pods.

use podgate_tests::fixtures::stand::{NODE, NODE_IP};
use podgate_tests::real::ssh::keygen;
use podgate_tests::stand_ins::apiserver::{Rbac, group, rule};
use podgate_tests::stand_ins::cluster::pod;

use super::*;

const DENIED: &str = "connect failed: no pod demo in namespace default, or you may not enter it";

#[tokio::test(flavor = "multi_thread")]
async fn options_of_a_key() {
    let stand = stand("").await;
    let server = Upper::start().await.unwrap();
    let port = server.port();
    let (client, key) = stand.stranger("bob").await.unwrap();
    let address = format!("127.0.0.1:{port}");
    let prohibited = "administratively prohibited: this login may not forward ports";
    let elsewhere = "administratively prohibited: this login may not be used to reach that host and port (permitopen)";
    for (options, expect) in [
        (String::new(), None),
        ("no-port-forwarding".to_owned(), Some(prohibited)),
        ("restrict".to_owned(), Some(prohibited)),
        ("restrict,port-forwarding".to_owned(), None),
        (format!("permitopen=\"127.0.0.1:{port}\""), None),
        ("permitopen=\"127.0.0.1:*\"".to_owned(), None),
        ("permitopen=\"127.0.0.1:1\"".to_owned(), Some(elsewhere)),
        (format!("permitopen=\"localhost:{port}\""), Some(elsewhere)),
    ] {
        let users = format!("- {{name: bob, groups: [dev], keys: ['{options} {key}']}}\n");
        let draft = stand.dir().join("draft");
        std::fs::write(&draft, users).unwrap();
        std::fs::rename(&draft, stand.dir().join("users.yaml")).unwrap();
        // The file is looked at now and then.
        let as_expected = || async {
            let output = fed(client.ssh(&[SAY, "-W", &address], "demo"), b"hi").await;
            let said = String::from_utf8(output.stderr).unwrap();
            let fits = match expect {
                None => output.stdout == b"HI",
                Some(words) => output.stdout.is_empty() && said.contains(words),
            };
            fits.then_some(())
        };
        eventually(&options, SOON, as_expected).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_needs_its_extension() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca");
    keygen(&ca, &["-t", "ed25519"]).await.unwrap();
    let trusted = format!(
        "authn: {{certificates: [{{authorities: '{}.pub'}}]}}\n",
        ca.display()
    );
    let stand = stand(&trusted).await;
    let server = Upper::start().await.unwrap();
    let address = format!("127.0.0.1:{}", server.port());
    let (client, _key) = stand.stranger("bob").await.unwrap();
    for (options, may) in [
        (&["-O", "clear"][..], false),
        (&["-O", "clear", "-O", "permit-port-forwarding"], true),
        (&[], true),
    ] {
        let signed = Command::new("ssh-keygen")
            .args(["-q", "-s"])
            .arg(&ca)
            .args(["-I", "bob", "-n", "bob"])
            .args(options)
            .arg(stand.dir().join("bob/id.pub"))
            .status();
        assert!(signed.await.unwrap().success());
        let output = fed(client.ssh(&[SAY, "-W", &address], "demo"), b"hi").await;
        let said = String::from_utf8_lossy(&output.stderr);
        match may {
            true => assert_eq!(output.stdout, b"HI", "{said}"),
            false => assert!(said.contains("may not forward ports"), "{said}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn portforward_is_a_right_of_its_own() {
    let stand =
        stand("authorization: {allowedSeconds: 1, deniedSeconds: 1}\nrecheckSeconds: 1\n").await;
    let server = Upper::start().await.unwrap();
    let address = format!("127.0.0.1:{}", server.port());
    let may = |resources: &[&str]| {
        let rules = [rule(&["create"], &[""], resources)];
        let rbac = Rbac::default().cluster_role("some", &rules);
        rbac.bind("default", "dev", "ClusterRole/some", &[group("dev")])
    };
    stand.api.set_rbac(may(&["pods/exec"]));
    let said = refused(&stand, "demo", &address).await;
    assert!(said.contains(DENIED), "{said}");
    stand.api.set_rbac(may(&["pods/portforward"]));
    let allowed = || async {
        let output = through(&stand, "demo", &address, b"hi").await;
        (output.stdout == b"HI").then_some(())
    };
    eventually("the right", SOON, allowed).await.unwrap();
    let bytes = [
        "podgate_frontdoor_forward_bytes_total{direction=\"to_pods\"} 2",
        "podgate_frontdoor_forward_bytes_total{direction=\"from_pods\"} 2",
    ];
    stand.frontdoor.counts(SOON, &bytes).await.unwrap();
    let output = stand.client.run(&[], "demo", "echo ran").await.unwrap();
    assert!(output.stdout.is_empty());
    // One that stands ends with the right.
    let mut ssh = stand.client.ssh(&[SAY, "-W", &address], "demo");
    let mut child = ssh.stdin(Stdio::piped()).spawn().unwrap();
    let active = ["podgate_frontdoor_forwards_active 1"];
    stand.frontdoor.counts(SOON, &active).await.unwrap();
    stand.api.set_rbac(may(&["pods/exec"]));
    let ended = timeout(SOON, child.wait()).await;
    ended.expect("the forward ends").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_to_exec_suffices_where_it_is_so_configured() {
    let lines = "authorization: {allowedSeconds: 1, deniedSeconds: 1}\nrecheckSeconds: 1\n\
                 forwards: {execSuffices: true}\n";
    let stand = stand(lines).await;
    let server = Upper::start().await.unwrap();
    let address = format!("127.0.0.1:{}", server.port());
    let may = |resource: &str| {
        let rules = [rule(&["create"], &[""], &[resource])];
        let rbac = Rbac::default().cluster_role("some", &rules);
        rbac.bind("default", "dev", "ClusterRole/some", &[group("dev")])
    };
    for resource in ["pods/exec", "pods/portforward"] {
        stand.api.set_rbac(may(resource));
        let allowed = || async {
            let output = through(&stand, "demo", &address, b"hi").await;
            (output.stdout == b"HI").then_some(())
        };
        eventually(resource, SOON, allowed).await.unwrap();
    }
    // What stands by the right to exec ends with it.
    stand.api.set_rbac(may("pods/exec"));
    let mut ssh = stand.client.ssh(&[SAY, "-W", &address], "demo");
    let mut child = ssh.stdin(Stdio::piped()).spawn().unwrap();
    let active = ["podgate_frontdoor_forwards_active 1"];
    stand.frontdoor.counts(SOON, &active).await.unwrap();
    stand.api.set_rbac(may("pods/attach"));
    let ended = timeout(SOON, child.wait()).await;
    ended.expect("the forward ends").unwrap();
    let denied = || async {
        let output = through(&stand, "demo", &address, b"hi").await;
        let said = String::from_utf8_lossy(&output.stderr);
        said.contains(DENIED).then_some(())
    };
    eventually("the refusal", SOON, denied).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_on_the_nodes_network_are_closed_unless_they_are_allowed() {
    let server = Upper::start().await.unwrap();
    let address = format!("127.0.0.1:{}", server.port());
    for (lines, open) in [("", false), ("forwards: {hostNetwork: true}\n", true)] {
        let stand = stand(lines).await;
        let shared = pod("default", "host", "host-uid", NODE, NODE_IP).host_network();
        stand.cluster.add(shared.container("main", "demo"));
        let output = through(&stand, "host", &address, b"hi").await;
        let said = String::from_utf8(output.stderr).unwrap();
        match open {
            true => assert_eq!(output.stdout, b"HI", "{said}"),
            false => assert!(
                said.contains("administratively prohibited: the pod shares its node's network"),
                "{said}"
            ),
        }
    }
}
