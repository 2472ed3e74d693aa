//! git, Docker and tmux. The first two need their programs in the container, so theirs is a plain process of
//! this machine.
#![allow(
    clippy::disallowed_methods,
    reason = "the servers' tasks end with the test's runtime"
)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use podgate_tests::instruments::clients;
use tokio::io::{AsyncReadExt, BufReader};
use tokio::net::UnixListener;

use super::*;

/// `ssh` with the stand's options, for programs that start it by name.
fn ssh(stand: &Stand, bin: &Path) -> String {
    std::fs::create_dir_all(bin).unwrap();
    let options = stand.client.options().join("' '");
    let script = format!("#!/bin/sh\nPATH=${{PATH#*:}} exec ssh '{options}' \"$@\"\n");
    let path = bin.join("ssh");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    format!("{}:{path}", bin.display())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "PODGATE_TOOLS=all"]
async fn git() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = ssh(&stand, &dir.path().join("bin"));
    let git = async |words: &[&str]| {
        let mut git = Command::new("git");
        git.env("PATH", &path).env("HOME", dir.path());
        git.env("GIT_CONFIG_NOSYSTEM", "1").current_dir(dir.path());
        git.args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]);
        let said = clients::succeeds(git.args(words), SOON).await;
        said.unwrap_or_else(|error| panic!("git {words:?}: {error}"))
    };
    let there = dir.path().join("there.git");
    let there = there.to_str().unwrap();
    git(&["init", "-q", "--bare", "-b", "main", there]).await;
    git(&["init", "-q", "-b", "main", "here"]).await;
    let text: String = (0..200_000).map(|n| format!("{n}\n")).collect();
    std::fs::write(dir.path().join("here/file"), &text).unwrap();
    git(&["-C", "here", "add", "file"]).await;
    git(&["-C", "here", "commit", "-q", "-m", "file"]).await;
    let url = format!("ssh://{}{there}", stand.client.address("demo"));
    git(&["-C", "here", "push", "-q", &url, "main"]).await;
    git(&["clone", "-q", "-b", "main", &url, "again"]).await;
    let cloned = std::fs::read_to_string(dir.path().join("again/file"));
    assert!(cloned.unwrap() == text);
}

/// An engine that answers what `docker version` asks.
async fn engine(listener: UnixListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut stream = BufReader::new(stream);
            let mut request = Vec::new();
            while let Ok(byte) = stream.read_u8().await {
                request.push(byte);
                if !request.ends_with(b"\r\n\r\n") {
                    continue;
                }
                let version = request.windows(8).any(|part| part == b"/version");
                let body = match version {
                    true => {
                        r#"{"Version":"99.1.2","ApiVersion":"1.41","MinAPIVersion":"1.12","Os":"linux","Arch":"amd64","Components":[]}"#
                    }
                    false => "OK",
                };
                let sent = match request.starts_with(b"HEAD ") {
                    true => "",
                    false => body,
                };
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{sent}",
                    body.len()
                );
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
                request.clear();
            }
        });
    }
}

/// `ssh://`: it runs `docker system dial-stdio` there, on several sessions, and speaks HTTP through them.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "PODGATE_TOOLS=all"]
async fn docker() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = ssh(&stand, &dir.path().join("bin"));
    let socket = dir.path().join("engine.sock");
    tokio::spawn(engine(UnixListener::bind(&socket).unwrap()));
    let url = format!("ssh://{}{}", stand.client.address("demo"), socket.display());
    for _ in 0..3 {
        let mut docker = Command::new("docker");
        docker.env("PATH", &path).env("HOME", dir.path());
        docker.args(["-H", &url, "version", "--format", "{{.Server.Version}}"]);
        let said = clients::succeeds(&mut docker, SOON).await.unwrap();
        assert_eq!(said.lines().last(), Some("99.1.2"), "{said}");
    }
    stand.until_quiet(SOON).await.unwrap();
}

/// iTerm's control mode: tmux runs in the pod, and its protocol is the terminal's content.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "PODGATE_TOOLS=all"]
async fn tmux() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("tmux");
    let command = format!("tmux -S {} -CC new-session -A -s one", socket.display());
    let mut terminal = stand
        .client
        .terminal("demo", &[command.as_str()], 24, 80)
        .unwrap();
    terminal.expect("\u{1b}P1000p%begin ").await.unwrap();
    terminal.expect("%session-changed $0 one").await.unwrap();
    let line = "send-keys -t one 'echo w\"\"orks' Enter\n";
    terminal.send(line).await.unwrap();
    terminal.expect("works\\015\\012").await.unwrap();
    terminal.send("kill-server\n").await.unwrap();
    let (seen, _) = terminal.end().await.unwrap();
    assert!(seen.contains("%exit"), "{seen}");
    stand.until_quiet(SOON).await.unwrap();
}
