//! What outlives a client that is killed, in a session without a terminal, beside a real sshd. sshd signals
//! nothing there, so all lives on. Podgate spares what has detached itself, and of the rest nothing.

use std::collections::BTreeSet;

use podgate_tests::instruments::eventually::eventually;
use podgate_tests::instruments::sshd::Sshd;
use podgate_tests::real::ssh::Client;

use super::*;

/// For all of a pod's sessions at once, on a machine that builds beside them.
const WITHIN: Duration = Duration::from_secs(180);

/// A command in which `@1` to `@9` are programs that sleep, how many there are, and those that Podgate spares.
type Row = (&'static str, u32, &'static [u32]);

const ROWS: &[Row] = &[
    // In the foreground, whatever it ignores or is redirected to in part.
    ("@1", 1, &[]),
    ("@1; echo on", 1, &[]),
    ("nohup @1", 1, &[]),
    ("trap '' HUP; @1; echo on", 1, &[]),
    ("@1 | @2", 2, &[]),
    ("@1 >/dev/null 2>&1", 1, &[]),
    ("@1 </dev/null >/dev/null", 1, &[]),
    ("@1 </dev/null 2>/dev/null", 1, &[]),
    ("sh -c '@1; echo on' | @2", 2, &[]),
    // Redirected altogether, with all that it starts.
    ("@1 </dev/null >/dev/null 2>&1", 1, &[1]),
    ("@1 </dev/null >/tmp/log 2>&1; echo on", 1, &[1]),
    (
        "sh -c '@1 | @2' </dev/null >/dev/null 2>&1; echo on",
        2,
        &[1, 2],
    ),
    (
        "sh -c '@1 & @2; echo on' </dev/null >/dev/null 2>&1; echo on",
        2,
        &[1, 2],
    ),
    // In the background.
    ("@1 & @2; echo on", 2, &[1]),
    ("(@1 &) ; @2; echo on", 2, &[1]),
    ("@1 >/dev/null 2>&1 & @2; echo on", 2, &[1]),
    ("@1 >/dev/null 2>&1 </dev/null & @2; echo on", 2, &[1]),
    ("nohup @1 & @2; echo on", 2, &[1]),
    ("nohup @1 >/dev/null 2>&1 & @2; echo on", 2, &[1]),
    ("sh -c '@1; echo on' & @2; echo on", 2, &[1]),
    (
        "{ @1 | cat; } >/dev/null 2>&1 </dev/null & @2; echo on",
        2,
        &[1],
    ),
    // In a session of its own.
    ("setsid @1 & @2; echo on", 2, &[1]),
    (
        "setsid @1 >/dev/null 2>&1 </dev/null & @2; echo on",
        2,
        &[1],
    ),
];

/// The words of a program: its row and number say how long it sleeps.
fn program(first: u32, row: usize, number: u32) -> String {
    let row = u32::try_from(row).unwrap();
    format!("sleep {}", first + row * 10 + number)
}

fn command(first: u32, row: usize, text: &str) -> String {
    let programs = (1..=9).map(|number| (format!("@{number}"), program(first, row, number)));
    programs.fold(text.to_owned(), |text, (at, words)| {
        text.replace(&at, &words)
    })
}

/// Debian's busybox has no nohup.
fn has(pod: &str, (text, ..): &Row) -> bool {
    pod != "bb" || !text.contains("nohup")
}

/// Of each row that a pod has these programs.
fn of_rows(pod: &str, first: u32, which: impl Fn(&Row) -> Vec<u32>) -> BTreeSet<String> {
    let mut programs = BTreeSet::new();
    let rows = ROWS.iter().enumerate();
    for (row, one) in rows.filter(|(_, row)| has(pod, row)) {
        let numbers = which(one).into_iter();
        programs.extend(numbers.map(|number| program(first, row, number)));
    }
    programs
}

fn all(pod: &str, first: u32) -> BTreeSet<String> {
    of_rows(pod, first, |(_, programs, _)| (1..=*programs).collect())
}

fn spared(pod: &str, first: u32) -> BTreeSet<String> {
    of_rows(pod, first, |(_, _, spared)| spared.to_vec())
}

/// Of these command lines those of the programs.
fn running(lines: impl IntoIterator<Item = String>, of: &BTreeSet<String>) -> BTreeSet<String> {
    lines.into_iter().filter(|line| of.contains(line)).collect()
}

/// Command lines of this machine's processes.
fn of_the_machine() -> Vec<(u32, String)> {
    let found = std::fs::read_dir("/proc").unwrap().flatten();
    let line = |entry: std::fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let words = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
        Some((pid, words.trim_end_matches('\0').replace('\0', " ")))
    };
    found.filter_map(line).collect()
}

async fn until(stand: &Stand, id: &str, programs: &BTreeSet<String>, expect: &BTreeSet<String>) {
    let look = |now: &[(u32, String)]| {
        let lines = now.iter().map(|(_, line)| line.clone());
        (running(lines, programs) == *expect).then_some(())
    };
    if let Err(error) = stand.until_processes(WITHIN, id, look).await {
        let now = stand.containerd.as_ref().unwrap().processes_in(id);
        let now = running(now.into_iter().map(|(_, line)| line), programs);
        let (more, less): (Vec<_>, Vec<_>) = (
            now.difference(expect).collect(),
            expect.difference(&now).collect(),
        );
        panic!("too many {more:?}, too few {less:?}: {error}");
    }
}

async fn what_is_detached_is_spared(helper: bool) {
    let (stand, pods) = Stand::with_shells(changes(helper)).await.unwrap();
    for (index, (pod, of)) in PODS.iter().zip(&pods).enumerate() {
        let id = of.container_id("app").unwrap();
        let first = 20_000 + u32::try_from(index).unwrap() * 1000;
        let (programs, spared) = (all(pod, first), spared(pod, first));
        let rows = ROWS.iter().enumerate().filter(|(_, row)| has(pod, row));
        let commands = rows.map(|(row, (text, ..))| command(first, row, text));
        let mut clients: Vec<_> = commands.map(|line| spawn(&stand, pod, &line)).collect();
        until(&stand, id, &programs, &programs).await;
        for ssh in &mut clients {
            ssh.kill().await.unwrap();
        }
        until(&stand, id, &programs, &spared).await;
        // No hang-up is still to come.
        let over = stand.until_journal(WITHIN, <[String]>::is_empty).await;
        over.unwrap();
        until(&stand, id, &programs, &spared).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_detached_is_spared_by_the_image() {
    what_is_detached_is_spared(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_detached_is_spared_by_the_helper() {
    what_is_detached_is_spared(true).await;
}

/// Whatever Podgate spares lives on under sshd, too, and so does the rest.
#[tokio::test(flavor = "multi_thread")]
async fn sshd_spares_all() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let Some(sshd) = Sshd::start(stand.dir()).await.unwrap() else {
        return;
    };
    let client = Client::new(stand.dir(), sshd.port).to_any_host();
    let first = 30_000;
    let (programs, rows) = (all("sshd", first), ROWS.iter().enumerate());
    let spawned = rows.map(|(row, (text, ..))| {
        let mut ssh = client.ssh(&[], &sshd.user);
        let ssh = ssh.arg(command(first, row, text)).stdin(Stdio::piped());
        ssh.spawn().unwrap()
    });
    let mut clients: Vec<_> = spawned.collect();
    let lines = || of_the_machine().into_iter().map(|(_, line)| line);
    let started = || async { (running(lines(), &programs) == programs).then_some(()) };
    let started = eventually("the programs", WITHIN, started).await;
    for ssh in &mut clients {
        ssh.kill().await.unwrap();
    }
    let gone = || async { (sshd.connections() == 0).then_some(()) };
    let gone = eventually("sshd to notice", WITHIN, gone).await;
    let left = running(lines(), &programs);
    for (pid, line) in of_the_machine() {
        if programs.contains(&line) {
            // It may have ended by now.
            let _ = kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL);
        }
    }
    started.unwrap();
    gone.unwrap();
    assert_eq!(left, programs);
}
