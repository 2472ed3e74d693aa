//! A network goes silent and nobody is told, so each part must notice by itself. Nothing stays behind.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::real::containerd::Bridge;
use podgate_tests::real::containerd::{PodSpec, RunningPod};
use podgate_tests::real::network::{Network, Site};
use tokio::io::AsyncReadExt;
use tokio::process::Child;
use tokio::time::timeout;

/// A link gives up after 8 s; a client's keepalive, as set here, in less.
const NOTICED: Duration = Duration::from_secs(15);

struct Silent {
    stand: Stand,
    network: Arc<Network>,
    pod: RunningPod,
    ssh: Child,
}

async fn start() -> Silent {
    let network = Arc::new(Network::new().unwrap());
    let changes = Changes {
        helper: true,
        network: Some(Arc::clone(&network)),
        agent: "hangUpGraceSeconds: 1\n".into(),
        frontdoor: "limits: {keepaliveSeconds: 1, keepalives: 2}\n".into(),
        ..Changes::default()
    };
    let stand = Stand::containerd(changes).await.unwrap();
    let pod = stand.run_pod(PodSpec::busybox("bb")).await.unwrap();
    let mut ssh = stand.client.ssh(&[], "bb");
    let ssh = ssh.arg("sleep 7300").stdin(Stdio::piped()).spawn().unwrap();
    let this = Silent {
        stand,
        network,
        pod,
        ssh,
    };
    this.runs(true).await;
    this
}

impl Silent {
    async fn runs(&self, expect: bool) {
        let id = self.pod.container_id("app").unwrap();
        let look = |all: &[(u32, String)]| {
            let runs = all.iter().any(|(_, line)| line.contains("sleep 7300"));
            (runs == expect).then_some(())
        };
        let looked = self.stand.until_processes(NOTICED, id, look);
        looked.await.unwrap();
    }
}

#[test]
fn a_network_mounts_nothing_and_takes_no_port_of_the_machine() {
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let of_networks = |mounts: &str| mounts.matches(" /run/netns").count();
    let before = of_networks(&mounts());
    let networks = [Network::new().unwrap(), Network::new().unwrap()];
    assert_eq!(of_networks(&mounts()), before);
    let addresses = networks.each_ref().map(|it| it.address(Site::Node));
    assert_ne!(addresses[0], addresses[1]);

    // A port that is in use here is free there.
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let bridge = Bridge::new().unwrap();
    let host = bridge.host().unwrap();
    let listener = host.listen(port).unwrap();
    let address = listener.local_addr().unwrap();
    assert!(std::net::TcpStream::connect(address).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_cut_off_is_hung_up() {
    let silent = start().await;
    silent.network.cut(Site::Client, Site::Frontdoor).unwrap();
    silent.runs(false).await;
    let gone = ["podgate_frontdoor_connections 0"];
    silent.stand.frontdoor.counts(NOTICED, &gone).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_hangs_up_and_its_users_are_told() {
    let mut silent = start().await;
    silent.network.cut(Site::Frontdoor, Site::Node).unwrap();
    let mut said = String::new();
    let mut stderr = silent.ssh.stderr.take().unwrap();
    timeout(NOTICED, stderr.read_to_string(&mut said))
        .await
        .unwrap()
        .unwrap();
    assert!(said.starts_with("podgate: "), "{said}");
    assert_eq!(silent.ssh.wait().await.unwrap().code(), Some(255));
    silent.runs(false).await;
    // A session that is asked for meanwhile is refused in time.
    let output = silent.stand.client.run(&[], "bb", "true").await.unwrap();
    assert_eq!(output.status.code(), Some(255));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("node-a"), "{said}");

    silent.network.mend(Site::Frontdoor, Site::Node).unwrap();
    let output = silent.stand.client.run(&[], "bb", "exit 6").await.unwrap();
    assert_eq!(output.status.code(), Some(6), "{output:?}");
}
