//! The kubelet over a real containerd, which gives the streams their frames.

use std::sync::Arc;

use podgate_tests::real::containerd::{Containerd, PodSpec, RunningPod};
use podgate_tests::stand_ins::embedded::Embedded;
use podgate_tests::stand_ins::kubelet::Runtime;
use tokio::io::AsyncReadExt;

use super::node::{Node, Stand};
use super::soon::soon;
use super::spdy::{Frame, data, exit_code, fin, output, status};

async fn stand(name: &str) -> (Stand, RunningPod, Arc<Containerd>) {
    let containerd = Arc::new(Containerd::shared().await.unwrap());
    let pod = containerd.run_pod(PodSpec::busybox(name)).await.unwrap();
    let embedded = Arc::new(Embedded::new().unwrap());
    let id = pod.container_id("app").unwrap();
    let stand = Stand::over(Runtime::Containerd(containerd.clone()), embedded, id).await;
    (stand, pod, containerd)
}

#[tokio::test]
async fn a_whole_exec_is_passed_through() {
    let (stand, _pod, _containerd) = stand("kubelet-whole").await;
    let argv = ["sh", "-c", "cat >&2; echo out; exit 5"];
    let mut spdy = stand.exec(&argv, "input=1&output=1&error=1").await;
    // Their length differs from one containerd to the next.
    let reply = |frame: &Frame| matches!(frame, Frame::Reply { .. });
    assert!(spdy.replies.iter().all(reply), "{:?}", spdy.replies);
    spdy.send(3, false, b"hello").await;
    assert_eq!(spdy.frame().await.unwrap(), data(7, "hello"));
    spdy.send(3, true, b"").await;
    let frames = spdy.rest().await;
    assert_eq!(output(&frames, 5), "out\n");
    assert!(frames.contains(&fin(5)) && frames.contains(&fin(7)));
    assert_eq!(exit_code(&status(&frames)), "5");
    assert!(frames.ends_with(&[Frame::GoAway { last: 7, status: 0 }]));
    soon(stand.kubelet.until_open_execs(0)).await;
}

#[tokio::test]
async fn a_terminal_works_and_a_lost_client_leaves_its_shell() {
    let (stand, pod, containerd) = stand("kubelet-tty").await;
    let mut spdy = stand.exec(&["sh"], "input=1&output=1&tty=1").await;
    spdy.send(3, false, b"echo $((6*7))\n").await;
    spdy.until(5, |text| text.contains("42")).await;
    drop(spdy);
    soon(stand.kubelet.until_open_execs(0)).await;
    let running = containerd.processes_in(pod.container_id("app").unwrap());
    assert!(running.iter().any(|(_, name)| name == "sh"), "{running:?}");
}

#[tokio::test]
async fn the_status_can_be_left_out_and_the_bytes_cut() {
    let (stand, _pod, _containerd) = stand("kubelet-faults").await;
    stand.kubelet.faults().set_omit_status(true);
    let frames = stand.exec(&["echo", "hi"], "output=1").await.rest().await;
    assert_eq!(output(&frames, 3), "hi\n");
    assert!(
        !frames
            .iter()
            .any(|frame| matches!(frame, Frame::Data { id: 1, .. }))
    );
    assert!(frames.ends_with(&[Frame::GoAway { last: 3, status: 0 }]));
    stand.kubelet.faults().set_omit_status(false);

    let mut spdy = stand.exec(&["yes"], "output=1").await;
    stand.kubelet.faults().set_cut_after(Some(100_000));
    let mut rest = Vec::new();
    soon(spdy.tls.read_to_end(&mut rest)).await.unwrap_err();
    soon(stand.kubelet.until_open_execs(0)).await;
}

#[tokio::test]
async fn errors_of_the_runtime_come_through() {
    let (stand, pod, _containerd) = stand("kubelet-errors").await;
    let frames = stand
        .exec(&["/nope"], "output=1&error=1")
        .await
        .rest()
        .await;
    assert_eq!(status(&frames)["reason"], "InternalError");
    drop(pod);
    let headers = "Upgrade: SPDY/3.1\r\nConnection: Upgrade\r\n";
    let request = "POST /exec/default/web/main?output=1&command=true";
    let answer = stand.ask(Some(&stand.admin), request, headers).await;
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
    assert!(
        answer.contains("rpc error: code = NotFound desc = "),
        "{answer}"
    );
}
