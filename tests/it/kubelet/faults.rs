//! Each way to break a kubelet breaks it, and mends.

use std::time::Duration;

use podgate_tests::stand_ins::kubelet::{ExecFault, Leg, ServerCertificate};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::node::{Node, Stand};
use super::soon::soon;
use super::spdy::{Frame, fin, output, status, syn};

#[tokio::test]
async fn legs_break_and_mend() {
    let stand = Stand::new().await;
    stand.kubelet.set_leg(Leg::Refused).await.unwrap();
    let error = stand.dial(None).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    for leg in [Leg::TlsSilent, Leg::HttpSilent] {
        stand.kubelet.set_leg(leg).await.unwrap();
        let answer = stand.ask(Some(&stand.admin), "GET /healthz", "");
        tokio::time::timeout(Duration::from_millis(100), answer)
            .await
            .unwrap_err();
    }
    stand.kubelet.set_leg(Leg::Up).await.unwrap();
    stand.ask(Some(&stand.admin), "GET /healthz", "").await;
}

#[tokio::test]
async fn a_restart_drops_execs_and_keeps_the_port() {
    let stand = Stand::new().await;
    let (port, mut spdy) = (
        stand.kubelet.port(),
        stand.exec(&["cat"], "input=1&output=1").await,
    );
    assert_eq!(stand.kubelet.open_execs(), 1);
    stand.kubelet.restart().await.unwrap();
    assert_eq!(stand.kubelet.open_execs(), 0);
    spdy.frame().await.unwrap_err();
    assert_eq!(stand.kubelet.port(), port);
    let frames = stand.exec(&["true"], "output=1").await.rest().await;
    assert_eq!(status(&frames)["status"], "Success");
    soon(stand.embedded.until_running(0)).await;
}

#[tokio::test]
async fn certificates_can_be_wrong() {
    let stand = Stand::new().await;
    for certificate in [ServerCertificate::Untrusted, ServerCertificate::WrongName] {
        stand.kubelet.faults().set_certificate(certificate);
        let error = stand.dial(None).await.unwrap_err();
        assert_eq!(
            error.kind(),
            std::io::ErrorKind::InvalidData,
            "{certificate:?}"
        );
    }
    stand
        .kubelet
        .faults()
        .set_certificate(ServerCertificate::Good);
    stand.dial(None).await.unwrap();
}

#[tokio::test]
async fn execs_can_fail_in_every_way() {
    let stand = Stand::new().await;
    let faults = stand.kubelet.faults();
    faults.set_exec(ExecFault::Answer(429, "busy".to_owned()));
    let answer = stand
        .ask(
            Some(&stand.admin),
            "POST /exec/default/web/main?output=1",
            "",
        )
        .await;
    assert!(
        answer.starts_with("HTTP/1.1 429 ") && answer.ends_with("busy"),
        "{answer}"
    );
    assert!(answer.contains("\r\nRetry-After: 1\r\n"), "{answer}");

    faults.set_exec(ExecFault::Unanswered);
    let silent = stand.upgrade(&["true"], "output=1");
    tokio::time::timeout(Duration::from_millis(100), silent)
        .await
        .unwrap_err();

    faults.set_exec(ExecFault::Mute);
    let mute = stand.exec(&["true"], "output=1");
    tokio::time::timeout(Duration::from_millis(100), mute)
        .await
        .unwrap_err();

    faults.set_exec(ExecFault::None);
    faults.set_omit_status(true);
    let frames = stand.exec(&["true"], "output=1").await.rest().await;
    assert_eq!(frames[0..2], [fin(3), Frame::Reset { id: 1, status: 5 }]);
    faults.set_omit_status(false);

    // Two replies of 28 and 22 bytes, and five of a data frame's head.
    faults.set_cut_after(Some(55));
    let mut cut = stand.upgrade(&["echo", "hi"], "output=1").await;
    let streams = [syn(1, "error"), syn(3, "stdout")].concat();
    cut.write_all(&streams).await.unwrap();
    let mut got = Vec::new();
    soon(cut.read_to_end(&mut got)).await.unwrap_err();
    assert_eq!(got.len(), 55);
    faults.set_cut_after(None);
    stand.kubelet.until_open_execs(0).await;
}

#[tokio::test]
async fn a_slow_reader_is_slow() {
    let stand = Stand::new().await;
    stand.kubelet.faults().set_read_rate(2000);
    let begin = std::time::Instant::now();
    let mut spdy = stand.exec(&["wc", "-c"], "input=1&output=1").await;
    spdy.send(3, true, &[b'x'; 1000]).await;
    let frames = spdy.rest().await;
    assert_eq!(output(&frames, 5).trim(), "1000");
    assert!(
        begin.elapsed() > Duration::from_millis(400),
        "{:?}",
        begin.elapsed()
    );
}
