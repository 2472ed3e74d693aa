//! Libraries, each by a script of `tests/clients`: commands, a terminal and forwards on one connection.

use podgate_tests::instruments::clients;
use podgate_tests::instruments::http::Pages;
use podgate_tests::instruments::ssh_agent::SshAgent;
use podgate_tests::instruments::upper::Upper;

use super::*;

/// Runs a script that is told of a port in the pod, and of an agent if there is one.
async fn by(place: &Place, name: &str, port: u16, agent: Option<&SshAgent>) {
    let (host, at, key, known) = place.stand.client.parts();
    let mut script = clients::script(name).unwrap();
    script.args([host, &at.to_string(), &place.pod.name]);
    script.arg(key).arg(known);
    script.args(["127.0.0.1", &port.to_string()]);
    script.envs(agent.map(|agent| ("AGENT", agent.socket())));
    clients::succeeds(&mut script, SOON).await.unwrap();
    place.stand.until_quiet(SOON).await.unwrap();
}

/// With a server that answers in capitals once it has read all.
async fn by_halves(name: &str) {
    let (place, server) = (Place::new().await, Upper::start().await.unwrap());
    by(&place, name, server.port(), None).await;
}

/// With a web server.
async fn by_pages(name: &str) {
    let place = Place::new().await;
    let pages = Pages::start("from the pod\n").await.unwrap();
    by(&place, name, pages.port(), None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paramiko() {
    by_halves("paramiko_forwards.py").await;
}

/// Cursor, Windsurf and VSCodium: the order of open-remote-ssh, without an agent.
#[tokio::test(flavor = "multi_thread")]
async fn open_remote_ssh() {
    by_pages("ssh2_remote_ssh.js").await;
}

/// The same, with an agent that is forwarded (`remote.SSH.enableAgentForwarding`).
#[tokio::test(flavor = "multi_thread")]
async fn open_remote_ssh_with_an_agent() {
    let place = Place::new().await;
    let pages = Pages::start("from the pod\n").await.unwrap();
    let agent = SshAgent::start().await.unwrap();
    by(&place, "ssh2_remote_ssh.js", pages.port(), Some(&agent)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "PODGATE_TOOLS=all"]
async fn asyncssh() {
    by_halves("asyncssh_forwards.py").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "PODGATE_TOOLS=all"]
async fn fabric() {
    by_pages("fabric_forwards.py").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "PODGATE_TOOLS=all"]
async fn sshtunnel() {
    by_pages("sshtunnel_forwards.py").await;
}
