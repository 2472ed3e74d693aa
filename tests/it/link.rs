//! The link between frontdoor and agent: who may connect, what a request must have, and peers of
//! other versions or that break the protocol.
#![allow(
    clippy::disallowed_methods,
    reason = "the peers' tasks end with the test's runtime"
)]

mod bounds;
mod late;
mod peers;
mod protocol;
mod stopped;
mod strangers;
mod version_1;

use std::time::Duration;

use podgate_proto::limits::RELEASE;
use podgate_proto::v1::agent_client::AgentClient;
use podgate_proto::v1::agent_message::Message as FromAgent;
use podgate_proto::v1::failed::Reason;
use podgate_proto::v1::frontdoor_message::Message as ToAgent;
use podgate_proto::v1::{Action, Data, Dial, EndOfInput, FrontdoorMessage, Open, Versions, open};
use podgate_tests::fixtures::pki::Pki;
use podgate_tests::fixtures::stand::{Changes, Stand};

use peers::{answer, connect, refusal, request};

const SOON: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn only_a_frontdoor_by_name_is_served() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let channel = connect(&stand, &stand.pki, &["frontdoor.podgate"])
        .await
        .unwrap();
    let answers = answer(&channel, ToAgent::Open(request().into())).await;
    assert!(matches!(answers.last(), Some(FromAgent::Exited(exited)) if exited.status == 3));

    let other = Pki::new().unwrap();
    for (issuer, name) in [
        (&stand.pki, "node-b.agent.podgate"),
        (&stand.pki, "x.frontdoor.podgate"),
        (&stand.pki, "*.podgate"),
        (&other, "frontdoor.podgate"),
    ] {
        if let Ok(channel) = connect(&stand, issuer, &[name]).await {
            let stream = tokio_stream::empty();
            AgentClient::new(channel).session(stream).await.unwrap_err();
        }
    }
    let refused = [
        "podgate_agent_refused_peers_total{outcome=\"peer\"} 3",
        "podgate_agent_refused_peers_total{outcome=\"handshake\"} 1",
    ];
    stand.agent.counts(SOON, &refused).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_belongs_to_one_session_at_a_time() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let channel = connect(&stand, &stand.pki, &["frontdoor.podgate"])
        .await
        .unwrap();
    let first = bounds::run("read line; exit 4");
    let mut again = request();
    again.session_id.clone_from(&first.session_id);
    let (sender, messages) = tokio::sync::mpsc::channel(1);
    let say = async |message| {
        let message = Some(message);
        sender.send(FrontdoorMessage { message }).await.unwrap();
    };
    say(ToAgent::Open(first.into())).await;
    let stream = tokio_stream::wrappers::ReceiverStream::new(messages);
    let answers = AgentClient::new(channel.clone()).session(stream).await;
    let mut answers = answers.unwrap().into_inner();
    let mut next = async || answers.message().await.unwrap().unwrap().message.unwrap();
    assert!(matches!(next().await, FromAgent::Opened(_)));
    let (reason, message) = refusal(&channel, again.clone()).await;
    let in_use = (Reason::Protocol, "the session's id is in use");
    assert_eq!((reason, message.as_str()), in_use);
    // The first goes on, and then gives its id back.
    say(ToAgent::EndOfInput(EndOfInput { offset: 0 })).await;
    let exited = loop {
        if let FromAgent::Exited(exited) = next().await {
            break exited;
        }
    };
    assert_eq!(exited.status, 4);
    let none = ["podgate_agent_sessions_active 0"];
    stand.agent.counts(SOON, &none).await.unwrap();
    let answers = answer(&channel, ToAgent::Open(again.into())).await;
    assert!(matches!(answers.last(), Some(FromAgent::Exited(exited)) if exited.status == 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_does_not_fit_is_refused_with_the_reason() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let channel = connect(&stand, &stand.pki, &["frontdoor.podgate"])
        .await
        .unwrap();
    let check = async |change: fn(&mut Open), reason: Reason, words: &str| {
        let mut open = request();
        change(&mut open);
        let (given, message) = refusal(&channel, open).await;
        assert_eq!(given, reason, "{message}");
        assert!(message.contains(words), "{message}");
    };
    let too_new = |o: &mut Open| {
        let (lowest, highest) = (1000, 1001);
        o.versions = Some(Versions { lowest, highest });
        o.release = "9.9.9".into();
    };
    check(too_new, Reason::Protocol, "run the same release on both").await;
    check(too_new, Reason::Protocol, "(release 9.9.9, ").await;
    let own = format!("(release {RELEASE}, ");
    check(too_new, Reason::Protocol, &own).await;
    check(
        |o| o.versions = None,
        Reason::Protocol,
        "run the same release on both",
    )
    .await;
    check(
        |o| o.session_id = "x; rm".into(),
        Reason::Protocol,
        "32 hex digits",
    )
    .await;
    check(
        |o| o.connection_id.clear(),
        Reason::Protocol,
        "connection's id",
    )
    .await;
    check(|o| o.action = None, Reason::Protocol, "no action").await;
    check(|o| o.grant = None, Reason::Grant, "no grant").await;
    check(
        |o| o.grant.as_mut().unwrap().expires_at = 1,
        Reason::Grant,
        "expired",
    )
    .await;
    check(
        |o| o.grant.as_mut().unwrap().pod.as_mut().unwrap().node = "node-b".into(),
        Reason::Grant,
        "for node \"node-b\"",
    )
    .await;
    check(
        |o| o.action = Some(open::Action::Dial(Dial::default())),
        Reason::Grant,
        "another action",
    )
    .await;
    check(
        |o| {
            o.action = Some(open::Action::Dial(Dial::default()));
            o.grant.as_mut().unwrap().action = Action::Dial.into();
        },
        Reason::Protocol,
        "without an address",
    )
    .await;
    check(
        |o| o.grant.as_mut().unwrap().pod.as_mut().unwrap().uid = "other".into(),
        Reason::PodChanged,
        "replaced by another",
    )
    .await;

    let first = ToAgent::Input(Data {
        offset: 0,
        bytes: "too early".into(),
    });
    let answers = answer(&channel, first).await;
    assert!(matches!(answers.as_slice(), [FromAgent::Failed(f)] if f.reason() == Reason::Protocol));
    assert_eq!(
        stand.kubelet.total_execs(),
        1,
        "only the one for another pod got that far"
    );
    assert_eq!(stand.embedded.as_ref().unwrap().running().len(), 0);
}
