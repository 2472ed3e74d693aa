//! What the kubelet answers before any stream, compared with a real one's answers.

use podgate_tests::fixtures::pki::Pki;
use podgate_tests::stand_ins::cluster::pod;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::node::{NODE, Node, Stand, against_both};
use super::soon::soon;

against_both!(
    refusals_are_worded_as_by_a_kubelet,
    an_unknown_sub_protocol_is_refused_with_the_list,
    pods_are_a_list_of_what_runs,
);

#[track_caller]
fn check(answer: &str, status: &str, nosniff: bool, body: &str) {
    let length = body.len();
    let nosniff = if nosniff {
        "X-Content-Type-Options: nosniff\r\n"
    } else {
        ""
    };
    let expected = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n{nosniff}Connection: close\r\nContent-Length: {length}"
    );
    let (head, got) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(got, body);
    let [lines, expected] = [head, &expected].map(|head| {
        let mut lines: Vec<_> = head.split("\r\n").collect();
        lines.sort_unstable_by_key(|line| line.to_ascii_lowercase());
        lines
    });
    assert_eq!(lines, expected);
}

async fn refusals_are_worded_as_by_a_kubelet(node: impl Node) {
    let unauthorized = |answer: String| check(&answer, "401 Unauthorized", false, "Unauthorized");
    unauthorized(node.ask(None, "GET /pods", "").await);
    let foreign = Pki::new().unwrap().client("admin", &[]).unwrap();
    unauthorized(node.ask(Some(&foreign), "GET /pods", "").await);

    let admin = Some(node.admin());
    for pod in ["nope", "far"] {
        let request = format!("POST /exec/default/{pod}/main?output=1");
        let answer = node.ask(admin, &request, "").await;
        check(&answer, "404 Not Found", false, "pod does not exist");
    }
    let pod = node.pod();
    for container in ["nope", "done"] {
        let request = format!("POST /exec/default/{pod}/{container}?output=1");
        let answer = node.ask(admin, &request, "").await;
        let body = format!("container not found (\"{container}\")");
        check(&answer, "500 Internal Server Error", false, &body);
    }
    for path in [format!("{pod}/main"), format!("{pod}/any-uid/main")] {
        let request = format!("POST /exec/default/{path}?output=1&command=true");
        let answer = node.ask(admin, &request, "").await;
        let body = "Upgrade request required\n";
        check(&answer, "500 Internal Server Error", true, body);
    }
    let request = format!("POST /exec/default/{pod}/main?output=true");
    let answer = node.ask(admin, &request, "").await;
    let body = "you must specify at least 1 of stdin, stdout, stderr";
    check(&answer, "400 Bad Request", false, body);
    let answer = node.ask(admin, "GET /healthz", "").await;
    check(&answer, "200 OK", true, "ok");
}

#[tokio::test]
async fn bearers_of_tokens_may_be_refused() {
    let stand = Stand::new().await;
    let user = "system:serviceaccount:default:default";
    stand.kubelet.access().add_token("abc", user);
    stand.kubelet.access().forbid(user);
    let bearer = "Authorization: Bearer abc\r\n";
    check(
        &stand.ask(None, "GET /pods", bearer).await,
        "403 Forbidden",
        false,
        "Forbidden (user=system:serviceaccount:default:default, verb=get, resource=nodes, subresource(s)=[pods proxy])\n",
    );
    check(
        &stand
            .ask(None, "POST /exec/default/web/main?output=1", bearer)
            .await,
        "403 Forbidden",
        false,
        "Forbidden (user=system:serviceaccount:default:default, verb=create, resource=nodes, subresource(s)=[proxy])\n",
    );
    stand.kubelet.access().permit(user);
    let permitted = stand.ask(None, "GET /pods", bearer).await;
    assert!(permitted.starts_with("HTTP/1.1 200 OK"), "{permitted}");
    stand.kubelet.access().remove_token("abc");
    let unknown = stand.ask(None, "GET /pods", bearer).await;
    check(&unknown, "401 Unauthorized", false, "Unauthorized");
}

async fn an_unknown_sub_protocol_is_refused_with_the_list(node: impl Node) {
    let mut tls = node.dial(Some(node.admin())).await.unwrap();
    let request = node
        .upgrade_request(&["true"], "output=1")
        .replace(": v4", ": v9");
    tls.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let mut filled = 0;
    while !answer[..filled].ends_with(b"channel.k8s.io]\n") || filled < 344 {
        filled += soon(tls.read(&mut answer[filled..])).await.unwrap();
    }
    let answer = String::from_utf8_lossy(&answer[..filled]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
    assert!(answer.contains("\r\nContent-Length: 344\r\n"), "{answer}");
    assert_eq!(
        answer
            .matches("\r\nX-Accepted-Stream-Protocol-Versions: ")
            .count(),
        4,
        "{answer}"
    );
}

async fn pods_are_a_list_of_what_runs(node: impl Node) {
    // HTTP/1.0 has no chunks.
    let mut tls = node.dial(Some(node.admin())).await.unwrap();
    tls.write_all(b"GET /pods HTTP/1.0\r\nHost: node\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    soon(tls.read_to_string(&mut answer)).await.unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let list: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        (&list["kind"], &list["apiVersion"]),
        (&"PodList".into(), &"v1".into())
    );
    let pod = &list["items"][0];
    assert!(pod.get("kind").is_none(), "{pod}");
    assert_eq!(pod["metadata"]["name"], node.pod());
    let statuses = pod["status"]["containerStatuses"].as_array().unwrap();
    let of = |name: &str| {
        statuses
            .iter()
            .find(|status| status["name"] == name)
            .unwrap()
    };
    let (main, done) = (of("main"), of("done"));
    assert!(main["state"]["running"].is_object(), "{main}");
    assert!(done["state"]["terminated"].is_object(), "{done}");
    let id = main["containerID"].as_str().unwrap();
    assert!(id.starts_with("containerd://"), "{id}");
}

#[tokio::test]
async fn pods_are_those_of_the_node_as_they_are_now() {
    let stand = Stand::new().await;
    let names = async || {
        let answer = stand.ask(Some(&stand.admin), "GET /pods", "").await;
        let list: serde_json::Value =
            serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(
            (&list["kind"], &list["apiVersion"]),
            (&"PodList".into(), &"v1".into())
        );
        assert!(list["items"][0].get("kind").is_none());
        let status = &list["items"][0]["status"]["containerStatuses"][0];
        assert_eq!(status["containerID"], "containerd://c1");
        assert!(status["state"]["running"].is_object());
        let items = list["items"].as_array().unwrap();
        items
            .iter()
            .map(|pod| pod["metadata"]["name"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["web"]);
    stand
        .cluster
        .add(pod("default", "web-2", "uid-3", NODE, "127.0.0.1"));
    assert_eq!(names().await, ["web", "web-2"]);
    stand.cluster.remove("default", "web-2");
    assert_eq!(names().await, ["web"]);
    assert_eq!(stand.kubelet.pods_requests(), 3);
}
