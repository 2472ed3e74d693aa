//! Access reviews, and RBAC applied to the callers themselves.

use k8s_openapi::api::authorization::v1::{
    SelfSubjectAccessReview, SubjectAccessReview, SubjectAccessReviewStatus,
};
use kube::api::{Api, ListParams, PostParams};
use podgate_tests::stand_ins::apiserver::{Rbac, group, rule, service_account, user};
use serde_json::{Value, json};

use super::both::against_both;
use super::server::{Server, without_managers};
use super::stand::{Stand, status};

against_both!(
    a_review_has_the_words_of_a_real_one,
    rules_are_read_as_rbac_reads_them,
    those_who_call_are_held_to_the_rules,
);

fn shells() -> Rbac {
    let exec = rule(&["create"], &[""], &["pods/exec"]);
    Rbac::default().cluster_role("shell", &[exec]).bind(
        "default",
        "alice-shell",
        "ClusterRole/shell",
        &[user("alice")],
    )
}

fn review(who: &Value, attributes: Value) -> SubjectAccessReview {
    let mut spec = who.clone();
    spec["resourceAttributes"] = attributes;
    let review = json!({"metadata": {}, "spec": spec});
    serde_json::from_value(review).unwrap()
}

async fn a_review_has_the_words_of_a_real_one(server: impl Server) {
    server.set_rbac(shells()).await;
    let client = server.client().await;
    let post = async |review: &Value| -> Value {
        let request = http::Request::post("/apis/authorization.k8s.io/v1/subjectaccessreviews")
            .body(serde_json::to_vec(review).unwrap())
            .unwrap();
        without_managers(client.request(request).await.unwrap())
    };
    let review = |namespace: &str| {
        json!({
            "kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {},
            "spec": {
                "resourceAttributes": {
                    "namespace": namespace, "verb": "create", "resource": "pods",
                    "subresource": "exec", "name": "bb",
                },
                "user": "alice", "groups": ["dev"],
            },
        })
    };
    let mut allowed = review("default");
    let answer = post(&allowed).await;
    allowed["status"] = json!({
        "allowed": true,
        "reason": "RBAC: allowed by RoleBinding \"alice-shell/default\" of ClusterRole \"shell\" to User \"alice\"",
    });
    assert_eq!(answer, allowed);
    let mut refused = review("kube-system");
    let answer = post(&refused).await;
    refused["status"] = json!({"allowed": false});
    assert_eq!(answer, refused);
}

async fn rules_are_read_as_rbac_reads_them(server: impl Server) {
    let mut one_pod = rule(&["*"], &[""], &["pods", "pods/log"]);
    one_pod.resource_names = Some(vec!["web".to_owned()]);
    let rbac = shells()
        .cluster_role("all", &[rule(&["*"], &["*"], &["*"])])
        .cluster_role("execs", &[rule(&["create"], &[""], &["*/exec"])])
        .role("team", "one", &[one_pod])
        .bind_everywhere("admins", "all", &[group("admins")])
        .bind(
            "team",
            "robots",
            "ClusterRole/execs",
            &[service_account("team", "robot")],
        )
        .bind(
            "team",
            "one",
            "Role/one",
            &[user("bob"), service_account("ci", "robot")],
        )
        .bind("team", "lost", "Role/lost", &[user("carol")]);
    server.set_rbac(rbac).await;
    let reviews: Api<SubjectAccessReview> = Api::all(server.client().await);
    let check = async |who: Value, verb: &str, what: &str, namespace: &str, expected: &str| {
        let (resource, name) = what.split_once(' ').unwrap_or((what, ""));
        let (resource, sub) = resource.split_once('/').unwrap_or((resource, ""));
        let attributes = json!({
            "verb": verb, "resource": resource, "subresource": sub, "name": name,
            "namespace": namespace,
        });
        let review = review(&who, attributes);
        let answer = reviews
            .create(&PostParams::default(), &review)
            .await
            .unwrap();
        let SubjectAccessReviewStatus {
            allowed, reason, ..
        } = answer.status.unwrap();
        assert_eq!(
            allowed,
            expected.starts_with("RBAC: allowed by "),
            "{who} {verb} {what}"
        );
        assert_eq!(reason.unwrap_or_default(), expected);
    };
    let (alice, bob, carol) = (
        json!({"user": "alice"}),
        json!({"user": "bob"}),
        json!({"user": "carol"}),
    );
    let robot = |namespace| json!({"user": format!("system:serviceaccount:{namespace}:robot")});
    let admin = json!({"user": "dora", "groups": ["dev", "admins"]});
    let by_admins =
        "RBAC: allowed by ClusterRoleBinding \"admins\" of ClusterRole \"all\" to Group \"admins\"";
    let by_one = "RBAC: allowed by RoleBinding \"one/team\" of Role \"one\" to User \"bob\"";

    check(alice.clone(), "get", "pods/exec bb", "default", "").await;
    check(alice.clone(), "create", "pods", "default", "").await;
    check(alice, "create", "pods/exec bb", "", "").await;
    check(admin.clone(), "delete", "secrets", "", by_admins).await;
    check(admin, "create", "pods/exec", "team", by_admins).await;
    check(bob.clone(), "delete", "pods web", "team", by_one).await;
    check(bob.clone(), "get", "pods/log web", "team", by_one).await;
    check(bob.clone(), "get", "pods db", "team", "").await;
    check(bob.clone(), "list", "pods", "team", "").await;
    check(bob, "get", "pods web", "default", "").await;
    check(
        robot("team"),
        "create",
        "pods/exec a",
        "team",
        "RBAC: allowed by RoleBinding \"robots/team\" of ClusterRole \"execs\" to ServiceAccount \"robot/team\"",
    )
    .await;
    check(
        robot("ci"),
        "get",
        "pods web",
        "team",
        "RBAC: allowed by RoleBinding \"one/team\" of Role \"one\" to ServiceAccount \"robot/ci\"",
    )
    .await;
    check(robot("ci"), "create", "pods/exec a", "team", "").await;
    let lost = "RBAC: role.rbac.authorization.k8s.io \"lost\" not found";
    check(carol, "get", "pods", "team", lost).await;

    let nobody = review(&json!({}), json!({"verb": "get", "resource": "pods"}));
    let wrong = reviews
        .create(&PostParams::default(), &nobody)
        .await
        .unwrap_err();
    assert_eq!(status(wrong).code, 422);
}

async fn those_who_call_are_held_to_the_rules(server: impl Server) {
    let read = rule(&["get", "list", "watch"], &[""], &["pods"]);
    let ask = rule(
        &["create"],
        &["authorization.k8s.io"],
        &["subjectaccessreviews"],
    );
    let door = service_account("podgate", "frontdoor");
    let rbac = shells()
        .cluster_role("door", &[read.clone(), ask])
        .cluster_role("read", &[read])
        .bind_everywhere("door", "door", &[door])
        .bind("default", "read", "ClusterRole/read", &[group("dev")]);
    server.set_rbac(rbac).await;
    let alice = server.client_of("t-alice").await;
    let pods = |namespace: &str| {
        Api::<k8s_openapi::api::core::v1::Pod>::namespaced(alice.clone(), namespace)
    };

    server.enforce(true);
    pods("default").get("web").await.unwrap();
    let refused = status(pods("prod").get("web").await.unwrap_err());
    let message = "pods \"web\" is forbidden: User \"alice\" cannot get resource \"pods\" in API \
                   group \"\" in the namespace \"prod\"";
    assert_eq!((refused.code, refused.reason.as_str()), (403, "Forbidden"));
    assert_eq!(refused.message, message);
    let details = refused.details.unwrap();
    assert_eq!(
        (details.name.as_str(), details.kind.as_str()),
        ("web", "pods")
    );
    let all = Api::<k8s_openapi::api::core::v1::Pod>::all(alice.clone());
    let refused = status(all.list(&ListParams::default()).await.unwrap_err());
    let message = "pods is forbidden: User \"alice\" cannot list resource \"pods\" in API group \"\" \
                   at the cluster scope";
    assert_eq!(refused.message, message);

    let attributes = json!({"verb": "get", "resource": "pods", "namespace": "default"});
    let asks = review(&json!({"user": "alice"}), attributes.clone());
    let refused = Api::all(alice.clone())
        .create(&PostParams::default(), &asks)
        .await;
    let message = "subjectaccessreviews.authorization.k8s.io is forbidden: User \"alice\" cannot \
                   create resource \"subjectaccessreviews\" in API group \
                   \"authorization.k8s.io\" at the cluster scope";
    assert_eq!(status(refused.unwrap_err()).message, message);
    let door = server.client_of("t-door").await;
    let answer = Api::all(door.clone())
        .create(&PostParams::default(), &asks)
        .await;
    assert!(!answer.unwrap().status.unwrap().allowed);
    Api::<k8s_openapi::api::core::v1::Pod>::all(door)
        .list(&ListParams::default())
        .await
        .unwrap();

    server.enforce(false);
    let own = json!({"metadata": {}, "spec": {"resourceAttributes": attributes}});
    let own: SelfSubjectAccessReview = serde_json::from_value(own).unwrap();
    let own = Api::all(alice)
        .create(&PostParams::default(), &own)
        .await
        .unwrap();
    assert!(own.status.unwrap().allowed);
}

#[tokio::test]
async fn nobody_is_held_to_the_rules_unless_told_to() {
    let stand = Stand::start().await;
    stand.api.set_rbac(shells());
    let alice = stand.client_of("t-alice").await;
    let pods = Api::<k8s_openapi::api::core::v1::Pod>::namespaced(alice, "prod");
    pods.get_opt("web").await.unwrap();
    stand.api.enforce(true);
    assert_eq!(status(pods.get("web").await.unwrap_err()).code, 403);
    stand.api.enforce(false);
    pods.get_opt("web").await.unwrap();
}

/// A real server refuses such a subject when it is written.
#[tokio::test]
async fn a_service_account_of_no_namespace_is_of_its_binding() {
    let stand = Stand::new().await;
    let exec = rule(&["create"], &[""], &["*/exec"]);
    let robot = service_account("", "robot");
    let rbac = Rbac::default().cluster_role("execs", &[exec]);
    stand
        .api
        .set_rbac(rbac.bind("team", "robots", "ClusterRole/execs", &[robot]));
    let who = json!({"user": "system:serviceaccount:team:robot"});
    let what = json!({
        "verb": "create", "resource": "pods", "subresource": "exec", "name": "a", "namespace": "team",
    });
    let answer = Api::all(stand.client().await)
        .create(&PostParams::default(), &review(&who, what))
        .await;
    let answer: SubjectAccessReviewStatus = answer.unwrap().status.unwrap();
    let expected = "RBAC: allowed by RoleBinding \"robots/team\" of ClusterRole \"execs\" to ServiceAccount \"robot/team\"";
    assert_eq!(
        (answer.allowed, answer.reason.as_deref()),
        (true, Some(expected))
    );
    assert_eq!(stand.api.requests("create", "subjectaccessreviews"), 1);
}
