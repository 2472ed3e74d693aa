//! `ssh pod` on a terminal, in real containers: what a person sees and can do.

use podgate_tests::fixtures::images::Image;
use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::instruments::terminal::Terminal;
use podgate_tests::real::containerd::{ContainerSpec, PodSpec};

const PODS: [&str; 2] = ["bb", "deb"];

fn terminal(stand: &Stand, target: &str, command: &[&str]) -> Terminal {
    stand.client.terminal(target, command, 43, 132).unwrap()
}

/// The last line that is not empty.
fn line(seen: &str) -> &str {
    seen.lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty())
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_size_is_right_at_the_first_read_every_time() {
    let (stand, _pods) = Stand::with_shells(Changes::default()).await.unwrap();
    for pod in PODS {
        for _ in 0..20 {
            let (seen, code) = terminal(&stand, pod, &["stty size"]).end().await.unwrap();
            assert_eq!((line(&seen), code), ("43 132", 0), "{pod}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_knows_its_terminal_and_follows_its_size() {
    let (stand, _pods) = Stand::with_shells(Changes::default()).await.unwrap();
    for pod in PODS {
        let mut shell = terminal(&stand, pod, &[]);
        shell
            .send("echo $((6*7)) $TERM $GREETING; echo \"<$SSH_TTY=$(tty)>\"; stty size; echo e''nd\n")
            .await
            .unwrap();
        let seen = shell.expect("end").await.unwrap();
        assert!(seen.contains("42 xterm hello-from-image"), "{pod}: {seen}");
        assert!(seen.contains("</dev/pts/0=/dev/pts/0>"), "{pod}: {seen}");
        assert!(seen.contains("43 132"), "{pod}: {seen}");

        // A job in the foreground is told of a new size. The shell at its prompt may not show it.
        let watch = "sh -c 'trap \"stty size; echo w\"\"inch; exit\" WINCH; echo s\"\"et; while :; do sleep 0.05; done'\n";
        shell.send(watch).await.unwrap();
        shell.expect("set").await.unwrap();
        shell.resize(50, 101).unwrap();
        let seen = shell.expect("winch").await.unwrap();
        assert!(seen.contains("50 101"), "{pod}: {seen}");
        shell.send("exit 5\n").await.unwrap();
        assert_eq!(shell.end().await.unwrap().1, 5, "{pod}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_mean_what_they_mean_on_a_terminal() {
    let (stand, _pods) = Stand::with_shells(Changes::default()).await.unwrap();
    for pod in PODS {
        let mut shell = terminal(&stand, pod, &[]);
        // Ctrl-C ends the job, not the shell. The job itself says that it is in the foreground.
        let job = "sh -c 'echo r\"\"un; exec sleep 1000'\n";
        shell.send(job).await.unwrap();
        shell.expect("run").await.unwrap();
        shell.send("\x03").await.unwrap();
        shell.send("echo status $?\n").await.unwrap();
        shell.expect("status 130").await.unwrap();
        // Ctrl-Z stops the job, and the shell lists it.
        shell.send(job).await.unwrap();
        shell.expect("run").await.unwrap();
        shell.send("\x1a").await.unwrap();
        shell.expect("topped").await.unwrap();
        shell
            .send("bg; jobs; kill %1; wait %1; echo s''tatus $?\n")
            .await
            .unwrap();
        let seen = shell.expect("status 143").await.unwrap();
        assert!(seen.contains("sleep 1000"), "{pod}: {seen}");
        // Ctrl-D ends a program that reads, and on an empty line the shell.
        shell
            .send("sh -c 'echo r\"\"eady; exec cat'\n")
            .await
            .unwrap();
        shell.expect("ready\r\n").await.unwrap();
        shell.send("typed\n").await.unwrap();
        shell.expect("typed\r\ntyped\r\n").await.unwrap();
        shell.send("\x04").await.unwrap();
        shell.send("echo b''ack; (exit 7)\n").await.unwrap();
        shell.expect("back\r\n").await.unwrap();
        // Wait for the prompt: before it, no shell would read the key.
        shell.expect("# ").await.unwrap();
        shell.send("\x04").await.unwrap();
        let (seen, code) = shell.end().await.unwrap();
        assert_eq!(code, 7, "{pod}: {seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_terminal_modes_are_taken_over() {
    let (stand, _pods) = Stand::with_shells(Changes::default()).await.unwrap();
    for pod in PODS {
        let mut args = stand.client.options();
        args.extend([
            "-t".to_owned(),
            format!("{pod}@127.0.0.1"),
            "stty -a".to_owned(),
        ]);
        let ssh = args
            .iter()
            .map(|arg| format!("'{arg}'"))
            .collect::<Vec<_>>()
            .join(" ");
        let script = format!("stty intr ^B erase ^H -ixon -echoctl; exec ssh {ssh}");
        let shell = Terminal::start("sh", &["-c".to_owned(), script], 30, 90).unwrap();
        let (seen, code) = shell.end().await.unwrap();
        assert_eq!(code, 0, "{pod}: {seen}");
        for word in [
            "intr = ^B",
            "erase = ^H",
            "-ixon",
            "-echoctl",
            "rows 30",
            "columns 90",
        ] {
            assert!(seen.contains(word), "{pod}: no {word} in {seen}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_that_fill_the_screen_work() {
    let (stand, _pods) = Stand::with_shells(Changes::default()).await.unwrap();
    for pod in PODS {
        let mut shell = terminal(&stand, pod, &[]);
        shell
            .send("seq 500 > /tmp/l; echo w''ritten\n")
            .await
            .unwrap();
        shell.expect("written").await.unwrap();
        shell.send("less /tmp/l\n").await.unwrap();
        shell.expect("41\r\n").await.unwrap();
        shell.send("G").await.unwrap();
        shell.expect("500").await.unwrap();
        shell.send("q").await.unwrap();
        shell.expect("# ").await.unwrap();
        shell.send("vi /tmp/v\n").await.unwrap();
        shell.expect("vi /tmp/v\r\n").await.unwrap();
        // Its status line.
        shell.expect("/tmp/v").await.unwrap();
        shell.send("ihello from vi\x1b").await.unwrap();
        shell.expect("hello from vi").await.unwrap();
        shell.send(":wq\r").await.unwrap();
        // Wait for the prompt: keys typed before it would go to vi.
        shell.expect("# ").await.unwrap();
        shell
            .send("echo; cat /tmp/v; echo v''i-done\n")
            .await
            .unwrap();
        let seen = shell.expect("vi-done").await.unwrap();
        assert!(seen.contains("\nhello from vi"), "{pod}: {seen}");
        shell.send("top\n").await.unwrap();
        shell.expect("PID").await.unwrap();
        shell.send("q").await.unwrap();
        shell.expect("# ").await.unwrap();
        shell.send("exit\n").await.unwrap();
        assert_eq!(shell.end().await.unwrap().1, 0, "{pod}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shell_is_the_users_and_none_that_refuses() {
    let stand = Stand::containerd(Changes::default()).await.unwrap();
    let app = |user| ContainerSpec::new("app", Image::Busybox).user(user);
    let mut pods = Vec::new();
    pods.push(stand.run_pod(PodSpec::bash("deb")).await.unwrap());
    for (name, user) in [("app", 1000), ("svc", 1001), ("unknown", 4242)] {
        let spec = PodSpec::new(name).container(app(user));
        pods.push(stand.run_pod(spec).await.unwrap());
    }
    // svc's shell in passwd is nologin; the image has ash, which goes before sh.
    for (pod, shell) in [
        ("deb", "/bin/bash"),
        ("app", "/bin/sh"),
        ("svc", "ash"),
        ("unknown", "ash"),
    ] {
        let mut terminal = terminal(&stand, pod, &[]);
        terminal
            .send("echo s''hell=$0 pwd=$PWD; shopt 2>/dev/null | grep login_shell; exit\n")
            .await
            .unwrap();
        let (seen, _) = terminal.end().await.unwrap();
        let found = seen
            .split("shell=")
            .nth(1)
            .and_then(|words| words.split(' ').next());
        let found = found.unwrap_or_default();
        assert!(found.ends_with(shell), "{pod}: {found:?} in {seen}");
        if pod == "deb" {
            assert!(
                seen.contains("login_shell") && seen.contains("off"),
                "{seen}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_shell_where_configured() {
    let changes = Changes {
        frontdoor: "loginShell: true\n".into(),
        ..Changes::default()
    };
    let stand = Stand::containerd(changes).await.unwrap();
    let _pod = stand.run_pod(PodSpec::bash("deb")).await.unwrap();
    let mut shell = terminal(&stand, "deb", &[]);
    shell
        .send("shopt -q login_shell && echo lo''gin; exit\n")
        .await
        .unwrap();
    shell.expect("login").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_without_a_terminal_reads_its_commands() {
    let (stand, _pods) = Stand::with_shells(Changes::default()).await.unwrap();
    for pod in PODS {
        use tokio::io::AsyncWriteExt;
        let mut ssh = stand.client.ssh(&["-T"], pod);
        let mut child = ssh.stdin(std::process::Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin
            .write_all(b"echo one; echo two >&2; exit 6\n")
            .await
            .unwrap();
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        assert_eq!(output.status.code(), Some(6), "{pod}");
        assert_eq!(
            (&output.stdout[..], &output.stderr[..]),
            (&b"one\n"[..], &b"two\n"[..])
        );
    }
}
