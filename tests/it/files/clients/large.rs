//! Files of more than 4 GiB, with holes, by OpenSSH's sftp and by rsync. Every run sends only what lies around
//! the border; `PODGATE_TOOLS=all` sends 5 GiB.

use std::os::unix::fs::FileExt;

use podgate_tests::fixtures::images::Image;
use podgate_tests::real::containerd::ContainerSpec;
use podgate_tests::real::cri::Mount;

use super::*;

const BORDER: u64 = 1 << 32;
/// What has arrived already where a transfer is resumed.
const ARRIVED: u64 = BORDER - 1_000_003;
const RESUMED: u64 = BORDER + 2_000_005;
const WHOLE: u64 = 5 << 30;
/// To send all of it one way, by programs that are not optimised.
const MINUTES: Duration = Duration::from_secs(600);

/// A pod with rsync, and a folder of this machine that it has for `/tree`.
struct Pair {
    node: Node,
    local: Local,
    there: Local,
    _pod: RunningPod,
}

impl Pair {
    async fn new(size: u64) -> Self {
        let node = Node::start(Changes::default()).await;
        let (local, there) = (Local::new(), Local::new());
        let mut app = ContainerSpec::new("app", Image::Bash);
        app.mounts.push(Mount {
            container_path: THERE.to_owned(),
            host_path: there.0.path().display().to_string(),
            readonly: false,
        });
        let spec = PodSpec::new(POD).container(app);
        let pod = node.stand.run_pod(spec).await.unwrap();
        sparse(&local.path("file"), size);
        Self {
            node,
            local,
            there,
            _pod: pod,
        }
    }

    fn here(&self, name: &str) -> String {
        self.local.path(name).display().to_string()
    }

    /// Runs lines of sftp.
    async fn sftp(&self, lines: &str) {
        let batch = self.here("batch");
        std::fs::write(&batch, lines).unwrap();
        let client = &self.node.stand.client;
        let mut sftp = client.tool("sftp");
        ends(sftp.args(["-b", &batch, &client.address(POD)])).await;
    }

    async fn rsync(&self, words: &[&str]) {
        let mut rsync = Command::new("rsync");
        let ssh = format!("ssh {}", self.node.stand.client.options().join(" "));
        ends(rsync.args(["-e", &ssh]).args(words)).await;
    }

    fn at(&self, name: &str) -> String {
        format!("{}:{THERE}/{name}", self.node.stand.client.address(POD))
    }

    /// Whether both copies are the file, from a byte on.
    fn are_whole(&self, from: u64) {
        for copy in [self.there.path("file"), self.local.path("back")] {
            let mut cmp = std::process::Command::new("cmp");
            cmp.arg(format!("--ignore-initial={from}"));
            succeeds(&cmp.arg(self.local.path("file")).arg(copy).output().unwrap());
        }
    }
}

async fn ends(command: &mut Command) {
    let output = tokio::time::timeout(MINUTES, command.kill_on_drop(true).output()).await;
    succeeds(&output.expect("it ends").unwrap());
}

/// A file of holes, with words at its ends and across the border.
fn sparse(path: &Path, size: u64) {
    let file = std::fs::File::create(path).unwrap();
    file.set_len(size).unwrap();
    for at in [0, ARRIVED - 3, BORDER - 2, BORDER + 1_000_000, size - 5] {
        file.write_all_at(b"words", at).unwrap();
    }
}

/// Has part of a file arrive, without its words.
fn arrive(path: &Path) {
    std::fs::File::create(path)
        .unwrap()
        .set_len(ARRIVED)
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sftp_goes_on_beyond_4_gib() {
    let pair = Pair::new(RESUMED).await;
    arrive(&pair.there.path("file"));
    arrive(&pair.local.path("back"));
    let (file, back) = (pair.here("file"), pair.here("back"));
    pair.sftp(&format!(
        "reput {file} {THERE}/file\nreget {THERE}/file {back}\n"
    ))
    .await;
    pair.are_whole(ARRIVED);
    let moved = RESUMED - ARRIVED;
    let counts = ["read", "write"].map(|direction| {
        format!("podgate_frontdoor_file_bytes_total{{direction=\"{direction}\"}} {moved}")
    });
    let counts: Vec<&str> = counts.iter().map(String::as_str).collect();
    pair.node
        .stand
        .frontdoor
        .counts(SOON, &counts)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rsync_goes_on_beyond_4_gib() {
    let pair = Pair::new(RESUMED).await;
    arrive(&pair.there.path("file"));
    arrive(&pair.local.path("back"));
    let (file, back, at) = (pair.here("file"), pair.here("back"), pair.at("file"));
    pair.rsync(&["--append", "--inplace", &file, &at]).await;
    pair.rsync(&["--append", "--inplace", &at, &back]).await;
    pair.are_whole(ARRIVED);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "PODGATE_TOOLS=all"]
async fn sftp_brings_5_gib_there_and_back() {
    let pair = Pair::new(WHOLE).await;
    let (file, back) = (pair.here("file"), pair.here("back"));
    pair.sftp(&format!("put {file} {THERE}/file\n")).await;
    pair.sftp(&format!("get {THERE}/file {back}\n")).await;
    pair.are_whole(0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "PODGATE_TOOLS=all"]
async fn rsync_brings_5_gib_there_and_back() {
    let pair = Pair::new(WHOLE).await;
    let (file, back, at) = (pair.here("file"), pair.here("back"), pair.at("file"));
    pair.rsync(&[&file, &at]).await;
    pair.rsync(&[&at, &back]).await;
    pair.are_whole(0);
    // Where it is asked for, the holes are holes again.
    std::fs::remove_file(&back).unwrap();
    pair.rsync(&["--sparse", &at, &back]).await;
    pair.are_whole(0);
    let kept = std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(&back).unwrap());
    assert!(kept * 512 < 10_000_000, "{kept}");
}
