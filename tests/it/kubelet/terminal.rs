//! Execs on a terminal.

use super::node::{Node, against_both};
use super::spdy::{Frame, Spdy, exit_code, fin, ordered, output, status};

against_both!(
    a_terminal_has_one_output_and_follows_the_resize_stream,
    a_terminal_turns_control_characters_into_signals,
    a_half_close_ends_the_output_of_a_terminal,
);

async fn a_terminal_has_one_output_and_follows_the_resize_stream(node: impl Node) {
    let argv = [
        "sh",
        "-c",
        "trap 'stty size; exit 3' WINCH; echo ready; sleep 1000 & wait",
    ];
    // `tty` drops `error`, so the server waits for no stderr stream. It takes the first streams that
    // come for those it waits for, so one too many could keep the resize stream out.
    let tls = node.upgrade(&argv, "input=1&output=1&error=1&tty=1").await;
    let mut spdy = Spdy::open(tls, "input=1&output=1&tty=1").await;
    spdy.until(5, |text| text.contains("ready")).await;
    spdy.send(7, false, br#"{"Width":132,"Height":43}"#).await;
    spdy.until(5, |text| text.contains("43 132")).await;
    let frames = ordered(spdy.rest().await);
    assert_eq!(exit_code(&status(&frames)), "3");
    assert!(frames.contains(&fin(5)));
    let resets = [1, 3, 7].map(|id| Frame::Reset { id, status: 5 });
    assert!(frames.ends_with(&[&resets[..], &[Frame::GoAway { last: 7, status: 0 }]].concat()));
}

async fn a_terminal_turns_control_characters_into_signals(node: impl Node) {
    let mut spdy = node
        .exec(
            &["sh", "-c", "echo ready; exec cat"],
            "input=1&output=1&tty=1",
        )
        .await;
    spdy.until(5, |text| text.contains("ready")).await;
    spdy.send(3, false, &[3]).await;
    assert_eq!(exit_code(&status(&spdy.rest().await)), "130");
}

async fn a_half_close_ends_the_output_of_a_terminal(node: impl Node) {
    let argv = [
        "sh",
        "-c",
        "stty -icanon min 0 time 5
         trap 'test -z \"$(cat)\" || exit 1; echo unseen; exit 0' WINCH
         echo ready; sleep 1000 & wait",
    ];
    let mut spdy = node.exec(&argv, "input=1&output=1&tty=1").await;
    spdy.until(5, |text| text.ends_with("ready\r\n")).await;
    spdy.send(3, true, b"").await;
    assert_eq!(spdy.frame().await.unwrap(), fin(5));
    // Input that comes now is lost: the command would end with 1 if it could read it.
    spdy.send(3, false, b"lost\n").await;
    spdy.send(7, false, br#"{"Width":132,"Height":43}"#).await;
    let frames = spdy.rest().await;
    assert_eq!(output(&frames, 5), "");
    assert_eq!(status(&frames)["status"], "Success");
}
