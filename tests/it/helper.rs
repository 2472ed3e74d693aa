//! The node helper: what it may still do once it serves, and whom it serves.

mod containers;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use podgate_tests::fixtures::gateway::binary;
use podgate_tests::fixtures::helper::Helper;
use rustix::process::Signal;
use serde_json::{Value, json};

/// Bits of capabilities(7): DAC_READ_SEARCH, KILL, SYS_PTRACE.
const NEEDED: u64 = 1 << 2 | 1 << 5 | 1 << 19;

async fn start() -> (tempfile::TempDir, Helper) {
    let dir = tempfile::tempdir().unwrap();
    let helper = Helper::start(&dir.path().join("node/socket"))
        .await
        .unwrap();
    (dir, helper)
}

/// What a helper answers to these bytes.
fn say(socket: &Path, bytes: &[u8]) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    // It may have read enough before the end.
    let _ = stream.write_all(bytes);
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn ask(socket: &Path, request: &Value) -> Value {
    let answer = say(socket, format!("{request}\n").as_bytes()).unwrap();
    serde_json::from_str(&answer).unwrap()
}

fn processes() -> Value {
    json!({"count": {"container": "a".repeat(64)}})
}

#[tokio::test]
async fn its_privileges_are_few_in_every_thread() {
    let (_dir, helper) = start().await;
    assert_eq!(
        ask(helper.socket(), &processes()),
        json!({"done": {"processes": 0}})
    );
    let tasks = format!("/proc/{}/task", helper.pid().unwrap());
    let mut threads = 0;
    for task in std::fs::read_dir(tasks).unwrap() {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().trim().to_owned()
        };
        for (name, expect) in [
            ("CapEff:", NEEDED),
            ("CapPrm:", NEEDED),
            ("CapBnd:", NEEDED),
            ("CapInh:", 0),
            ("CapAmb:", 0),
        ] {
            let set = u64::from_str_radix(&field(name), 16).unwrap();
            assert_eq!(set, expect, "{name} {set:x}");
        }
        assert_eq!(field("NoNewPrivs:"), "1");
        assert_eq!(field("Seccomp:"), "2", "a filter");
        threads += 1;
    }
    assert!(threads > 1, "{threads} threads");
}

#[tokio::test]
async fn only_its_own_user_and_the_agents_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("node/socket");
    let agent = ["--agent-uid", "65533"];
    let helper = Helper::start_with(&socket, &agent).await.unwrap();
    let socket = helper.socket();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let folder = socket.parent().unwrap();
    assert_eq!((mode(folder), mode(socket)), (0o750, 0o660));
    // Even if the folder were open, another user would be told nothing.
    for path in [dir.path(), folder, socket] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).unwrap();
    }
    let ask = format!(
        "use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new('{}') or die; \
         print $s '{}', qq(\\n); $s->flush; print <$s>",
        socket.display(),
        processes()
    );
    let as_user = |user: &str| {
        let asked = Command::new("setpriv")
            .args(["--reuid", user, "--clear-groups", "perl", "-e", &ask])
            .output()
            .unwrap();
        String::from_utf8(asked.stdout).unwrap()
    };
    assert_eq!(as_user("0"), "{\"done\":{\"processes\":0}}\n");
    assert_eq!(as_user("65533"), "{\"done\":{\"processes\":0}}\n");
    assert_eq!(as_user("65534"), "");
}

#[tokio::test]
async fn a_folder_that_is_open_to_others_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let output = Command::new(binary("podgate-node-helper").unwrap())
        .arg("--socket")
        .arg(dir.path().join("socket"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("open to others"), "{text}");
}

#[tokio::test]
async fn a_request_is_one_of_a_few_and_bounded() {
    let (_dir, helper) = start().await;
    let socket = helper.socket();
    let failed = |bytes: &[u8], why: &str| {
        let answer = say(socket, bytes).unwrap_or_default();
        assert!(answer.contains(why), "{answer:?}");
    };
    failed(b"x\n", "failed");
    failed(b"{\"run\":[\"sh\"]}\n", "unknown variant");
    failed(
        b"{\"count\":{\"container\":\"/\"}}\n",
        "64 lower-case hex digits",
    );
    failed(b"\xff\xfe\n", "failed");
    // Too long for any request: cut off without an answer.
    let long = vec![b'x'; 4 * 1024 * 1024];
    assert_eq!(say(socket, &long).unwrap_or_default(), "");
    // More silent peers than it has threads: each is dropped after a while, and others are served.
    let silent: Vec<_> = (0..24)
        .map(|_| UnixStream::connect(socket).unwrap())
        .collect();
    assert_eq!(ask(socket, &processes()), json!({"done": {"processes": 0}}));
    drop(silent);
}

#[tokio::test]
async fn told_to_end_it_serves_until_no_agent_is_connected() {
    let (_dir, mut helper) = start().await;
    let mut agent = UnixStream::connect(helper.socket()).unwrap();
    agent.write_all(b"{\"stay\":{}}\n").unwrap();
    let mut agent = BufReader::new(agent);
    let mut told = String::new();
    agent.read_line(&mut told).unwrap();
    assert_eq!(told, "{\"looks\":{\"hanging\":0}}\n");
    helper.signal(Signal::TERM).unwrap();
    // Another agent comes while it waits.
    let mut next = UnixStream::connect(helper.socket()).unwrap();
    next.write_all(b"{\"stay\":{}}\n").unwrap();
    let mut next = BufReader::new(next);
    next.read_line(&mut told).unwrap();
    drop(agent);
    for _ in 0..3 {
        let answer = ask(helper.socket(), &processes());
        assert_eq!(answer, json!({"done": {"processes": 0}}));
    }
    assert!(!helper.has_ended().unwrap());
    drop(next);
    assert!(helper.ended().await.unwrap().success());

    let (_dir, mut helper) = start().await;
    helper.signal(Signal::TERM).unwrap();
    assert!(helper.ended().await.unwrap().success(), "nobody is there");
}

#[tokio::test]
async fn a_process_that_is_not_the_one_meant_is_not_signalled() {
    let (_dir, helper) = start().await;
    let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let start: u64 = stat
        .rsplit(") ")
        .next()
        .unwrap()
        .split(' ')
        .nth(19)
        .unwrap()
        .parse()
        .unwrap();
    // The process is in no container, so it cannot be anybody's session.
    let leader = json!({"container": "a".repeat(64), "pid": child.id(), "start_time": start});
    for request in [
        json!({"signal": {"leader": leader, "signal": "KILL"}}),
        json!({"hang_up": {"leader": leader}}),
        json!({"kill": {"leader": leader, "hung_up": {"foreground": child.id(), "at": start + 1}}}),
    ] {
        assert_eq!(ask(helper.socket(), &request), json!("gone"));
    }
    assert!(child.try_wait().unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
}
