//! Zed, and Emacs' TRAMP: their sequences.

use tokio::io::{AsyncBufReadExt, BufReader};

use super::*;

/// Zed's server in short: `proxy` starts it in the background, in the same group and with /dev/null for all
/// three descriptors, and then carries its bytes. With `--reconnect` it must run already.
const ZED: &str = r#"#!/bin/sh
case $1 in
version) echo 0.200.0; exit ;;
proxy) ;;
*) exit 2 ;;
esac
if [ "$4" = --reconnect ]; then
    kill -0 "$(cat /tmp/zed.pid)" 2>/dev/null || { echo "attempted to reconnect, but no server running" >&2; exit 90; }
else
    sh -c 'echo $$ >/tmp/zed.pid; exec sleep 7461' </dev/null >/dev/null 2>&1 &
    while ! [ -s /tmp/zed.pid ]; do sleep 0.1; done
fi
echo ready
exec cat
"#;

/// One master, and everything else as sessions of it.
#[tokio::test(flavor = "multi_thread")]
async fn zed() {
    let place = Place::of(PodSpec::busybox("bb")).await;
    let id = place.pod.container_id("app").unwrap();
    let client = &place.stand.client;
    let server = ".zed_server/zed-remote-server-stable-0.200.0";
    for round in ["new", "--reconnect"] {
        let master = client.share("bb").await.unwrap();
        let options = [master.option.as_str(), "-T"];
        let shell = place.says(&options, "cd; sh -c 'echo $SHELL'").await;
        assert_eq!(shell, "/bin/sh\n");
        let system = place.says(&options, "cd; uname -sm").await;
        assert!(system.starts_with("Linux "), "{system}");
        if round == "new" {
            let version = format!("cd; {server} version");
            let none = place.run(&options, &version).await;
            assert_eq!(none.status.code(), Some(127), "{none:?}");
            place.says(&options, "cd; mkdir -p .zed_server").await;
            upload(&place, &master.option, server).await;
            let unpack = format!(
                "cd; sh -c 'gunzip -f {server}.gz && chmod 755 {server} && mv {server} {server}.new && mv {server}.new {server}'"
            );
            place.says(&options, &unpack).await;
            assert_eq!(place.says(&options, &version).await, "0.200.0\n");
        }
        let terminal = "cd && exec env TERM=xterm-256color $SHELL -l -c 'echo $TERM; pwd'";
        let options = [master.option.as_str(), "-tt"];
        let seen = place.says(&options, terminal).await;
        // A shared connection without a terminal of its own asks for one that adds no carriage returns.
        assert_eq!(seen.replace('\r', ""), "xterm-256color\n/root\n");
        proxied(
            &place,
            &master.option,
            &format!("cd; env RUST_LOG=info {server} proxy --identifier one {round}"),
        )
        .await;
        // The client is gone. What it has left runs on, alone.
        drop(master);
        let _ = std::fs::remove_file(place.stand.dir().join("control-bb"));
        let alone = |all: &[(u32, String)]| {
            let has = |word: &str| all.iter().filter(|(_, line)| line.contains(word)).count();
            let proxies = all.iter().filter(|(_, line)| line == "cat").count() + has("proxy");
            (has("sleep 7461") == 1 && proxies == 0).then_some(())
        };
        place.stand.until_processes(SOON, id, alone).await.unwrap();
        place.stand.until_quiet(SOON).await.unwrap();
    }
}

/// By SFTP, relative to the folder in which it begins.
async fn upload(place: &Place, option: &str, server: &str) {
    let local = place.stand.dir().join("zed");
    std::fs::write(&local, ZED).unwrap();
    let packed = Command::new("gzip").arg(&local).status().await.unwrap();
    assert!(packed.success());
    let batch = format!("put {}.gz {server}.gz\n", local.display());
    let mut sftp = place.stand.client.tool("sftp");
    let address = place.stand.client.address("bb");
    sftp.args([option, "-b", "-", &address]);
    succeeds(&given(&mut sftp, batch.as_bytes()).await, "sftp");
}

/// The session that carries everything; its client is killed.
async fn proxied(place: &Place, option: &str, command: &str) {
    let mut ssh = place.stand.client.ssh(&[option, "-T"], "bb");
    let mut ssh = ssh.arg(command).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = ssh.stdin.take().unwrap();
    let mut lines = BufReader::new(ssh.stdout.take().unwrap()).lines();
    stdin.write_all(b"message\n").await.unwrap();
    for expect in ["ready", "message"] {
        let line = timeout(SOON, lines.next_line()).await.unwrap();
        assert_eq!(line.unwrap().as_deref(), Some(expect), "{command}");
    }
    ssh.kill().await.unwrap();
}

/// A terminal without its features; all goes through one shell, files too. Each line waits for the prompt.
#[tokio::test(flavor = "multi_thread")]
async fn tramp() {
    let place = Place::new().await;
    let options = ["-e", "none", "-oControlMaster=no"];
    let mut shell = place
        .stand
        .client
        .terminal_with(&options, POD, &[], 24, 80)
        .unwrap();
    let start = "exec env TERM='dumb' INSIDE_EMACS='29.4,tramp:2.6.3' ENV='' HISTFILE=~/.tramp_history \
        PROMPT_COMMAND='' PS1='///'1'#$' PS2='' PS3='' /bin/sh -i\n";
    shell.send(start).await.unwrap();
    let attributes =
        "stat -c '((\"%N\") %h (\"%U\" . %u) (\"%G\" . %g) %X %Y %Z %s \"%A\" t %i -1)' /";
    for (line, expect) in [
        ("stty -inlcr -onlcr -echo kill '^U' erase '^H'", ""),
        ("set +o vi +o emacs", ""),
        ("stty iutf8 tab0", ""),
        ("(echo foo ; echo bar)", "foo\nbar\n"),
        ("cd ~/ && echo \"home:$(pwd)\"", "home:/root\n"),
        (
            "test -e /bin 2>/dev/null; echo tramp_exit_status $?",
            "tramp_exit_status 0\n",
        ),
        (
            "test -e /none 2>/dev/null; echo tramp_exit_status $?",
            "tramp_exit_status 1\n",
        ),
        (attributes, "(\"root\" . 0)"),
        (
            "base64 -d -i >/tmp/written <<'EOF'\naGVsbG8gdGhlcmUK\nEOF",
            "",
        ),
        ("base64 </tmp/written", "aGVsbG8gdGhlcmUK\n"),
    ] {
        shell.expect("///1#$").await.unwrap();
        shell.send(&format!("{line}\n")).await.unwrap();
        shell.expect(expect).await.unwrap();
    }
    shell.expect("///1#$").await.unwrap();
    shell.send("exit 7\n").await.unwrap();
    assert_eq!(shell.end().await.unwrap().1, 7);
    assert_eq!(place.says(&[], "cat /tmp/written").await, "hello there\n");
}
