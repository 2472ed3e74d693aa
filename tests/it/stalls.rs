//! A file system that stalls holds up no running session, and a new one only for a moment: threads that
//! serve no session read and write the files. A FIFO blocks whoever reads it, and a frozen file system
//! blocks whoever writes to it.

use std::cell::Cell;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use podgate_tests::fixtures::stand::{Changes, Stand, TOKEN};
use podgate_tests::instruments::echo::Echo;
use podgate_tests::instruments::eventually::eventually;
use rustix::process::Signal;
use tokio::time::timeout;

use crate::disk::Disk;

/// Longer than an echo takes on a busy machine, and shorter than a start waits for a file.
const ECHO: Duration = Duration::from_millis(900);
const SOON: Duration = Duration::from_secs(20);

/// Frontdoor and agent with one thread each, which a blocking call would stop for all sessions.
async fn stand() -> Stand {
    let changes = Changes {
        agent: "workers: 1\n".to_owned(),
        frontdoor: "workers: 1\n".to_owned(),
        ..Changes::default()
    };
    Stand::embedded(changes).await.unwrap()
}

async fn session(stand: &Stand) -> Echo {
    let mut ssh = stand.client.ssh(&[], "demo");
    ssh.arg("cat");
    Echo::start(ssh).await.unwrap()
}

fn run(command: &str, arguments: &[&str]) {
    let output = Command::new(command).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command} {arguments:?}: {said}");
}

/// Begins another session while one echoes, and prints and checks how long echoes took meanwhile.
async fn begin_beside(stand: &Stand, echo: &mut Echo, what: &str) -> Echo {
    let (mut took, over) = (Vec::new(), Cell::new(false));
    let begun = Instant::now();
    let begin = async {
        let began = session(stand).await;
        over.set(true);
        (began, begun.elapsed())
    };
    let beat = async {
        while !over.get() {
            let begun = Instant::now();
            echo.again().await.unwrap();
            took.push(begun.elapsed());
        }
    };
    let ((began, start), ()) = tokio::join!(begin, beat);
    took.sort();
    let (middle, longest) = (took[took.len() / 2], took[took.len() - 1]);
    let echoes = took.len();
    eprintln!("{what}: a start took {start:?}, {echoes} echoes {middle:?}, {longest:?} at most");
    assert!(longest < ECHO, "{what}: an echo took {longest:?}");
    began
}

/// A file that has turned into a FIFO, which another name leads to, too.
struct Stalling {
    file: PathBuf,
    fifo: PathBuf,
}

impl Stalling {
    fn new(file: PathBuf) -> Self {
        let fifo = file.with_extension("fifo");
        let draft = file.with_extension("draft");
        run("mkfifo", &[fifo.to_str().unwrap()]);
        fs::hard_link(&fifo, &draft).unwrap();
        fs::rename(&draft, &file).unwrap();
        Self { file, fifo }
    }

    /// Lets the blocked reader go on, and puts a file in its place.
    fn end(&self, text: &str) {
        let draft = self.file.with_extension("draft");
        fs::write(&draft, text).unwrap();
        fs::rename(&draft, &self.file).unwrap();
        let mut fifo = fs::OpenOptions::new().write(true).open(&self.fifo).unwrap();
        fifo.write_all(text.as_bytes()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_be_read_hold_up_nothing() {
    let stand = stand().await;
    let mut echo = session(&stand).await;
    let files = [
        ("token", "the kubelet's token"),
        ("users.yaml", "the users"),
        ("frontdoor.crt", "the frontdoor's certificate"),
    ];
    for (name, what) in files {
        let file = stand.dir().join(name);
        let text = fs::read_to_string(&file).unwrap();
        let stalling = Stalling::new(file);
        drop(begin_beside(&stand, &mut echo, what).await);
        stalling.end(&text);
    }
    // What changes afterwards serves again.
    let access = stand.kubelet.access();
    access.add_token("the-next-token", "system:serviceaccount:podgate:agent");
    access.remove_token(TOKEN);
    fs::write(stand.dir().join("token"), "the-next-token\n").unwrap();
    let again = async || {
        let output = stand.client.run(&[], "demo", "echo works").await.unwrap();
        (output.stdout == b"works\n").then_some(())
    };
    eventually("a session", SOON, again).await.unwrap();
}

/// An ext4 of its own at a path. It can be frozen: then writers wait. Needs root.
struct Frozen<'a>(&'a Path);

impl<'a> Frozen<'a> {
    fn mount(image: &Path, at: &'a Path) -> Self {
        fs::File::create(image).unwrap().set_len(8 << 20).unwrap();
        run("mkfs.ext4", &["-q", image.to_str().unwrap()]);
        let (image, path) = (image.to_str().unwrap(), at.to_str().unwrap());
        run("mount", &["-o", "loop", image, path]);
        fs::set_permissions(at, Permissions::from_mode(0o700)).unwrap();
        fs::remove_dir(at.join("lost+found")).unwrap();
        Self(at)
    }

    fn freeze(&self, how: &str) {
        run("fsfreeze", &[how, self.0.to_str().unwrap()]);
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        // It may not be frozen.
        let _ = Command::new("fsfreeze").arg("-u").arg(self.0).output();
        let _ = Command::new("umount").arg("-l").arg(self.0).output();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_cannot_be_written_holds_up_nothing() {
    let stand = stand().await;
    let (image, at) = (stand.dir().join("image"), stand.dir().join("journal"));
    let journal = Frozen::mount(&image, &at);
    let mut echo = session(&stand).await;
    journal.freeze("-f");
    let mut second = begin_beside(&stand, &mut echo, "the journal").await;
    assert_eq!(stand.journal().unwrap().len(), 1);
    journal.freeze("-u");
    // The entry is written all the same, and removed after the session has ended.
    stand
        .until_journal(SOON, |all| all.len() == 2)
        .await
        .unwrap();
    second.close();
    assert_eq!(second.ended().await.unwrap().1, Some(0));
    stand
        .until_journal(SOON, |all| all.len() == 1)
        .await
        .unwrap();
    echo.again().await.unwrap();
}

/// The agent that follows knows a session that began while the journal's disk was full.
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_whose_disk_was_full_is_written_once_there_is_room() {
    let mut stand = stand().await;
    // The next agent begins its journal on a disk of its own.
    stand.agent.signal(Signal::KILL).unwrap();
    stand.agent.ended().await.unwrap();
    let disk = Disk::for_journal(&stand.dir().join("journal"));
    stand.restart_agent().await.unwrap();
    disk.fill();
    let mut echo = session(&stand).await;
    let missing = ["podgate_agent_journal_missing_sessions 1"];
    stand.agent.counts(SOON, &missing).await.unwrap();
    // What fills the disk is a file, too.
    let known = stand.journal().unwrap();
    assert!(
        known.iter().all(|file| !file.contains("session")),
        "{known:?}"
    );
    echo.again().await.unwrap();
    disk.free();
    stand
        .until_journal(SOON, |all| all.len() == 1)
        .await
        .unwrap();
    let written = ["podgate_agent_journal_missing_sessions 0"];
    stand.agent.counts(SOON, &written).await.unwrap();

    stand.agent.signal(Signal::KILL).unwrap();
    stand.agent.ended().await.unwrap();
    stand.restart_agent().await.unwrap();
    let embedded = stand.embedded.as_ref().unwrap();
    let left = timeout(SOON, embedded.until_running(0)).await;
    assert!(left.is_ok(), "{:?} stays behind", embedded.running());
    stand
        .until_journal(SOON, <[String]>::is_empty)
        .await
        .unwrap();
}
