//! Processes in control groups that are named as a container's: one whose look hangs, one in a group
//! of any bytes, and one that somebody's shell reports as a session's leader.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use podgate_tests::instruments::eventually::eventually;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

use super::{ask, start};

const SOON: Duration = Duration::from_secs(10);
/// No process has this pid.
const NOBODY: u32 = u32::MAX >> 1;

/// A control group that is named as a container's.
struct Group {
    id: String,
    folder: PathBuf,
    inner: Vec<PathBuf>,
    leaders: Vec<Child>,
}

impl Group {
    fn new(digit: &str) -> Self {
        let roots = ["pids", "systemd", ""].map(|name| Path::new("/sys/fs/cgroup").join(name));
        let usable = |root: &&PathBuf| root.join("cgroup.procs").exists();
        let root = roots.iter().find(usable).expect("control groups");
        let id = format!("{:064x}", std::process::id()).replace('0', digit);
        let folder = root.join(&id);
        std::fs::create_dir(&folder).unwrap();
        let (inner, leaders) = (Vec::new(), Vec::new());
        Self {
            id,
            folder,
            inner,
            leaders,
        }
    }

    /// Starts a program that leads a session, and puts it into the group once it has said a line.
    fn run(&mut self, within: &[u8], program: &[&str]) -> u32 {
        let mut child = Command::new("setsid")
            .args(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert_eq!(line, "up\n");
        let pid = child.id();
        self.leaders.push(child);
        let mut folder = self.folder.clone();
        if !within.is_empty() {
            folder.push(OsStr::from_bytes(within));
            std::fs::create_dir(&folder).unwrap();
            self.inner.push(folder.clone());
        }
        std::fs::write(folder.join("cgroup.procs"), pid.to_string()).unwrap();
        pid
    }

    fn find(&self, by: &Value) -> Value {
        json!({"find": {"container": self.id, "by": by}})
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for leader in &mut self.leaders {
            let group = Pid::from_raw(leader.id() as i32).unwrap();
            let _ = kill_process_group(group, Signal::KILL);
            let _ = leader.wait();
        }
        for folder in self.inner.iter().chain([&self.folder]) {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

fn start_time(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    rest.split(' ').nth(19).unwrap().parse().unwrap()
}

/// A file system that no longer answers once its root is open. It is mounted over a terminal for this
/// process alone, which then reads it (include/uapi/linux/fuse.h: INIT is 26, OPEN is 14).
const DEAD: &str = r#"
use POSIX ();
sysopen(my $fuse, "/dev/fuse", 2) or die "fuse: $!";
my ($folder, $place, $memory, $kind) = ("/dev/pts", "/dev/pts/0", "tmpfs", "fuse");
syscall(165, $memory, $folder, $memory, 0, 0) == 0 or die "mount: $!";
POSIX::close(POSIX::creat($place, 0666));
my $options = sprintf("fd=%d,rootmode=100666,user_id=0,group_id=0", fileno($fuse));
syscall(165, $kind, $place, $kind, 0, $options) == 0 or die "mount: $!";
if (!fork) {
    POSIX::close(1);
    while (sysread($fuse, my $request, 135168)) {
        my ($length, $kind, $unique) = unpack("L L Q", $request);
        my $body = $kind == 26 ? pack("L4 S2 L2 S2 L8", 7, 31, 65536, 0, 12, 9, 65536, 1, 0, 0, (0) x 8)
            : $kind == 14 ? pack("Q L L", 1, 0, 0)
            : next;
        syswrite($fuse, pack("L l Q", 16 + length($body), 0, $unique) . $body);
    }
    exit;
}
my $dead = POSIX::open($place, 0);
defined($dead) or die "open: $!";
POSIX::dup2($dead, 0);
syswrite(STDOUT, "up\n");
exec("sleep", "1000");
"#;

#[tokio::test]
async fn a_look_that_hangs_costs_its_own_request_alone() {
    let (_dir, helper) = start().await;
    let mut agent = UnixStream::connect(helper.socket()).unwrap();
    agent.write_all(b"{\"stay\":{}}\n").unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let lines = BufReader::new(agent).lines().map_while(Result::ok);
        lines.for_each(|line| drop(tell.send(line)));
    });
    let (mut dead, mut sound) = (Group::new("d"), Group::new("e"));
    let pid = dead.run(b"", &["unshare", "--mount", "perl", "-e", DEAD]);
    let text = std::fs::read_link(format!("/proc/{pid}/fd/0")).unwrap();
    assert_eq!(text, Path::new("/dev/pts/0"), "the text of a terminal");
    sound.run(b"", &["sh", "-c", "echo up; exec sleep 1000"]);

    let by = json!({"start": {"words": ["sleep", "1000"], "since": 0}});
    let begun = Instant::now();
    // More requests than the helper has threads.
    for _ in 0..24 {
        let found = ask(helper.socket(), &dead.find(&by));
        let found = &found["found"]["candidates"];
        assert_eq!(found[0]["process"]["pid"], pid, "{found}");
        assert_eq!(found[0]["stdin"], "other", "{found}");
        assert_eq!(found[0]["words"], true, "{found}");
        let found = ask(helper.socket(), &sound.find(&by));
        let stdin = &found["found"]["candidates"][0]["stdin"];
        assert_eq!(stdin, &json!({"pipe": {"hung_up": false}}), "{found}");
    }
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    let hanging = |looks: usize| format!(r#"{{"looks":{{"hanging":{looks}}}}}"#);
    assert_eq!(told.recv_timeout(SOON).unwrap(), hanging(0));
    assert_eq!(told.recv_timeout(SOON).unwrap(), hanging(1));
    // The file system goes away, and the thread comes back.
    drop(dead);
    let again = || {
        ask(helper.socket(), &sound.find(&by));
        std::future::ready(told.try_iter().find(|line| *line == hanging(0)))
    };
    eventually("the thread", SOON, again).await.unwrap();
}

#[tokio::test]
async fn a_group_whose_name_is_no_utf8_hides_no_process() {
    let (_dir, helper) = start().await;
    let mut group = Group::new("c");
    group.run(b"\xff\xfe", &["sh", "-c", "echo up; exec sleep 1000"]);
    let count = json!({"count": {"container": group.id}});
    let answer = ask(helper.socket(), &count);
    assert_eq!(answer, json!({"done": {"processes": 1}}));
}

#[tokio::test]
async fn a_reported_leader_bears_the_mark_or_is_as_young_as_the_session() {
    let (_dir, helper) = start().await;
    let mut group = Group::new("b");
    let ours = "0123456789abcdef0123456789abcdef";
    let mark = format!("PODGATE_SESSION={ours}");
    let marked = group.run(b"", &["env", &mark, "sh", "-c", "echo up; exec sleep 1000"]);
    let other = group.run(b"", &["sh", "-c", "echo up; exec sleep 1000"]);
    let find = |pid: u32, since: Option<u64>| {
        let session = ours;
        let start_time = if pid == NOBODY { 1 } else { start_time(pid) };
        let by = json!({"report": {"pid": pid, "start_time": start_time, "session": session, "since": since}});
        let found = ask(helper.socket(), &group.find(&by))["found"].clone();
        let candidates = found["candidates"].as_array().unwrap().len();
        (candidates, found["doubt"].as_bool().unwrap())
    };
    let later = |pid| Some(start_time(pid) + 1);
    assert_eq!(find(marked, later(marked)), (1, false), "it bears the mark");
    assert_eq!(find(other, Some(start_time(other))), (1, false), "young");
    assert_eq!(find(other, later(other)), (0, true), "another's");
    assert_eq!(find(other, None), (0, true), "another's");
    assert_eq!(find(NOBODY, None), (0, false), "nobody");
}
