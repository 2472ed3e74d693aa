//! `ssh pod CMD` in real containers: as if sshd ran in the pod.

use std::process::Output;
use std::time::Duration;

use podgate_tests::fixtures::images::Image;
use podgate_tests::fixtures::stand::{Changes, Runs, Stand};
use podgate_tests::instruments::client::Login;
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::real::containerd::{ContainerSpec, PodSpec};
use tokio::time::timeout;

const WITHIN: Duration = Duration::from_secs(20);

/// The two kinds of shell that images have: busybox's, and dash with bash and coreutils.
const PODS: [&str; 2] = ["bb", "deb"];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn parts(output: &Output) -> (Option<i32>, String, String) {
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_streams_are_the_commands_own() {
    let (stand, _pods) = Stand::with_shells(Changes::default()).await.unwrap();
    for (command, code, out, err) in [
        ("true", 0, "", ""),
        ("echo out; echo err >&2; exit 3", 3, "out\n", "err\n"),
        ("exit 255", 255, "", ""),
        ("kill -KILL $$", stand.killed_by(9), "", ""),
        ("kill -TERM $$", stand.killed_by(15), "", ""),
        ("kill -HUP $$", stand.killed_by(1), "", ""),
        (
            "trap 'echo caught; exit 9' USR1; kill -USR1 $$",
            9,
            "caught\n",
            "",
        ),
        ("trap '' TERM; kill -TERM 0; echo alive", 0, "alive\n", ""),
        ("exec sh -c 'exit 4'", 4, "", ""),
        ("pwd; echo $GREETING", 0, "", ""),
        ("cat; echo $?", 0, "0\n", ""),
    ] {
        for pod in PODS {
            let output = stand.client.run(&[], pod, command).await.unwrap();
            if command.starts_with("pwd") {
                let out = text(&output.stdout);
                assert_eq!(out, "/root\nhello-from-image\n", "{pod}");
                continue;
            }
            let expect = (Some(code), out.to_owned(), err.to_owned());
            assert_eq!(parts(&output), expect, "{command:?} in {pod}");
        }
    }
    for (command, code, words) in [
        ("nosuchprogram", 127, "not found"),
        ("/etc/passwd", 126, "ermission denied"),
    ] {
        for pod in PODS {
            let (status, _, err) = parts(&stand.client.run(&[], pod, command).await.unwrap());
            assert_eq!(status, Some(code), "{command} in {pod}");
            assert!(err.contains(words), "{command} in {pod}: {err}");
        }
    }
}

/// As under sshd: others may write on, and a client need not wait for them. The kubelet tells a status only
/// once all output has ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_status_does_not_wait_for_what_others_write() {
    let changes = Changes {
        runs: Runs::Direct,
        ..Changes::default()
    };
    let stand = Stand::containerd(changes).await.unwrap();
    let _pod = stand.run_pod(PodSpec::busybox("bb")).await.unwrap();
    let connection = Login::to(&stand, "bb").unwrap().connect().await.unwrap();
    let script = "(trap 'echo bye; exit' TERM; while :; do sleep 0.05; done) & echo $! up; exit 3";
    let mut session = connection.exec(script).await.unwrap();
    let said = session.until("up").await.unwrap();
    let left = said.split_whitespace().next().unwrap();
    let status = timeout(WITHIN, session.output.ended()).await.unwrap();
    assert_eq!(status.unwrap(), 3);
    let killer = connection.exec(&format!("kill {left}")).await.unwrap();
    timeout(WITHIN, killer.wait()).await.unwrap().unwrap();
    let (rest, status) = timeout(WITHIN, session.wait()).await.unwrap().unwrap();
    assert_eq!((text(&rest).as_str(), status), ("bye\n", 3));

    // Who leaves once it knows the status has had a session that ended with it.
    let mut session = connection.exec("sleep 1000 & exit 4").await.unwrap();
    let status = timeout(WITHIN, session.output.ended()).await.unwrap();
    assert_eq!(status.unwrap(), 4);
    drop(session);
    connection.close().await;
    let ended = ["podgate_frontdoor_sessions_total{action=\"exec\",outcome=\"exited\"} 3"];
    stand.frontdoor.counts(WITHIN, &ended).await.unwrap();
}

/// The shell is the user's of the image's passwd, unless that refuses logins; else sh.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_in_the_users_shell() {
    let stand = Stand::containerd(Changes::default()).await.unwrap();
    let mut pods = Vec::new();
    for (name, image, user, out) in [
        ("bb", Image::Busybox, 0, "sh 0 /bin/sh\n"),
        ("deb", Image::Bash, 0, "bash 0 /bin/bash\n"),
        ("svc", Image::Busybox, 1001, "sh 0 /bin/sh\n"),
        ("unknown", Image::Bash, 4242, "sh 0 /usr/bin/sh\n"),
    ] {
        let app = ContainerSpec::new("app", image).user(user);
        let pod = stand.run_pod(PodSpec::new(name).container(app)).await;
        pods.push(pod.unwrap());
        let output = stand.client.run(&[], name, "echo $0 $# $SHELL").await;
        let expect = (Some(0), out.to_owned(), String::new());
        assert_eq!(parts(&output.unwrap()), expect, "{name}");
    }
}

/// As under sshd, a session starts in the user's home; where there is none, in the container's folder.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_starts_in_the_users_home() {
    let stand = Stand::containerd(Changes::default()).await.unwrap();
    let mut pods = Vec::new();
    let there = |name, user| {
        let app = ContainerSpec::new("app", Image::Busybox).user(user);
        PodSpec::new(name).container(app)
    };
    for (name, user, home) in [
        ("root", 0, "/root"),
        ("app", 1000, "/home/app"),
        // Its home in passwd does not exist.
        ("svc", 1001, "/srv"),
        ("unknown", 4242, "/srv"),
    ] {
        pods.push(stand.run_pod(there(name, user)).await.unwrap());
        for options in [&[][..], &["-tt"]] {
            let output = stand.client.run(options, name, "pwd").await.unwrap();
            assert_eq!(text(&output.stdout).trim_end(), home, "{name} {options:?}");
            assert!(options.len() == 1 || output.stderr.is_empty(), "{name}");
        }
    }
    drop(pods);
    let changes = Changes {
        frontdoor: "workingDirectory: image\n".into(),
        ..Changes::default()
    };
    let stand = Stand::containerd(changes).await.unwrap();
    let _pod = stand.run_pod(there("app", 1000)).await.unwrap();
    let output = stand.client.run(&[], "app", "pwd; echo ~").await.unwrap();
    assert_eq!(text(&output.stdout), "/srv\n/home/app\n");
}

/// Tools that search for a command line find the command's own processes, and none of Podgate's.
#[tokio::test(flavor = "multi_thread")]
async fn a_commands_words_are_found_nowhere_else() {
    let (stand, _pods) = Stand::with_shells(Changes::default()).await.unwrap();
    let dash = ContainerSpec::new("app", Image::Bash).user(4242);
    let _dash = stand.run_pod(PodSpec::new("dash").container(dash)).await;
    // Lists what runs before it starts anything itself.
    let search = ": quark zebra; for p in /proc/[0-9]*; do \
        tr '\\0' ' ' <$p/cmdline | grep -q 'quar[k] zebra' && echo ${p#/proc/} is $$; done";
    for pod in ["bb", "deb", "dash"] {
        for options in [&[][..], &["-tt"]] {
            let output = stand.client.run(options, pod, search).await.unwrap();
            let found = text(&output.stdout);
            let pids: Vec<&str> = found.trim().split(" is ").collect();
            assert!(
                pids.len() == 2 && pids[0] == pids[1],
                "{pod} {options:?}: {found}"
            );
            // A shell that stays as its command's parent has its words, as under sshd.
            let is_parent = pod == "dash" && stand.entry.is_some();
            if pod != "bb" && !is_parent {
                let kill = "pkill -KILL -f 'quark zebra'";
                let output = stand.client.run(options, pod, kill).await.unwrap();
                assert_eq!(output.status.code(), Some(1), "{pod} {options:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_that_path_does_not_lead_to_is_found() {
    let stand = Stand::containerd(Changes::default()).await.unwrap();
    let mut pods = Vec::new();
    for (name, image, user, shell) in [
        // A busybox that finds its programs without PATH, and dash, which no wrapper can call by a name.
        ("bb", Image::Busybox, 0, "sh"),
        (
            "deb",
            Image::Bash,
            4242,
            if stand.entry.is_some() {
                "sh"
            } else {
                "/bin/sh"
            },
        ),
    ] {
        let app = ContainerSpec::new("app", image).user(user);
        let spec = PodSpec::new(name).container(app.env("PATH", "/nowhere"));
        pods.push(stand.run_pod(spec).await.unwrap());
        let own = format!("{shell} /bin/sh\n/nowhere\n");
        for (command, code, out) in [
            ("echo $0 $SHELL; /bin/echo $PATH", 0, own.as_str()),
            ("exit 3", 3, ""),
            ("/bin/echo alone", 0, "alone\n"),
        ] {
            let output = stand.client.run(&[], name, command).await.unwrap();
            let expect = (Some(code), out.to_owned(), String::new());
            assert_eq!(parts(&output), expect, "{command} in {name}");
        }
    }
    let output = stand.client.feed("bb", "", b"").await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    // A signal: without the node helper this takes a shell, too.
    let mut shell = stand
        .client
        .terminal("bb", &["echo b''egun; exec /bin/sleep 60"], 24, 80)
        .unwrap();
    shell.expect("begun").await.unwrap();
    drop(shell);
    let look = async || {
        let count = "/bin/ps | /bin/grep -c '[s]leep 60'";
        let output = stand.client.run(&[], "bb", count).await.unwrap();
        (output.stdout == b"0\n").then_some(())
    };
    eventually("the end of the sleep", WITHIN, look)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_status_from_0_to_255_arrives() {
    let (stand, _pods) = Stand::with_shells(Changes::default()).await.unwrap();
    let shared = stand.client.share("bb").await.unwrap();
    for status in 0..=255 {
        let command = format!("exit {status}");
        let output = stand
            .client
            .run(&[&shared.option], "bb", &command)
            .await
            .unwrap();
        let expect = (Some(status), String::new(), String::new());
        assert_eq!(parts(&output), expect);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_byte_of_an_upload_and_a_download_arrives() {
    let (stand, _pods) = Stand::with_shells(Changes::default()).await.unwrap();
    let size = 50 * 1024 * 1024;
    // Every byte value, and no period that a lost buffer could hide in.
    let big: Vec<u8> = (0..size as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    for pod in PODS {
        let command = "cat > /tmp/f; s=$?; wc -c < /tmp/f; exit $s";
        let output = stand.client.feed(pod, command, &big).await.unwrap();
        assert_eq!(
            parts(&output),
            (Some(0), format!("{size}\n"), String::new()),
            "{pod}"
        );
        // A plain `cat`, which a runtime by itself would cut short with status 0.
        let output = stand.client.feed(pod, "cat > /tmp/g", &big).await.unwrap();
        assert_eq!(
            parts(&output),
            (Some(0), String::new(), String::new()),
            "{pod}"
        );
        let output = stand
            .client
            .feed(pod, "exec >/dev/null 2>&1; cat > /tmp/h", &big)
            .await;
        assert_eq!(output.unwrap().status.code(), Some(0), "{pod}");
        for file in ["f", "g", "h"] {
            let output = stand
                .client
                .run(&[], pod, &format!("cat /tmp/{file}"))
                .await
                .unwrap();
            assert!(
                output.stdout == big,
                "{pod}: {file}: {} bytes came back",
                output.stdout.len()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_bytes_pass_both_ways_and_streams_stay_apart() {
    let (stand, _pods) = Stand::with_shells(Changes::default()).await.unwrap();
    let bytes: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    for pod in PODS {
        let output = stand
            .client
            .feed(pod, "tee /dev/stderr", &bytes)
            .await
            .unwrap();
        assert!(output.stdout == bytes && output.stderr == bytes, "{pod}");
        // Not UTF-8 in the command itself.
        let mut ssh = stand.client.ssh(&[], pod);
        use std::os::unix::ffi::OsStrExt;
        let output = ssh
            .arg(std::ffi::OsStr::from_bytes(b"printf '%s' 'a\xff\xfe\x80z'"))
            .output()
            .await
            .unwrap();
        assert_eq!(
            output.stdout,
            b"a\xff\xfe\x80z",
            "{pod}: {}",
            text(&output.stderr)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_command_runs_and_one_beyond_the_kernel_is_refused() {
    let (stand, _pods) = Stand::with_shells(Changes::default()).await.unwrap();
    for pod in PODS {
        let words = "x".repeat(100 * 1024);
        let output = stand
            .client
            .run(&[], pod, &format!("printf %s {words} | wc -c"))
            .await
            .unwrap();
        assert_eq!(
            parts(&output),
            (Some(0), format!("{}\n", words.len()), String::new()),
            "{pod}"
        );
        // ssh itself takes no longer argument, but joins several.
        let mut ssh = stand.client.ssh(&[], pod);
        let output = ssh
            .arg(format!(": {words}"))
            .arg(&words)
            .output()
            .await
            .unwrap();
        let (status, out, err) = parts(&output);
        assert_eq!((status, out.as_str()), (Some(255), ""), "{pod}");
        assert!(
            err.contains("the command is 204803 bytes long"),
            "{pod}: {err}"
        );
        assert_eq!(err.lines().count(), 1, "{pod}: {err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn options_of_ssh_mean_what_they_mean() {
    let (stand, _pods) = Stand::with_shells(Changes::default()).await.unwrap();
    for pod in PODS {
        let tty = "[ -t 0 ] && echo tty || echo none";
        for (options, expect) in [
            (&["-T"][..], "none\n"),
            (&["-tt"], "tty\r\n"),
            (&["-n"], "none\n"),
        ] {
            let output = stand.client.run(options, pod, tty).await.unwrap();
            assert_eq!(text(&output.stdout), expect, "{options:?} in {pod}");
        }
        let output = stand
            .client
            .run(&["-oRequestTTY=force"], pod, "exit 5")
            .await
            .unwrap();
        assert_eq!(output.status.code(), Some(5), "{pod}");
    }
    // -N: a connection without a session. It ends when told to, without an error.
    let mut idle = stand.client.ssh(&["-N"], "bb").spawn().unwrap();
    stand
        .frontdoor
        .wait_log(std::time::Duration::from_secs(10), |line| {
            line["message"] == "login"
        })
        .await
        .unwrap();
    idle.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_is_the_containers_and_what_may_pass() {
    let changes = Changes {
        frontdoor: "acceptEnv: [GIT_AUTHOR_NAME]\n".into(),
        ..Changes::default()
    };
    let stand = Stand::containerd(changes).await.unwrap();
    let spec = ContainerSpec::new("app", Image::Busybox)
        .env("OWN", "its own")
        .user(1000);
    let pod = stand
        .run_pod(PodSpec::new("bb").container(spec))
        .await
        .unwrap();
    let mut ssh = stand.client.ssh(
        &["-oSendEnv=LANG LC_* GIT_AUTHOR_NAME SECRET LD_PRELOAD SSH_CLIENT USER"],
        "bb",
    );
    let set = [
        ("LANG", "de_DE.UTF-8"),
        ("LC_ALL", "C"),
        ("GIT_AUTHOR_NAME", "Ada \"L\" $(x)"),
        ("SECRET", "no"),
        ("SSH_CLIENT", "a lie"),
        ("USER", "nobody"),
    ];
    let output = ssh.envs(set).arg("env").output().await.unwrap();
    let out = text(&output.stdout);
    let has = |line: &str| out.lines().any(|l| l == line);
    for line in [
        "LANG=de_DE.UTF-8",
        "LC_ALL=C",
        "GIT_AUTHOR_NAME=Ada \"L\" $(x)",
        "OWN=its own",
        "GREETING=hello-from-image",
    ] {
        assert!(has(line), "{line} is not in {out}");
    }
    assert!(!out.contains("SECRET") && !out.contains("__"), "{out}");
    for line in [
        "USER=app",
        "LOGNAME=app",
        "HOME=/home/app",
        "SHELL=/bin/sh",
        // busybox's own.
        "SHLVL=1",
    ] {
        assert!(has(line), "{line} is not in {out}");
    }
    let value = |name: &str| {
        let mut values = out.lines().filter_map(|line| line.strip_prefix(name));
        values
            .next()
            .unwrap_or_else(|| panic!("no {name} in {out}"))
    };
    let port = stand.frontdoor.port().to_string();
    let words: Vec<&str> = value("SSH_CONNECTION=").split(' ').collect();
    assert_eq!(
        (words[0], &words[2..]),
        ("127.0.0.1", &["127.0.0.1", port.as_str()][..])
    );
    assert_eq!(value("SSH_CLIENT="), [words[0], words[1], &port].join(" "));
    assert!(
        !out.contains("SSH_TTY=") && !out.contains("OLDPWD="),
        "{out}"
    );
    assert!(!out.lines().any(|line| line.starts_with("TERM=")), "{out}");
    let output = stand.client.run(&[], "bb", "id -u").await.unwrap();
    assert_eq!(text(&output.stdout), "1000\n");
    drop(pod);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_without_a_shell_runs_programs_by_their_words() {
    let stand = Stand::containerd(Changes::default()).await.unwrap();
    let _pod = stand.run_pod(PodSpec::distroless("bare")).await.unwrap();
    for (command, code, out) in [
        ("/probe args 'a  b' \"c d\" e", 0, "[a  b]\n[c d]\n[e]\n"),
        ("/probe exit 7", 7, ""),
        ("/probe signal 9", stand.killed_by(9), ""),
    ] {
        let output = stand.client.run(&[], "bare", command).await.unwrap();
        assert_eq!(
            parts(&output),
            (Some(code), out.to_owned(), String::new()),
            "{command}"
        );
    }
    let big = vec![b'x'; 20 * 1024 * 1024];
    let output = stand.client.feed("bare", "/probe cat", &big).await.unwrap();
    assert_eq!(
        (output.status.code(), output.stdout.len()),
        (Some(0), big.len())
    );

    // The line that says so is longer than one message of the link.
    let long = "A".repeat(40_000);
    for (command, code, words) in [
        ("/nosuch", 127, "no such file"),
        ("nosuch", 127, "not found"),
        (&long, 127, "not found"),
        ("/probe 'a", 255, "quotes do not match"),
    ] {
        let (status, out, err) = parts(&stand.client.run(&[], "bare", command).await.unwrap());
        assert_eq!((status, out.as_str()), (Some(code), ""), "{command}: {err}");
        assert!(
            err.starts_with("podgate: ") && err.contains(words),
            "{command}: {err}"
        );
        assert_eq!(err.lines().count(), 1, "{err}");
    }
    let mut shell = stand.client.ssh(&[], "bare");
    let (status, _, err) = parts(&shell.output().await.unwrap());
    assert_eq!(status, Some(255));
    assert!(
        err.contains("this image has no shell; run one of its programs instead"),
        "{err}"
    );
}
