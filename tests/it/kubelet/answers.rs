//! What the kubelet answers before any stream, held against a real one's answers.

use podgate_tests::cluster::pod;
use podgate_tests::pki::Pki;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::node::{NODE, Stand, upgrade_request};
use super::soon::soon;

#[tokio::test]
async fn refusals_are_worded_as_by_a_kubelet() {
    let stand = Stand::new().await;
    let plain = |status: &str, length: usize, rest: &str| {
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n{rest}Connection: close\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let check = |answer: String, status: &str, nosniff: bool, body: &str| {
        let nosniff = if nosniff {
            "X-Content-Type-Options: nosniff\r\n"
        } else {
            ""
        };
        let (head, got) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(got, body);
        let mut lines: Vec<_> = head.split("\r\n").collect();
        let expected = plain(status, body.len(), nosniff);
        let mut expected: Vec<_> = expected.trim_end().split("\r\n").collect();
        lines.sort_unstable_by_key(|line| line.to_ascii_lowercase());
        expected.sort_unstable_by_key(|line| line.to_ascii_lowercase());
        assert_eq!(lines, expected);
    };
    let admin = Some(&stand.admin);
    check(
        stand.ask(None, "GET /pods", "").await,
        "401 Unauthorized",
        false,
        "Unauthorized",
    );
    let foreign = Pki::new().unwrap().client("admin", &[]).unwrap();
    check(
        stand.ask(Some(&foreign), "GET /pods", "").await,
        "401 Unauthorized",
        false,
        "Unauthorized",
    );

    let user = "system:serviceaccount:default:default";
    stand.kubelet.access().add_token("abc", user);
    stand.kubelet.access().forbid(user);
    let bearer = "Authorization: Bearer abc\r\n";
    check(
        stand.ask(None, "GET /pods", bearer).await,
        "403 Forbidden",
        false,
        "Forbidden (user=system:serviceaccount:default:default, verb=get, resource=nodes, subresource(s)=[pods proxy])\n",
    );
    check(
        stand
            .ask(None, "POST /exec/default/web/main?output=1", bearer)
            .await,
        "403 Forbidden",
        false,
        "Forbidden (user=system:serviceaccount:default:default, verb=create, resource=nodes, subresource(s)=[proxy])\n",
    );
    stand.kubelet.access().permit(user);
    assert!(
        stand
            .ask(None, "GET /pods", bearer)
            .await
            .starts_with("HTTP/1.1 200 OK")
    );
    stand.kubelet.access().remove_token("abc");
    check(
        stand.ask(None, "GET /pods", bearer).await,
        "401 Unauthorized",
        false,
        "Unauthorized",
    );

    for pod in ["nope", "far"] {
        let request = format!("POST /exec/default/{pod}/main?output=1");
        let answer = stand.ask(admin, &request, "").await;
        check(answer, "404 Not Found", false, "pod does not exist");
    }
    for container in ["nope", "done"] {
        let request = format!("POST /exec/default/web/{container}?output=1");
        let answer = stand.ask(admin, &request, "").await;
        let body = format!("container not found (\"{container}\")");
        check(answer, "500 Internal Server Error", false, &body);
    }
    for path in ["default/web/main", "default/web/any-uid/main"] {
        let request = format!("POST /exec/{path}?output=1&command=true");
        let answer = stand.ask(admin, &request, "").await;
        check(
            answer,
            "500 Internal Server Error",
            true,
            "Upgrade request required\n",
        );
    }
    let answer = stand
        .ask(admin, "POST /exec/default/web/main?output=true", "")
        .await;
    let body = "you must specify at least 1 of stdin, stdout, stderr";
    check(answer, "400 Bad Request", false, body);
    check(
        stand.ask(admin, "GET /healthz", "").await,
        "200 OK",
        true,
        "ok",
    );
}

#[tokio::test]
async fn an_unknown_sub_protocol_is_refused_with_the_list() {
    let stand = Stand::new().await;
    let mut tls = stand.dial(Some(&stand.admin)).await.unwrap();
    let request = upgrade_request(&["true"], "output=1").replace(": v4", ": v9");
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
