//! Where a jump leads; a session through it behaves like one without it.

use std::process::Stdio;

use podgate_tests::instruments::terminal::Terminal;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::{Jumper, SOON, output, stand};

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_a_host() {
    let stand = stand("").await;
    let jumper = Jumper::new(&stand, "");
    let output = jumper
        .run(&["demo.pod", "echo out; echo err >&2; exit 7"])
        .await;
    let (out, err) = (&output.stdout[..], &output.stderr[..]);
    assert_eq!(
        (out, err, output.status.code()),
        (&b"out\n"[..], &b"err\n"[..], Some(7))
    );
    // Names with a namespace, without the suffix, and every other form that ssh accepts for a host.
    let print = "echo ${CONTAINER-none}";
    for (host, expect) in [
        ("demo.default.pod", "none"),
        ("web-0.prod.pod", "main"),
        ("web-0.prod+proxy.pod", "proxy"),
        ("pod~web-0.prod.pod", "main"),
        ("pod/web-0.prod.pod", "main"),
    ] {
        assert_eq!(
            jumper.prints(&[host, print]).await,
            format!("{expect}\n"),
            "{host}"
        );
    }
    let own = ["-J", "frontdoor", "-oHostKeyAlias=podgate.example.com"];
    let (key, known) = (jumper.dir.join("id"), jumper.dir.join("known_alias"));
    let key = format!("-oIdentityFile={}", key.display());
    let known = format!("-oUserKnownHostsFile={}", known.display());
    let words = [&own[..], &[&key, &known, "web-0.prod", print]].concat();
    assert_eq!(jumper.prints(&words).await, "main\n");
    assert!(
        jumper
            .prints(&["help.pod", "x"])
            .await
            .contains("Log in as")
    );
    assert!(
        jumper
            .prints(&["whoami.pod"])
            .await
            .starts_with("user: ada\n")
    );
    // The outer login's name means nothing in a jump. A session of the outer connection is an ordinary
    // one.
    let text = jumper.refused(&["frontdoor", "echo ran"]).await;
    assert!(
        text.contains("no pod whoever in namespace default"),
        "{text}"
    );
    stand.until_quiet(SOON).await.unwrap();
    let jumps = ["podgate_frontdoor_jumps 0"];
    stand.frontdoor.counts(SOON, &jumps).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_names_the_container_else_the_login_name_does() {
    let stand = stand("").await;
    let jumper = Jumper::new(&stand, "");
    for (host, expect) in [
        ("proxy@web-0.prod.pod", "proxy"),
        ("main@web-0.prod.pod", "main"),
        ("somebody@web-0.prod.pod", "main"),
        ("proxy@web-0.prod+main.pod", "main"),
        ("web-0.prod@web-0.prod+proxy.pod", "proxy"),
    ] {
        let shown = jumper.prints(&[host, "echo $CONTAINER"]).await;
        assert_eq!(shown, format!("{expect}\n"), "{host}");
    }
    // A login name that is a target elsewhere is not one here.
    let text = jumper.refused(&["demo@gone.prod.pod", "echo ran"]).await;
    assert!(
        text.contains("no pod gone in namespace prod, or you may not enter it"),
        "{text}"
    );
    // Someone at a terminal is told which.
    for (host, said) in [
        (
            "somebody@web-0.prod.pod",
            "podgate: container main of pod web-0, which has main, proxy\r\n",
        ),
        (
            "proxy@web-0.prod.pod",
            "podgate: container proxy of pod web-0, which has main, proxy\r\n",
        ),
        ("somebody@web-0.prod+proxy.pod", ""),
        ("somebody@demo.pod", ""),
    ] {
        let config = jumper.config.display().to_string();
        let command = "stty size; exit 5";
        let args = ["-F", &config, "-q", "-t", host, command].map(str::to_owned);
        let terminal = Terminal::start("ssh", &args, 33, 77).unwrap();
        let (shown, code) = terminal.end().await.unwrap();
        assert_eq!(
            (shown.as_str(), code),
            (format!("{said}33 77\r\n").as_str(), 5),
            "{host}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_target_is_refused_with_the_reason() {
    let stand = stand("").await;
    let jumper = Jumper::new(&stand, "");
    for (words, why) in [
        (
            &["web_0.pod"][..],
            "connect failed: the pod's name is not valid in Kubernetes",
        ),
        (&["cronjob~web.pod"], "connect failed: the kind is unknown"),
    ] {
        let words = [words, &["echo ran"]].concat();
        let text = jumper.refused(&words).await;
        assert!(text.contains(why), "{words:?}: {text}");
    }
    // A login name that is no target has no pod whose ports could be reached.
    for (address, login) in [("demo:8080", "help"), ("localhost:80", "pods")] {
        let login = format!("{login}@frontdoor");
        let text = jumper.refused(&["-W", address, &login]).await;
        assert!(
            text.contains("administratively prohibited: this connection's login name is no target"),
            "{text}"
        );
    }
    // No node and no API server was asked.
    assert_eq!(stand.api.requests("create", "subjectaccessreviews"), 0);
    // Any other port is one of the pod that the login name leads to, and so is every address in a jump.
    for words in [
        &["-p", "80", "demo.pod"][..],
        &["-W", "demo:8080", "frontdoor"],
        &["-W", "localhost:22", "frontdoor"],
    ] {
        let text = jumper.refused(&[words, &["echo ran"]].concat()).await;
        assert!(
            text.contains("connect failed: no pod whoever in namespace default"),
            "{words:?}: {text}"
        );
    }
    for words in [
        &["-J", "frontdoor,demo.pod", "web-0.prod.pod"][..],
        &["-W", "web-0.prod.pod:22", "demo.pod"],
    ] {
        let text = jumper.refused(&[words, &["echo ran"]].concat()).await;
        assert!(
            text.contains("only 127.0.0.1 and localhost of the pod can be reached"),
            "{words:?}: {text}"
        );
    }
    stand.until_quiet(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_suffix_and_none() {
    let stand = stand("jump: {suffix: k8s.example.com}\n").await;
    let jumper = Jumper::new(&stand, "");
    let ssh = async |host: &str| {
        let options = ["-J", "frontdoor", "-oHostKeyAlias=podgate.example.com"];
        let key = format!("-oIdentityFile={}/id", jumper.dir.display());
        let known = format!("-oUserKnownHostsFile={}/known_alias", jumper.dir.display());
        jumper
            .run(&[&options[..], &[&key, &known, host, "echo $CONTAINER"]].concat())
            .await
    };
    assert_eq!(ssh("web-0.prod.k8s.example.com").await.stdout, b"main\n");
    assert_eq!(ssh("web-0.prod").await.stdout, b"main\n");
    let text = String::from_utf8(ssh("web-0.prod.pod").await.stderr).unwrap();
    assert!(
        text.contains("no pod web-0.prod in namespace pod"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_byte_both_ways_by_ssh_scp_and_rsync() {
    const BYTES: usize = 48 * 1024 * 1024;
    let stand = stand("").await;
    let jumper = Jumper::new(&stand, "");
    let home = stand.embedded.as_ref().unwrap().home().to_owned();
    // No period that a lost buffer could hide in.
    let byte = |i: usize| (i.wrapping_mul(2_654_435_761) >> 13) as u8;
    let bytes: Vec<u8> = (0..BYTES).map(byte).collect();
    let (local, back) = (jumper.dir.join("local"), jumper.dir.join("back"));
    std::fs::write(&local, &bytes).unwrap();

    // Through one inner connection, as ControlMaster and Ansible do it.
    let control = format!("-oControlPath={}/inner", jumper.dir.display());
    let master = ["-oControlMaster=auto", "-oControlPersist=60", &control];
    let ssh = [
        &master[..],
        &["demo.pod", "sh -c 'cat > up; sha256sum < up'"],
    ]
    .concat();
    let mut upload = jumper.ssh(&ssh).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = upload.stdin.take().unwrap();
    let write = async {
        stdin.write_all(&bytes).await.unwrap();
        drop(stdin);
    };
    let both = async { tokio::join!(write, upload.wait_with_output()).1.unwrap() };
    let shown = timeout(SOON, both).await.expect("it hangs").stdout;
    let sum = Command::new("sha256sum")
        .stdin(std::fs::File::open(&local).unwrap())
        .output();
    assert_eq!(shown, sum.await.unwrap().stdout);
    let same = |path: &std::path::Path| std::fs::read(path).unwrap() == bytes;
    assert!(same(&home.join("up")));
    let download = jumper.run(&[&control, "demo.pod", "cat up"]).await;
    assert!(download.stdout == bytes && download.status.success());
    let over = jumper.run(&["-O", "exit", &control, "demo.pod"]).await;
    assert!(over.status.success());

    // The image's own scp and rsync, each over a jump of its own.
    let (local, back) = (local.display().to_string(), back.display().to_string());
    let copy = |from: &str, to: &str| jumper.program("scp", &["-O", "-q", from, to]);
    let up = output(copy(&local, "demo.pod:scp")).await;
    assert!(
        up.status.success(),
        "{}",
        String::from_utf8_lossy(&up.stderr)
    );
    assert!(same(&home.join("scp")));
    let down = output(copy("demo.pod:scp", &back)).await;
    assert!(down.status.success() && same(back.as_ref()));

    let shell = format!("ssh -F {}", jumper.config.display());
    let mut rsync = Command::new("rsync");
    rsync
        .args(["-e", &shell, &local, "demo.pod:rsync"])
        .kill_on_drop(true);
    let rsynced = output(rsync).await;
    assert!(rsynced.status.success() && same(&home.join("rsync")));
    stand.until_quiet(SOON).await.unwrap();
}
