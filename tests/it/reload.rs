//! Files that are replaced while a part runs are used for its next connection. Open connections are not
//! touched.

use std::path::Path;

use podgate_tests::fixtures::stand::{Changes, KubeletTrust, NODE, Stand, TOKEN};
use podgate_tests::real::ssh::{Client, keygen};
use podgate_tests::stand_ins::kubelet::ServerCertificate;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// As a mounted Secret is renewed: the new file takes the name at once.
fn replace(path: &Path, text: &str) {
    let draft = path.with_extension("draft");
    std::fs::write(&draft, text).unwrap();
    std::fs::rename(&draft, path).unwrap();
}

async fn works(stand: &Stand) -> bool {
    let output = stand.client.run(&[], "demo", "echo works").await.unwrap();
    output.stdout == b"works\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_both_ends() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let mut ssh = stand.client.ssh(&[], "demo");
    let mut standing = ssh
        .arg("cat")
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = standing.stdin.take().unwrap();
    let mut stdout = BufReader::new(standing.stdout.take().unwrap());
    let mut line = String::new();
    stdin.write_all(b"before\n").await.unwrap();
    stdout.read_line(&mut line).await.unwrap();

    // The agent now shows another node's name, which new connections do not trust. The session's
    // connection stands, but a frontdoor that dials anew notices.
    let agent = |name: &str| {
        let issued = stand.pki.issue(&[name]).unwrap();
        replace(&stand.dir().join("agent.key"), &issued.key_pem);
        replace(&stand.dir().join("agent.crt"), &issued.cert_pem);
    };
    agent("node-b.agent.podgate");
    let (_frontdoor, client) = stand.another_frontdoor().await.unwrap();
    let output = client.run(&[], "demo", "true").await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("the agent on node node-a is not trusted"),
        "{text}"
    );
    agent("*.agent.podgate");
    let output = client.run(&[], "demo", "true").await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("the agent on node node-a is not trusted"),
        "{text}"
    );
    agent(&format!("{NODE}.agent.podgate"));
    let output = client.run(&[], "demo", "echo works").await.unwrap();
    assert_eq!(output.stdout, b"works\n");

    stdin.write_all(b"after\n").await.unwrap();
    stdout.read_line(&mut line).await.unwrap();
    assert_eq!(line, "before\nafter\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_their_keys() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let dir = stand.dir().join("grace");
    std::fs::create_dir(&dir).unwrap();
    let key = keygen(&dir.join("id"), &["-t", "ecdsa"]).await.unwrap();
    std::fs::copy(stand.dir().join("known_hosts"), dir.join("known_hosts")).unwrap();
    let grace = Client::new(&dir, stand.frontdoor.port());
    assert_eq!(
        grace.run(&[], "demo", "true").await.unwrap().status.code(),
        Some(255)
    );

    let users = stand.dir().join("users.yaml");
    replace(&users, &format!("- {{name: grace, keys: ['{key}']}}\n"));
    assert_eq!(
        grace.run(&[], "demo", "true").await.unwrap().status.code(),
        Some(0)
    );
    assert!(!works(&stand).await, "a user who was removed logged in");
    // A file that is not valid leaves the last good one in force.
    replace(&users, "- {nome: ada}\n");
    assert_eq!(
        grace.run(&[], "demo", "true").await.unwrap().status.code(),
        Some(0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kubelets_token() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    assert!(works(&stand).await);
    let access = stand.kubelet.access();
    access.add_token("the-next-token", "system:serviceaccount:podgate:agent");
    access.remove_token(TOKEN);
    let output = stand.client.run(&[], "demo", "true").await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("refused the agent (401)"), "{text}");
    replace(&stand.dir().join("token"), "the-next-token\n");
    assert!(works(&stand).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kubelets_client_certificate() {
    let changes = Changes {
        kubelet_certificate: true,
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    assert!(works(&stand).await);
    stand.kubelet.access().forbid("podgate-agent");
    let output = stand.client.run(&[], "demo", "true").await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("refused the agent (403)"), "{text}");
    let issued = stand.pki.client("another-agent", &[]).unwrap();
    replace(&stand.dir().join("kubelet.key"), &issued.key_pem);
    replace(&stand.dir().join("kubelet.crt"), &issued.cert_pem);
    // Connections that were opened ahead still show the old one; the kubelet lets go of them.
    stand.kubelet.restart().await.unwrap();
    assert!(works(&stand).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kubelets_own_certificate() {
    let changes = Changes {
        kubelet_trust: KubeletTrust::Certificate,
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    // A certificate of an unknown CA, trusted because it is the one on the node.
    let show = async |certificate| {
        stand.kubelet.faults().set_certificate(certificate);
        stand.kubelet.restart().await.unwrap();
    };
    show(ServerCertificate::Untrusted).await;
    assert!(works(&stand).await);
    show(ServerCertificate::Good).await;
    let output = stand.client.run(&[], "demo", "true").await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("the kubelet on the pod's node is not trusted"),
        "{text}"
    );
    assert_eq!(output.status.code(), Some(255), "{text}");
    let good = stand.kubelet.certificate_pem(ServerCertificate::Good);
    replace(&stand.dir().join("kubelet-server.crt"), good);
    assert!(works(&stand).await);

    let changes = Changes {
        kubelet_trust: KubeletTrust::Anything,
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    let untrusted = ServerCertificate::Untrusted;
    stand.kubelet.faults().set_certificate(untrusted);
    assert!(works(&stand).await);
}
