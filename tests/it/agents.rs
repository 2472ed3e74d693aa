//! Agents are dialled at their own pods, if the frontdoor is configured so.

use std::time::Duration;

use podgate_tests::fixtures::stand::{Changes, NODE, NODE_IP, Stand};
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::stand_ins::apiserver::ApiFault;
use podgate_tests::stand_ins::cluster::pod;

const SOON: Duration = Duration::from_secs(30);
/// An address of this machine where nobody listens.
const NOBODY: &str = "127.0.0.9";

/// Runs a session until one ends with this status, and returns what it printed.
async fn until(stand: &Stand, status: i32) -> String {
    let output = eventually("the status", SOON, || async {
        let output = stand.client.run(&[], "far", "exit 6").await.ok()?;
        (output.status.code() == Some(status)).then_some(output)
    });
    String::from_utf8(output.await.unwrap().stderr).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_dialled_at_its_own_pod() {
    let changes = Changes {
        agent_pods: true,
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    // The node's own address leads nowhere.
    let far = pod("default", "far", "demo-uid", NODE, NOBODY);
    stand.cluster.add(far.container("main", "demo"));

    let output = stand.client.run(&[], "far", "true").await.unwrap();
    assert_eq!(output.status.code(), Some(255));
    let said = String::from_utf8(output.stderr).unwrap();
    let none = "podgate: no Podgate agent runs on the pod's node, node-a\r\n";
    assert_eq!(said, none);

    stand.cluster.add(Stand::agent_pod("agent-1", NODE_IP));
    until(&stand, 6).await;
    // The agent's pod is replaced by another, and the next session goes there.
    stand.cluster.remove("podgate", "agent-1").unwrap();
    assert_eq!(until(&stand, 255).await, none);
    stand.cluster.add(Stand::agent_pod("agent-2", NOBODY));
    let elsewhere = eventually("another address", SOON, || async {
        let said = until(&stand, 255).await;
        said.contains("the agent on node node-a cannot be reached")
            .then_some(())
    });
    elsewhere.await.unwrap();
    stand.cluster.add(Stand::agent_pod("agent-2", NODE_IP));
    until(&stand, 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_while_the_api_server_was_away_is_known_soon_after() {
    let changes = Changes {
        agent_pods: true,
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    let far = pod("default", "far", "demo-uid", NODE, NOBODY);
    stand.cluster.add(far.container("main", "demo"));
    let (here, nowhere) = (
        Stand::agent_pod("agent", NODE_IP),
        Stand::agent_pod("agent", NOBODY),
    );
    for fault in [ApiFault::Refused, ApiFault::Silent, ApiFault::InternalError] {
        stand.cluster.add(here.clone());
        until(&stand, 6).await;
        stand.api.set_fault(fault).await.unwrap();
        stand.api.cut().await.unwrap();
        stand.cluster.add(nowhere.clone());
        let known = stand.client.run(&[], "far", "exit 6").await.unwrap();
        assert_eq!(known.status.code(), Some(6), "{fault:?}: {known:?}");
        stand.api.set_fault(ApiFault::None).await.unwrap();
        let right = eventually("the change", SOON, || async {
            let output = stand.client.run(&[], "far", "true").await.ok()?;
            let said = String::from_utf8(output.stderr).ok()?;
            said.contains("cannot be reached").then_some(())
        });
        right.await.unwrap();
    }
}
