//! Transfers of files and forwards: the markers that they leave, and how `play` jumps to one.

use podgate_tests::instruments::upper::{Upper, ask as upper};
use tokio::net::TcpListener;

use super::*;

/// What `play` says of a recording beside its output.
async fn told(client: &podgate_tests::real::ssh::Client, id: &str) -> String {
    let (status, _, told) = ask(client, &format!("play {id}")).await;
    assert_eq!(status, Some(0), "{told}");
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_and_a_forward_leave_a_marker_in_their_connections_recording() {
    let (stand, dir) = stand("  rules: [{record: strict}]\n").await;
    let ready = || async {
        let (status, _) = stand.frontdoor.admin("/readyz").await.ok()?;
        (status == 200).then_some(())
    };
    eventually("readiness", SOON, ready).await.unwrap();
    let server = Upper::start().await.unwrap();
    let port = {
        let free = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        free.local_addr().unwrap().port()
    };
    let shared = stand.client.share("demo").await.unwrap();
    let mut ssh = stand.client.ssh(&[&shared.option], "demo");
    let mut shell = Echo::start({
        ssh.arg("cat");
        ssh
    })
    .await
    .unwrap();
    let forward = format!("{port}:localhost:{}", server.port());
    let asked = ["-O", "forward", "-L", &forward, &shared.option];
    let mut ssh = stand.client.ssh(&asked, "demo");
    assert!(ssh.status().await.unwrap().success());
    assert_eq!(upper(port, b"through").await.unwrap(), b"THROUGH");
    let file = dir.path().join("file");
    std::fs::write(&file, "content").unwrap();
    let there = format!(
        "{}:{}",
        stand.client.address("demo"),
        dir.path().join("there").display()
    );
    for mode in ["-s", "-O"] {
        let mut scp = stand.client.tool("scp");
        scp.args([mode, "-o", shared.option.trim_start_matches("-o")]);
        let output = scp.arg(&file).arg(&there).output().await.unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    shell.again().await.unwrap();
    shell.close();
    assert_eq!(shell.ended().await.unwrap().1, Some(0));

    let entries = list(&stand.client, 3).await;
    let of = |command: &str| {
        let named = |entry: &&Value| entry["header"]["command"] == command;
        id(entries.iter().find(named).expect(command))
    };
    let scp = format!("scp -t {}", dir.path().join("there").display());
    let address = format!("podgate: forward to localhost:{}, session ", server.port());
    let shell = told(&stand.client, &of("cat")).await;
    let (sftp, scp) = (
        ("podgate: sftp, session ".to_owned(), of("sftp")),
        (format!("podgate: {scp}, session "), of(&scp)),
    );
    for marker in [&address, &sftp.0, &scp.0] {
        assert_eq!(shell.matches(marker).count(), 1, "{marker:?} in {shell}");
    }
    // Each transfer has a recording of its own, too, which holds nothing that was transferred.
    for (marker, id) in [sftp, scp] {
        let (status, cast, _) = ask(&stand.client, &format!("export {id}")).await;
        assert_eq!(status, Some(0));
        let lines: Vec<Value> = cast
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let [_, one, exit] = &lines[..] else {
            panic!("{cast}")
        };
        assert_eq!((&one[1], &exit[1]), (&"m".into(), &"x".into()));
        let text = one[2].as_str().unwrap();
        assert!(text.starts_with(&marker), "{text}");
        // By the session in it the audit log is found.
        let session = text.rsplit(' ').next().unwrap();
        let starts = audit(dir.path(), "start");
        assert!(starts.iter().any(|start| start["session"] == session));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_plays_a_recording_jumps_to_the_next_marker() {
    let (stand, _dir) = stand("  rules: [{record: bestEffort}]\n").await;
    let server = Upper::start().await.unwrap();
    let address = format!("localhost:{}", server.port());
    let shared = stand.client.share("demo").await.unwrap();
    let mut ssh = stand.client.ssh(&[&shared.option], "demo");
    ssh.arg("cat");
    let mut echo = Echo::start(ssh).await.unwrap();
    echo.says("before").await.unwrap();
    let through = ["-W", &address, &shared.option];
    let mut ssh = stand.client.ssh(&through, "demo");
    let ssh = ssh.stdin(std::process::Stdio::null()).output();
    assert!(ssh.await.unwrap().status.success());
    echo.says("after").await.unwrap();
    echo.close();
    echo.ended().await.unwrap();
    let id = id(&list(&stand.client, 1).await[0]);
    let mut play = stand
        .client
        .terminal(
            "podgate",
            &[&format!("play {id} --speed 0.1 --idle 1000")],
            24,
            80,
        )
        .unwrap();
    play.expect("q: quit").await.unwrap();
    play.send(" ]").await.unwrap();
    let seen = play.expect("podgate: forward to").await.unwrap();
    assert!(seen.contains("before") && !seen.contains("after"), "{seen}");
    play.send("]").await.unwrap();
    play.expect("after").await.unwrap();
    play.end().await.unwrap();
}
