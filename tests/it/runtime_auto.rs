//! The runtime `auto`: what the node entry does not start is the kubelet's, and is counted by its reason. With
//! `direct` the user reads why there is no session.

use std::time::Duration;

use podgate_tests::fixtures::images::Image;
use podgate_tests::fixtures::stand::{Changes, Runs, Stand};

use podgate_tests::real::containerd::{ContainerSpec, PodSpec};

const SOON: Duration = Duration::from_secs(30);

async fn stand(runs: Runs) -> Stand {
    let changes = Changes {
        runs,
        ..Changes::default()
    };
    Stand::containerd(changes).await.unwrap()
}

/// Pods that the entry does not enter, the word for why, and what the user reads with `direct`.
fn pods() -> [(PodSpec, &'static str, &'static str); 2] {
    let mut app = ContainerSpec::new("app", Image::Busybox);
    app.security.privileged = true;
    let mut sees_the_node = PodSpec::busybox("host-pid");
    sees_the_node.host_pid = true;
    [
        (
            PodSpec::new("privileged").container(app),
            "privileged",
            "the container is privileged, and the node entry does not enter those",
        ),
        (
            sees_the_node,
            "host_processes",
            "the container sees the node's processes, and the node entry does not enter those",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_entry_does_not_start_is_the_kubelets() {
    let mut stand = stand(Runs::Auto).await;
    let plain = stand.run_pod(PodSpec::busybox("bb")).await.unwrap();
    let runs = async |stand: &Stand, pod: &str| {
        let output = stand
            .client
            .run(&[], pod, "echo here; exit 7")
            .await
            .unwrap();
        assert_eq!(output.status.code(), Some(7), "{output:?}");
        assert_eq!(output.stdout, b"here\n");
    };
    runs(&stand, &plain.name).await;
    let starts = |runtime, count| {
        format!("podgate_agent_starts_total{{runtime=\"{runtime}\",outcome=\"started\"}} {count}")
    };
    let counts = async |stand: &Stand, lines: &[String]| {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        stand.agent.counts(SOON, &lines).await.unwrap();
    };
    counts(&stand, &[starts("direct", 1)]).await;
    for (number, (spec, reason, _)) in pods().into_iter().enumerate() {
        let pod = stand.run_pod(spec).await.unwrap();
        runs(&stand, &pod.name).await;
        let instead = format!("podgate_agent_kubelet_instead_total{{reason=\"{reason}\"}} 1");
        counts(&stand, &[instead, starts("kubelet", number + 1)]).await;
    }
    // And everything, once the entry is away.
    stand.entry.as_mut().unwrap().kill().unwrap();
    counts(&stand, &["podgate_agent_entry_connected 0".to_owned()]).await;
    runs(&stand, &plain.name).await;
    let absent = "podgate_agent_kubelet_instead_total{reason=\"absent\"} 1".to_owned();
    counts(&stand, &[absent, starts("kubelet", 3)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_direct_the_user_reads_why_there_is_no_session() {
    let stand = stand(Runs::Direct).await;
    for (spec, _, expect) in pods() {
        let pod = stand.run_pod(spec).await.unwrap();
        let output = stand.client.run(&[], &pod.name, "true").await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(255), "{said}");
        assert!(said.contains(expect), "{said}");
    }
}
