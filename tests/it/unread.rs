//! A program that does not read its input, in real containers: it ends as under sshd, and signals and
//! sizes reach it. `PODGATE_SOAK=1000` runs each command this many times.

use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use podgate_tests::fixtures::stand::{Changes, Runs, Stand};
use podgate_tests::instruments::client::{Connection, Login, Session};
use podgate_tests::instruments::program::Input;
use podgate_tests::real::containerd::{PodSpec, RunningPod};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Times of each command where nobody asks for more.
const TIMES: usize = 20;
/// For one session.
const SOON: Duration = Duration::from_secs(20);
/// For one whose end of input the runtime has lost: the agent waits for 30 s.
const LOST: Duration = Duration::from_secs(90);
/// A write that does not get on for this long is stalled.
const STALL: Duration = Duration::from_millis(700);
const MB: usize = 1_000_000;

/// Commands that leave their input unread, and the status that each ends with.
const COMMANDS: [(&str, i32); 3] = [
    ("head -c1 >/dev/null; exit 7", 7),
    ("exit 3", 3),
    // "No space left on device".
    ("cat >/dev/full", 1),
];
/// The same on a terminal; the last leaves it as an editor that was killed does.
const ON_TERMINAL: [(&str, i32); 3] = [
    ("true", 0),
    ("head -c1 >/dev/null; exit 7", 7),
    ("stty raw -echo; exit 5", 5),
];

fn times() -> usize {
    let asked = std::env::var("PODGATE_SOAK").ok();
    asked.map_or(TIMES, |times| times.parse().expect("PODGATE_SOAK"))
}

/// A client's input: more zeros than all buffers on the way hold, or endless lines.
#[derive(Clone, Copy, Debug)]
enum Sent {
    Zeros,
    Lines,
}

impl Sent {
    fn by(self) -> Child {
        let mut command = match self {
            Self::Zeros => Command::new("head"),
            Self::Lines => Command::new("yes"),
        };
        if matches!(self, Self::Zeros) {
            command.args(["-c", "1000000", "/dev/zero"]);
        }
        let command = command.stdout(Stdio::piped()).kill_on_drop(true);
        command.spawn().unwrap()
    }
}

async fn run(stand: &Stand, option: &str, pod: &str, command: &str, sent: Sent) -> Output {
    let mut from = sent.by();
    let stdin: Stdio = from.stdout.take().unwrap().try_into().unwrap();
    let mut ssh = stand.client.ssh(&[option], pod);
    let ended = timeout(SOON, ssh.arg(command).stdin(stdin).output()).await;
    match ended {
        Ok(output) => output.unwrap(),
        Err(_) => panic!(
            "{option} {pod} {command:?} hangs\n{}",
            stand.agent.log().join("\n")
        ),
    }
}

/// Runs each command again and again, and looks at what is left.
async fn ends(option: &str, commands: [(&str, i32); 3]) {
    let (stand, pods) = Stand::with_shells(Changes::default()).await.unwrap();
    for pod in ["bb", "deb"] {
        for (command, status) in commands {
            let (begun, mut longest) = (Instant::now(), Duration::ZERO);
            for turn in 0..times() {
                let mut sent = [Sent::Zeros, Sent::Lines][turn % 2];
                // As under sshd, what is no line stays in a terminal by the node entry.
                if stand.entry.is_some() && option == "-tt" && command.starts_with("head") {
                    sent = Sent::Lines;
                }
                let began = Instant::now();
                let output = run(&stand, option, pod, command, sent).await;
                longest = longest.max(began.elapsed());
                let said = String::from_utf8_lossy(&output.stderr);
                let ended = output.status.code();
                let log = || stand.agent.log().join("\n");
                let which = format!("turn {turn} of {command:?} in {pod}, {sent:?}");
                assert_eq!(ended, Some(status), "{which}: {said}\n{}", log());
            }
            let each = begun.elapsed() / u32::try_from(times()).unwrap();
            eprintln!("{pod} {command:?}: {each:?} each, {longest:?} at most");
        }
    }
    rests(&stand, &pods).await;
}

/// Nothing is left of any session.
async fn rests(stand: &Stand, pods: &[RunningPod]) {
    timeout(SOON, stand.kubelet.until_open_execs(0))
        .await
        .expect("the kubelet's last exec stays");
    let alone = |all: &[(u32, String)]| (all.len() == 1).then_some(());
    for pod in pods {
        let id = pod.container_id("app").unwrap();
        stand.until_processes(SOON, id, alone).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_ends_with_its_status() {
    ends("-T", COMMANDS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_on_a_terminal_ends_with_its_status() {
    ends("-tt", ON_TERMINAL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_output_comes_before_the_end() {
    let (stand, pods) = Stand::with_shells(Changes::default()).await.unwrap();
    for pod in ["bb", "deb"] {
        for _ in 0..times().div_ceil(10) {
            let command = "head -c 20000000 /dev/zero; exit 5";
            let output = run(&stand, "-T", pod, command, Sent::Lines).await;
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(5), "{pod}: {said}");
            assert_eq!(output.stdout.len(), 20 * MB, "{pod}");
        }
    }
    rests(&stand, &pods).await;
}

/// A runtime that loses the end of input, or a terminal's answer, gives no status, but the wrapper has said
/// it. What the program has left is hung up, but for background jobs without a terminal that read /dev/null.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_end_of_input_costs_no_status() {
    let changes = Changes {
        runs: Runs::Kubelet,
        agent: "hangUpGraceSeconds: 1\n".to_owned(),
        ..Changes::default()
    };
    let (stand, pods) = Stand::with_shells(changes).await.unwrap();
    stand.kubelet.faults().set_lose_input(true);
    let each = ["bb", "deb"].map(|pod| ["-T", "-tt"].map(|option| (pod, option)));
    let each = each.into_iter().flatten();
    join_all(each.map(async |(pod, option)| {
        let command = "sleep 1000 </dev/zero & \
            head -c 3000000 /dev/zero; echo err >&2; exit 37";
        let options = [option];
        let run = stand.client.run(&options, pod, command);
        let output = timeout(LOST, run).await.expect("in time").unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let which = format!("{option} in {pod}: {said:?}");
        assert_eq!(output.status.code(), Some(37), "{which}");
        let (out, err) = match option {
            "-T" => (3 * MB, "err\n"),
            _ => (3 * MB + "err\r\n".len(), ""),
        };
        assert_eq!(output.stdout.len(), out, "{which}");
        assert_eq!(
            said.replace("Connection to pod closed.\r\n", ""),
            err,
            "{which}"
        );
    }))
    .await;
    rests(&stand, &pods).await;
    let ended = ["podgate_agent_sessions_total{action=\"exec\",outcome=\"broken\"} 4"];
    stand.agent.counts(SOON, &ended).await.unwrap();
}

/// A job that a command leaves running reads on for as long as the session lives, as under sshd.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_outlives_its_command_gets_all_input() {
    let (stand, pods) = Stand::with_shells(Changes::default()).await.unwrap();
    for pod in ["bb", "deb"] {
        for command in [
            "exec 5<&0; cat <&5 | wc -c & exit 4",
            "exec 5<&0; { sleep 1; wc -c; } <&5 & exit 4",
        ] {
            let input = vec![b'x'; 3 * MB];
            let output = stand.client.feed(pod, command, &input).await.unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert_eq!(said.trim(), (3 * MB).to_string(), "{command:?} in {pod}");
            assert_eq!(output.status.code(), Some(4), "{command:?} in {pod}");
        }
    }
    rests(&stand, &pods).await;
}

/// Without a shell, nothing in the image can take the input away. The session still ends, and says that
/// the status is not known.
#[tokio::test(flavor = "multi_thread")]
async fn a_program_without_a_shell_ends_too() {
    let changes = Changes {
        helper: true,
        ..Changes::default()
    };
    let stand = Stand::containerd(changes).await.unwrap();
    let pods = [stand.run_pod(PodSpec::distroless("bare")).await.unwrap()];
    for option in ["-T", "-tt"] {
        let output = run(&stand, option, "bare", "/probe exit 7", Sent::Lines).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(7) => {}
            Some(255) => assert!(said.contains("has not read"), "{option}: {said}"),
            status => panic!("{option}: {status:?}, {said}"),
        }
        // Input that fits into the runtime's pipes is no obstacle.
        let output = stand.client.feed("bare", "/probe exit 7", &[0; 100_000]);
        assert_eq!(output.await.unwrap().status.code(), Some(7), "{option}");
    }
    rests(&stand, &pods).await;
}

async fn on_terminal(stand: &Stand, pod: &str, command: &str) -> (Connection, Session) {
    let connection = Login::to(stand, pod).unwrap().connect().await.unwrap();
    let mut session = connection.terminal(Some(command)).await.unwrap();
    timeout(SOON, session.until("ready"))
        .await
        .expect("in time")
        .unwrap();
    (connection, session)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_size_passes_input_that_nobody_reads() {
    let (stand, _pods) = Stand::with_shells(Changes::default()).await.unwrap();
    for pod in ["bb", "deb"] {
        let command =
            "stty -echo; trap 'stty size; exit 3' WINCH; echo ready; while :; do sleep 0.05; done";
        let (_connection, mut session) = on_terminal(&stand, pod, command).await;
        let lines = b"y\n".repeat(16 * 1024);
        while let Ok(written) = timeout(STALL, session.input.write(lines.clone().into())).await {
            written.unwrap();
        }
        let begun = Instant::now();
        session.input.resize(101, 50).await.unwrap();
        let ended = timeout(SOON, session.wait()).await.expect("in time");
        let (said, status) = ended.unwrap();
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains("50 101"), "{pod}: {said}");
        assert_eq!(status, 3, "{pod}");
        eprintln!("{pod}: {:?}", begun.elapsed());
    }
}

/// The end of input is sent as a character only if the terminal takes it for one.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_input_is_no_byte_of_a_raw_terminal() {
    for helper in [false, true] {
        let changes = Changes {
            helper,
            ..Changes::default()
        };
        let (stand, _pods) = Stand::with_shells(changes).await.unwrap();
        for pod in ["bb", "deb"] {
            let lines = ("-echo", "a b \\n");
            // As under sshd, nothing at all tells a terminal of the end of input by the node entry.
            let lines = stand.entry.is_none().then_some(lines).into_iter();
            for (mode, expect) in lines.chain([("raw -echo min 0 time 20", "a b")]) {
                // Read until nothing comes for two seconds, or until the end.
                let command = format!("stty {mode}; echo ready; cat | od -An -c");
                let mut ssh = stand.client.ssh(&["-tt"], pod);
                let mut ssh = ssh.arg(command).stdin(Stdio::piped()).spawn().unwrap();
                let (mut stdin, mut stdout) =
                    (ssh.stdin.take().unwrap(), ssh.stdout.take().unwrap());
                let mut said = Vec::new();
                while !String::from_utf8_lossy(&said).contains("ready") {
                    let read = timeout(SOON, stdout.read_buf(&mut said)).await;
                    assert_ne!(read.expect("in time").unwrap(), 0);
                }
                let text = if mode == "-echo" { "ab\n" } else { "ab" };
                stdin.write_all(text.as_bytes()).await.unwrap();
                drop(stdin);
                let rest = timeout(SOON, stdout.read_to_end(&mut said)).await;
                rest.expect("it hangs").unwrap();
                assert_eq!(ssh.wait().await.unwrap().code(), Some(0));
                let said = String::from_utf8_lossy(&said);
                let (_, read) = said.split_once("ready").unwrap();
                let read: Vec<&str> = read.split_whitespace().collect();
                assert_eq!(read.join(" "), expect, "{pod}, {mode}, helper: {helper}");
            }
        }
    }
}
