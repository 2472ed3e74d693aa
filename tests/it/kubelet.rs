//! The kubelet's stand-in, compared with the bytes of a real kubelet by a client of hand-built frames.
//! Where a real kubelet can do the same, the tests run on both. Here: execs without a terminal.

mod answers;
mod faults;
mod node;
mod processes;
mod real;
mod soon;
mod spdy;
mod terminal;

use std::collections::BTreeSet;

use podgate_tests::stand_ins::embedded::Embedded;
use tokio::io::AsyncWriteExt;

use node::{Node, Stand, against_both};
use spdy::{Frame, Spdy, be, data, exit_code, fin, ordered, output, status, syn};

against_both!(
    a_whole_exec_has_the_frames_of_a_real_one,
    exit_statuses_are_told_apart,
    a_megabyte_comes_back_whole,
    pings_come_back,
);

async fn a_whole_exec_has_the_frames_of_a_real_one(node: impl Node) {
    let argv = ["sh", "-c", "cat >&2; echo out; exit 5"];
    let mut spdy = node.exec(&argv, "input=1&output=1&error=1").await;
    let replies = spdy.replies.iter().map(|frame| match frame {
        Frame::Reply { id, .. } => *id,
        other => panic!("{other:?}"),
    });
    // A kubelet answers streams in any order.
    assert_eq!(replies.collect::<BTreeSet<_>>(), [1, 3, 5, 7].into());
    spdy.send(3, false, b"hello").await;
    assert_eq!(spdy.frame().await.unwrap(), data(7, "hello"));
    spdy.send(3, true, b"").await;
    let mut frames = spdy.rest().await;
    // The two outputs end at the same time.
    frames[1..3].sort_by_key(|frame| matches!(frame, Frame::Data { id: 7, .. }));
    let status = r#"{"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code: error executing command [sh -c cat \u003e\u00262; echo out; exit 5], exit code 5","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"5"}]}}"#;
    let expected = [
        data(5, "out\n"),
        fin(5),
        fin(7),
        data(1, status),
        Frame::Reset { id: 1, status: 5 },
        Frame::Reset { id: 3, status: 5 },
        Frame::GoAway { last: 7, status: 0 },
    ];
    assert_eq!(ordered(frames), expected);
}

async fn exit_statuses_are_told_apart(node: impl Node) {
    let run = async |argv: &[&str]| node.exec(argv, "output=1&error=1").await.rest().await;
    assert_eq!(
        status(&run(&["true"]).await),
        serde_json::json!({"metadata": {}, "status": "Success"})
    );
    assert_eq!(exit_code(&status(&run(&["sh", "-c", "exit 7"]).await)), "7");
    assert_eq!(
        exit_code(&status(&run(&["sh", "-c", "kill -9 $$"]).await)),
        "137"
    );

    let not_started = |frames: &[Frame], why: &str| {
        let status = status(frames);
        assert_eq!(status["reason"], "InternalError");
        let message = status["message"].as_str().unwrap();
        // containerd 1 adds the kind of the error.
        let message = message.trim_end_matches(": unknown");
        assert!(
            message.ends_with(&format!("unable to start container process: {why}")),
            "{message}"
        );
        let resets = [1, 3, 5].map(|id| Frame::Reset { id, status: 5 });
        assert_eq!(
            ordered(frames[1..].to_vec()),
            [&resets[..], &[Frame::GoAway { last: 5, status: 0 }]].concat()
        );
    };
    let missing = run(&["/nope"]).await;
    not_started(
        &missing,
        r#"exec: "/nope": stat /nope: no such file or directory"#,
    );
    let unknown = run(&["nope"]).await;
    not_started(
        &unknown,
        r#"exec: "nope": executable file not found in $PATH"#,
    );
    let passwd = run(&["/etc/passwd"]).await;
    not_started(&passwd, r#"exec: "/etc/passwd": permission denied"#);
}

#[tokio::test]
async fn an_exec_leaves_nothing_and_its_replies_are_as_long_as_real_ones() {
    let stand = Stand::new().await;
    let mut spdy = stand.exec(&["cat"], "input=1&output=1&error=1").await;
    let reply = |id, payload| Frame::Reply { id, payload };
    assert_eq!(
        spdy.replies,
        [reply(1, 20), reply(3, 14), reply(5, 14), reply(7, 14)]
    );
    spdy.send(3, true, b"").await;
    let frames = spdy.rest().await;
    let end = [
        Frame::Reset { id: 1, status: 5 },
        Frame::Reset { id: 3, status: 5 },
        Frame::GoAway { last: 7, status: 0 },
    ];
    assert!(frames.ends_with(&end), "{frames:?}");
    stand.kubelet.until_open_execs(0).await;
    assert_eq!(stand.kubelet.total_execs(), 1);
    assert_eq!(stand.embedded.running(), []);
}

#[tokio::test]
async fn stdin_is_cut_short_as_containerd_does_unless_told_not_to() {
    // `exec` closes stdout long before the input has arrived.
    let argv = ["sh", "-c", "exec >&-; cat >got; test -s got"];
    let stand = Stand::new().await;
    let mut spdy = stand.exec(&argv, "input=1&output=1&error=1").await;
    assert_eq!(spdy.frame().await.unwrap(), fin(5));
    spdy.send(3, true, b"late").await;
    assert_eq!(exit_code(&status(&spdy.rest().await)), "1");

    let stand = Stand::with(Embedded::new().unwrap().close_stdin_early(false)).await;
    let mut spdy = stand.exec(&argv, "input=1&output=1&error=1").await;
    assert_eq!(spdy.frame().await.unwrap(), fin(5));
    spdy.send(3, true, b"late").await;
    assert_eq!(status(&spdy.rest().await)["status"], "Success");
}

async fn a_megabyte_comes_back_whole(node: impl Node) {
    let mut spdy = node.exec(&["cat"], "input=1&output=1&error=1").await;
    let sent: Vec<u8> = (0..1 << 20).map(|index: u32| (index % 251) as u8).collect();
    let mut got = Vec::new();
    for chunk in sent.chunks(32 * 1024) {
        spdy.send(3, false, chunk).await;
        let until = got.len() + chunk.len();
        while got.len() < until {
            let Frame::Data { id: 5, bytes, .. } = spdy.frame().await.unwrap() else {
                panic!()
            };
            got.extend(bytes);
        }
    }
    spdy.send(3, true, b"").await;
    assert!(got == sent);
    assert_eq!(status(&spdy.rest().await)["status"], "Success");
}

#[tokio::test]
async fn data_before_the_reply_is_lost() {
    let stand = Stand::new().await;
    let mut tls = stand.upgrade(&["cat"], "input=1&output=1").await;
    let early = [&be(3)[..], &be(5), b"early"].concat();
    let all = [syn(1, "error"), syn(3, "stdin"), early, syn(5, "stdout")];
    tls.write_all(&all.concat()).await.unwrap();
    let mut spdy = Spdy {
        tls,
        replies: Vec::new(),
    };
    for _ in 0..3 {
        assert!(matches!(spdy.frame().await.unwrap(), Frame::Reply { .. }));
    }
    spdy.send(3, true, b"late").await;
    assert_eq!(output(&spdy.rest().await, 5), "late");
}

async fn pings_come_back(node: impl Node) {
    let mut spdy = node.exec(&["cat"], "input=1&output=1").await;
    spdy.tls
        .write_all(&[0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 9])
        .await
        .unwrap();
    assert_eq!(spdy.frame().await.unwrap(), Frame::Ping(9));
}
