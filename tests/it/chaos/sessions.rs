//! Sessions of each kind, and the result that each must have.

use std::process::{Output, Stdio};
use std::time::Duration;

use podgate_tests::real::ssh::Client;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::limits::Count;

/// For one session, every time-out on its way included.
const WITHIN: Duration = Duration::from_secs(90);
/// A client that notices a silent server, and says so.
const OPTIONS: [&str; 4] = [
    "-oConnectTimeout=5",
    "-oServerAliveInterval=2",
    "-oServerAliveCountMax=3",
    "-oLogLevel=INFO",
];
/// What bulk sessions carry, repeated. Its length is no power of two, so a lost buffer shows.
const PATTERN: &[u8] = b"0123456789\n";
const MOST: usize = 6 * 1024 * 1024;
/// What is said of a session that does not end.
const HANGS: &str = "it hangs";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Shell,
    Command,
    Bare,
    BulkOut,
    BulkIn,
    Idle,
    /// One whose client is killed.
    Left,
    /// One whose client is killed after it has sent input that nobody reads.
    LeftUnread,
    /// One that ends with its input unread.
    Unread,
    /// One that cannot write what it reads.
    DiskFull,
    /// One whose client reads late.
    LateReader,
    /// One whose client stops for a while, in the midst of reading and writing.
    Stopped,
}

impl Kind {
    pub(super) const ALL: [Self; 12] = [
        Self::Shell,
        Self::Command,
        Self::Bare,
        Self::BulkOut,
        Self::BulkIn,
        Self::Idle,
        Self::Left,
        Self::LeftUnread,
        Self::Unread,
        Self::DiskFull,
        Self::LateReader,
        Self::Stopped,
    ];
}

/// An acceptable end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// With all that it should give.
    Whole,
    /// With this error.
    Said(String),
    /// The client was killed.
    Killed,
    /// In some other way, while limits of the container or of a disk were reached.
    Limited(String),
}

impl Ended {
    /// For counting.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Said(_) => "said",
            Self::Killed => "killed",
            Self::Limited(_) => "limited",
        }
    }
}

/// Runs one session after another until it is told to stop; how each ended.
pub(super) async fn run(
    client: Client,
    mut random: fastrand::Rng,
    limits: Count,
    stop: CancellationToken,
) -> Vec<(Kind, Result<Ended, String>)> {
    let mut all = Vec::new();
    while !stop.is_cancelled() {
        let kind = random.choice(Kind::ALL).unwrap();
        let before = limits.now();
        let ended = match one(&client, kind, &mut random).await {
            Err(why) if why != HANGS && limits.shown_since(before) => Ok(Ended::Limited(why)),
            ended => ended,
        };
        all.push((kind, ended));
    }
    all
}

/// Runs one session; how it ended, or what was wrong with that.
pub(super) async fn one(
    client: &Client,
    kind: Kind,
    random: &mut fastrand::Rng,
) -> Result<Ended, String> {
    let started = Instant::now();
    let session = session(client, kind, random);
    let ended = timeout(WITHIN, session).await;
    let ended = ended.unwrap_or_else(|_| Err(HANGS.to_owned()));
    eprintln!("{kind:?} of {:?}: {ended:?}", started.elapsed());
    ended
}

async fn session(client: &Client, kind: Kind, random: &mut fastrand::Rng) -> Result<Ended, String> {
    let pod = if random.bool() { "bb" } else { "deb" };
    let status = random.u8(1..100);
    let length = random.usize(..MOST);
    let exit = format!("exit {status}");
    match kind {
        Kind::Shell => shell(client, pod, status, random).await,
        Kind::Command => {
            let ended = command(client, pod, &exit, &[], None).await?;
            judge(&ended, status, b"")
        }
        Kind::Bare => {
            let words = format!("/probe exit {status}");
            let ended = command(client, "bare", &words, &[], None).await?;
            judge(&ended, status, b"")
        }
        Kind::BulkOut => {
            let script = format!("yes 0123456789 | head -c {length}; {exit}");
            let ended = command(client, pod, &script, &[], None).await?;
            judge(&ended, status, &bytes(length))
        }
        Kind::BulkIn => {
            let script = format!("wc -c; {exit}");
            let ended = command(client, pod, &script, &bytes(length), None).await?;
            judge(&ended, status, format!("{length}\n").as_bytes())
        }
        Kind::Idle => {
            let ended = command(client, pod, &format!("sleep 2; {exit}"), &[], None).await?;
            judge(&ended, status, b"")
        }
        Kind::LateReader => {
            let late = Duration::from_millis(random.u64(..3000));
            let script = format!("yes 0123456789 | head -c {length}; {exit}");
            let ended = read_late(client, pod, &script, late).await?;
            judge(&Some(ended), status, &bytes(length))
        }
        Kind::Unread => {
            let ended = command(client, pod, &exit, &bytes(MOST), None).await?;
            judge(&ended, status, b"")
        }
        Kind::DiskFull => {
            let script = format!("cat >/dev/full 2>/dev/null; {exit}");
            let ended = command(client, pod, &script, &bytes(MOST), None).await?;
            judge(&ended, status, b"")
        }
        Kind::Stopped => {
            let stops = [(); 2].map(|()| Duration::from_millis(random.u64(..2000)));
            let ended = stopped(client, pod, &format!("cat; {exit}"), length, stops).await?;
            judge(&Some(ended), status, &bytes(length))
        }
        Kind::LeftUnread => {
            let life = Duration::from_millis(random.u64(50..2000));
            let script = format!("sleep 1000; {exit}");
            let ended = command(client, pod, &script, &bytes(MOST), Some(life)).await?;
            judge(&ended, status, b"")
        }
        Kind::Left => {
            let life = Duration::from_millis(random.u64(50..2000));
            let script = format!("sleep 1000; {exit}");
            let ended = command(client, pod, &script, &[], Some(life)).await?;
            judge(&ended, status, b"")
        }
    }
}

fn bytes(length: usize) -> Vec<u8> {
    PATTERN.iter().copied().cycle().take(length).collect()
}

/// Runs a command. Returns nothing if the client was killed after its life.
async fn command(
    client: &Client,
    pod: &str,
    script: &str,
    stdin: &[u8],
    life: Option<Duration>,
) -> Result<Option<Output>, String> {
    let mut ssh = client.ssh(&OPTIONS, pod);
    let child = ssh.arg(script).stdin(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| error.to_string())?;
    let mut pipe = child.stdin.take().ok_or("no stdin")?;
    let write = async move {
        // A session that breaks takes no more input.
        let _ = pipe.write_all(stdin).await;
    };
    let both = async { tokio::join!(write, child.wait_with_output()).1 };
    let ended = match life {
        None => both.await,
        // Dropped, and so killed.
        Some(life) => match timeout(life, both).await {
            Ok(ended) => ended,
            Err(_) => return Ok(None),
        },
    };
    ended.map(Some).map_err(|error| error.to_string())
}

/// Runs a command that gives back its input, while its client stops after a while, for a while.
async fn stopped(
    client: &Client,
    pod: &str,
    script: &str,
    length: usize,
    [after, during]: [Duration; 2],
) -> Result<Output, String> {
    let mut ssh = client.ssh(&OPTIONS, pod);
    let child = ssh.arg(script).stdin(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| error.to_string())?;
    let pid = child.id().and_then(|pid| Pid::from_raw(pid as i32));
    let mut pipe = child.stdin.take().ok_or("no stdin")?;
    let input = bytes(length);
    let write = async move {
        // A session that breaks takes no more input.
        let _ = pipe.write_all(&input).await;
    };
    // The pid is this child's until it was waited for.
    let signal = |signal| {
        if let Some(pid) = pid {
            let _ = kill_process(pid, signal);
        }
    };
    let ended = async { tokio::join!(write, child.wait_with_output()).1 };
    tokio::pin!(ended);
    for (signs, lasts) in [(None, after), (Some(Signal::STOP), during)] {
        signs.into_iter().for_each(signal);
        if let Ok(ended) = timeout(lasts, &mut ended).await {
            return ended.map_err(|error| error.to_string());
        }
    }
    signal(Signal::CONT);
    ended.await.map_err(|error| error.to_string())
}

/// Runs a command whose output is not read for a while.
async fn read_late(
    client: &Client,
    pod: &str,
    script: &str,
    late: Duration,
) -> Result<Output, String> {
    let child = client.ssh(&OPTIONS, pod).arg(script).spawn();
    let child = child.map_err(|error| error.to_string())?;
    sleep(late).await;
    let ended = child.wait_with_output().await;
    ended.map_err(|error| error.to_string())
}

/// A session gives all it should, or says why not.
fn judge(ended: &Option<Output>, status: u8, stdout: &[u8]) -> Result<Ended, String> {
    let Some(Output {
        status: code,
        stdout: got,
        stderr,
    }) = ended
    else {
        return Ok(Ended::Killed);
    };
    let said = String::from_utf8_lossy(stderr);
    match code.code() {
        Some(255) if !said.trim().is_empty() => Ok(Ended::Said(said.into_owned())),
        Some(code) if code == i32::from(status) && got == stdout => Ok(Ended::Whole),
        // ssh already had the status, but not all output. It says that it was cut off, and still ends
        // with the status.
        Some(code) if code == i32::from(status) && said.contains("closed by remote host") => {
            Ok(Ended::Said(said.into_owned()))
        }
        Some(code) if code == i32::from(status) => {
            let (got, whole) = (got.len(), stdout.len());
            Err(format!(
                "status {code} with {got} of {whole} bytes, or other ones; {said}"
            ))
        }
        code => Err(format!("status {code:?} instead of {status}; {said:?}")),
    }
}

async fn shell(
    client: &Client,
    pod: &str,
    status: u8,
    random: &mut fastrand::Rng,
) -> Result<Ended, String> {
    let started = client.terminal_with(&OPTIONS, pod, &[], 24, 80);
    let mut shell = started.map_err(|error| error.to_string())?;
    let idle = Duration::from_millis(random.u64(..3000));
    let talk = async {
        shell.send("echo h''ere\n").await?;
        shell.expect("here").await?;
        sleep(idle).await;
        shell.send(&format!("exit {status}\n")).await
    };
    let talked = talk.await;
    let (text, code) = shell.end().await.map_err(|error| error.to_string())?;
    match (talked, code) {
        (Ok(()), code) if code == i32::from(status) => Ok(Ended::Whole),
        (_, 255) if !text.trim().is_empty() => Ok(Ended::Said(text)),
        (talked, code) => Err(format!(
            "{talked:?}, status {code} instead of {status}; {text:?}"
        )),
    }
}
