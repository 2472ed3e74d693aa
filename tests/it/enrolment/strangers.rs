//! Parts are enrolled, whatever strangers do at the signer's port.

use podgate_proto::v1::EnrolRequest;
use podgate_tests::fixtures::gateway::Part;
use podgate_tests::fixtures::pki::Pki;
use podgate_tests::fixtures::stand::enrolled::{self, AUDIENCE, Config, token};
use podgate_tests::instruments::dial::from;
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::instruments::headers::without_end;
use podgate_tests::stand_ins::apiserver::ApiServer;
use podgate_tests::stand_ins::cluster::Cluster;
use podgate_tests::stand_ins::issuer::unsigned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tonic::Code;

use super::{SOON, call, count, dial, ready};

struct Signer {
    part: Part,
    api: ApiServer,
    dir: TempDir,
}

impl Signer {
    async fn start() -> Self {
        let (dir, pki) = (tempfile::tempdir().unwrap(), Pki::new().unwrap());
        let api = ApiServer::start(Cluster::new(), &pki).await.unwrap();
        api.kubeconfig(&dir.path().join("kubeconfig")).unwrap();
        enrolled::prepare(&api, dir.path()).unwrap();
        let part = enrolled::signer(dir.path(), 0, Config::default())
            .await
            .unwrap();
        ready(&part, 200).await;
        Self { part, api, dir }
    }

    /// Calls with a token of these claims.
    async fn call(&self, claims: &Value) -> Result<(), Code> {
        let request = EnrolRequest {
            protocol_version: 1,
            token: unsigned(claims),
            public_key: [&[4][..], &[7; 64]].concat().into(),
            ..EnrolRequest::default()
        };
        let bundle = self.dir.path().join("bundle/ca.crt");
        let answer = call(self.part.port(), &bundle, request).await;
        answer.map(drop).map_err(|status| status.code())
    }

    /// Gives an agent's pod a token.
    fn agent(&self) -> Value {
        let claims = json!({"aud": [AUDIENCE], "sub": "agent"});
        let bearer = unsigned(&claims);
        self.api.add_token(&bearer, token("agent", "node-a"));
        claims
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_keep_nobody_out() {
    let signer = Signer::start().await;
    let agent = signer.agent();
    let address = format!("127.0.0.1:{}", signer.part.port());
    let mut silent = Vec::new();
    for n in 0..300 {
        let stranger = format!("127.0.1.{}", n % 10);
        silent.push(from(&stranger, &address).await.unwrap());
    }
    let name = "podgate_signer_refused_connections_total{listener=\"enrolment\",limit=\"total\"}";
    let full = || async { (count(&signer.part, name).await > 0).then_some(()) };
    eventually("a full port", SOON, full).await.unwrap();
    // The silent ones give way once they have been silent for a while.
    let enrolled = || async { signer.call(&agent).await.ok() };
    eventually("an enrolment", SOON, enrolled).await.unwrap();
    drop(silent);
}

/// Connections with header fields that never end, and the most bytes of them that each sends: far more than
/// the kernel holds for both ends.
const MANY: usize = 24;
const FIELDS: usize = 32 * 1024 * 1024;
/// Bytes by which the signer may grow meanwhile.
const GROWN: u64 = 16 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn header_fields_without_end_are_cut_off_and_not_kept() {
    let signer = Signer::start().await;
    let agent = signer.agent();
    let bundle = signer.dir.path().join("bundle/ca.crt");
    let port = signer.part.port();
    signer.part.reset_peak().unwrap();
    let before = signer.part.peak().unwrap();
    let mut floods = JoinSet::new();
    for _ in 0..MANY {
        let bundle = bundle.clone();
        floods.spawn(async move {
            let dialled = dial(("127.0.0.1", port), "signer.podgate", &bundle, None);
            without_end(dialled.await, FIELDS).await
        });
    }
    while let Some(sent) = floods.join_next().await {
        sent.unwrap().expect("the signer takes everything");
    }
    let grown = signer.part.peak().unwrap() - before;
    assert!(grown < GROWN, "{grown} bytes");
    assert_eq!(signer.call(&agent).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_nobody_cost_others_nothing() {
    let signer = Signer::start().await;
    let agent = signer.agent();
    // A token whose own claims say that it is for something else uses up no rate, nor does an expired
    // one.
    for n in 0..10 {
        let other = json!({"aud": ["vault"], "jti": n});
        assert_eq!(signer.call(&other).await, Err(Code::Unauthenticated));
        let expired = json!({"aud": [AUDIENCE], "exp": 1_000_000, "jti": n});
        assert_eq!(signer.call(&expired).await, Err(Code::Unauthenticated));
    }
    assert_eq!(signer.api.requests("create", "tokenreviews"), 0);
    assert_eq!(signer.call(&agent).await, Ok(()));
    // A token about which the API server must be asked counts for its address.
    let mut asked = 0;
    let refused = loop {
        let forged = json!({"aud": [AUDIENCE], "jti": asked});
        match signer.call(&forged).await {
            Err(Code::Unauthenticated) => asked += 1,
            other => break other,
        }
        assert!(asked < 200, "everything is asked");
    };
    assert_eq!(refused, Err(Code::ResourceExhausted));
    // One is given back each second.
    assert!((60..90).contains(&asked), "{asked}");
    assert_eq!(signer.api.requests("create", "tokenreviews"), 1 + asked);
}
