//! File tools, OpenSSH's own and others: each sends a tree into a container whose image has nothing, and brings
//! it back the same. `tests/clients/install` installs them. Those that every run has are tests like others;
//! the rest are ignored tests, which `PODGATE_TOOLS=all tests/all` runs.

mod ansible;
mod large;
mod libraries;
mod openssh;
mod programs;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use podgate_tests::fixtures::stand::Changes;
use podgate_tests::instruments::clients;
use podgate_tests::real::containerd::{PodSpec, RunningPod};
use tokio::process::Command;

use super::worker::Node;
use super::*;

/// For one client, on a machine that builds beside it; and for each of many files.
const WITHIN: Duration = Duration::from_secs(300);
const EACH: Duration = Duration::from_millis(200);
/// The pod.
const POD: &str = "none";
/// Where the tree goes in the pod.
const THERE: &str = "/tree";

/// What a client's own protocol or library cannot say.
#[derive(Clone, Copy, Default)]
struct Lacks {
    /// Names that are not UTF-8.
    bytes: bool,
    /// Names with a newline.
    newline: bool,
    links: bool,
}

/// A pod, and a tree to be sent there.
struct Round {
    node: Node,
    local: Local,
    _pod: RunningPod,
}

impl Round {
    async fn new(lacks: Lacks) -> Self {
        Self::with(|dir| tree(dir, lacks)).await
    }

    /// With a tree of another kind.
    async fn with(fill: impl FnOnce(&Path)) -> Self {
        Self::of(PodSpec::distroless(POD), fill).await
    }

    /// In a pod of another image.
    async fn of(spec: PodSpec, fill: impl FnOnce(&Path)) -> Self {
        let node = Node::start(Changes::default()).await;
        let pod = node.stand.run_pod(spec).await;
        let local = Local::new();
        fill(&local.path("tree"));
        Self {
            _pod: pod.unwrap(),
            node,
            local,
        }
    }

    fn word(&self, name: &str) -> String {
        self.local.path(name).to_str().unwrap().to_owned()
    }

    /// Words for a script of `tests/clients`.
    fn words(&self) -> Vec<String> {
        let (host, port, key, known) = self.node.stand.client.parts();
        let (key, known) = (key.display().to_string(), known.display().to_string());
        let (tree, back) = (self.word("tree"), self.word("back"));
        let words = [host, &port.to_string(), POD, &key, &known];
        let words = words.into_iter().map(str::to_owned);
        words.chain([tree, THERE.to_owned(), back]).collect()
    }

    /// `ssh` and its options, as programs take them that start it themselves.
    fn ssh(&self) -> String {
        format!("ssh {}", self.node.stand.client.options().join(" "))
    }

    /// Whether the tree has come back.
    fn is_back(&self) {
        let mut diff = std::process::Command::new("diff");
        let diff = diff.args(["-r", "--no-dereference"]);
        let diff = diff.args([self.local.path("tree"), self.local.path("back")]);
        succeeds(&diff.output().unwrap());
    }
}

/// Runs a client to its end, which is a success.
async fn runs(command: &mut Command) -> String {
    let ran = clients::succeeds(command, WITHIN + EACH * many()).await;
    ran.unwrap_or_else(|error| panic!("{error}"))
}

/// How many small files.
fn many() -> u32 {
    std::env::var("PODGATE_CLIENT_FILES").map_or(100, |many| many.parse().unwrap())
}

/// Names that tools stumble over, links, empty ones, a large file and many small ones: as many as
/// `PODGATE_CLIENT_FILES` says.
fn tree(dir: &Path, lacks: Lacks) {
    std::fs::create_dir_all(dir.join("sub/empty folder")).unwrap();
    std::fs::create_dir(dir.join("many")).unwrap();
    let write = |name: &OsStr, bytes: &[u8]| std::fs::write(dir.join(name), bytes).unwrap();
    let names = ["plain", "a b", "it's", "\"x\"", "$HOME;`id`", "ünïcode"];
    for name in names {
        write(name.as_ref(), b"small");
    }
    write("empty".as_ref(), b"");
    let large: Vec<u8> = (0..2_000_000_u32).map(|n| (n % 251) as u8).collect();
    write("sub/large".as_ref(), &large);
    for number in 0..many() {
        write(format!("many/{number}").as_ref(), b"one of many");
    }
    if !lacks.bytes {
        write(OsStr::from_bytes(b"no \xff\xfe UTF-8"), b"bytes");
    }
    if !lacks.newline {
        write("new\nline".as_ref(), b"lines");
    }
    if !lacks.links {
        std::os::unix::fs::symlink("../plain", dir.join("sub/link")).unwrap();
        std::os::unix::fs::symlink("absent", dir.join("nowhere")).unwrap();
    }
}
