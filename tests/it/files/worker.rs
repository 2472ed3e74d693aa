//! Where the node has an entry, a worker of Podgate's own serves files in real containers, whatever their
//! image has.

use std::path::Path;

use podgate_tests::fixtures::stand::{Changes, Runs, Stand};
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::real::containerd::{PodSpec, RunningPod};

use super::*;

/// A stand whose agent has a node entry.
pub(super) struct Node {
    pub(super) stand: Stand,
}

impl Node {
    pub(super) async fn start(changes: Changes) -> Self {
        let runs = Runs::Auto;
        let stand = Stand::containerd(Changes { runs, ..changes }).await;
        Self {
            stand: stand.unwrap(),
        }
    }

    /// Pods of an image with busybox, one with bash, and one with nothing.
    async fn pods(&self) -> [RunningPod; 3] {
        let run = async |spec| self.stand.run_pod(spec).await.unwrap();
        [
            run(PodSpec::busybox("bb")).await,
            run(PodSpec::bash("deb")).await,
            run(PodSpec::distroless("none")).await,
        ]
    }

    fn at(&self, target: &str, path: &Path) -> String {
        let address = self.stand.client.address(target);
        format!("{address}:{}", path.display())
    }
}

const PODS: [&str; 3] = ["bb", "deb", "none"];

#[tokio::test(flavor = "multi_thread")]
async fn every_client_brings_a_file_into_every_image_and_back() {
    let node = Node::start(Changes::default()).await;
    let _pods = node.pods().await;
    let (stand, local) = (&node.stand, Local::new());
    for target in PODS {
        for name in NAMES {
            let file = local.file(name, 200_000);
            let (remote, back) = (Path::new("/").join(name), local.path("back"));
            let here = file.to_str().unwrap();
            for modern in [true, false] {
                let mode = if modern { "-s" } else { "-O" };
                let word = |quoted: String| format!("{}:{quoted}", stand.client.address(target));
                let (to, from) = match modern {
                    true => (remote.to_str().unwrap().to_owned(), escaped(&remote)),
                    false => (quoted(&remote), quoted(&remote)),
                };
                succeeds(&scp(stand, &["-p", mode, "--", here, &word(to)]).await);
                let get = [mode, "-T", "--", &word(from), back.to_str().unwrap()];
                succeeds(&scp(stand, &get).await);
                same(&file, &back);
            }
        }
    }
    let counts = ["podgate_agent_file_servers_total{outcome=\"worker\"} 84"];
    stand.agent.counts(SOON, &counts).await.unwrap();
    let none = ["podgate_agent_sessions_active 0"];
    stand.agent.counts(SOON, &none).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_go_from_pod_to_pod() {
    let node = Node::start(Changes::default()).await;
    let _pods = node.pods().await;
    let (stand, local) = (&node.stand, Local::new());
    let tree = local.path("tree");
    std::fs::create_dir_all(tree.join("empty")).unwrap();
    std::fs::create_dir_all(tree.join("a/b")).unwrap();
    std::fs::write(tree.join("a/b/file"), "x").unwrap();
    std::os::unix::fs::symlink("b/file", tree.join("a/link")).unwrap();
    for (mode, name) in [("-s", "one"), ("-O", "two")] {
        let (there, back) = (Path::new("/").join(name), local.path(name));
        let (one, two) = (node.at("none", &there), node.at("bb", &there));
        succeeds(&scp(stand, &[mode, "-r", tree.to_str().unwrap(), &one]).await);
        succeeds(&scp(stand, &[mode, "-3", "-r", &one, &two]).await);
        succeeds(&scp(stand, &[mode, "-r", &two, back.to_str().unwrap()]).await);
        assert_eq!(std::fs::read(back.join("a/b/file")).unwrap(), b"x");
        assert_eq!(std::fs::read(back.join("a/link")).unwrap(), b"x");
        assert!(back.join("empty").is_dir());
    }
    // Globs are the far end's.
    let globs = format!("{}:/one/a/b/f*", stand.client.address("none"));
    succeeds(&scp(stand, &["-O", &globs, local.path("got").to_str().unwrap()]).await);
    assert_eq!(std::fs::read(local.path("got")).unwrap(), b"x");
}

/// A transfer that was cut short is resumed where it stopped.
#[tokio::test(flavor = "multi_thread")]
async fn transfers_are_resumed() {
    let node = Node::start(Changes::default()).await;
    let _pods = node.pods().await;
    let (stand, local) = (&node.stand, Local::new());
    let whole = local.file("whole", 3_000_000);
    let part = local.path("part");
    let begin = &std::fs::read(&whole).unwrap()[..1_000_000];
    std::fs::write(&part, begin).unwrap();
    let (whole_at, part_at) = (whole.display(), part.display());
    let batch = format!("put {part_at} /f\nreput {whole_at} /f\nreget /f {part_at}\npwd\n");
    let said = succeeds(&sftp(stand, "none", &batch).await);
    same(&whole, &part);
    // The start is the session's own.
    assert!(said.contains("Remote working directory: /"), "{said}");
    let said = succeeds(&sftp(stand, "bb", "pwd\n").await);
    assert!(said.contains("Remote working directory: /root"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_no_success() {
    let node = Node::start(Changes::default()).await;
    let _pods = node.pods().await;
    let (stand, local) = (&node.stand, Local::new());
    // A container's /dev/shm has 64 MiB.
    let file = local.path("large");
    std::fs::File::create(&file)
        .unwrap()
        .set_len(80 << 20)
        .unwrap();
    let to = node.at("none", Path::new("/dev/shm/large"));
    let told = fails(&scp(stand, &["-O", file.to_str().unwrap(), &to]).await);
    assert!(told.contains("No space left on device"), "{told}");
    let told = fails(&scp(stand, &["-s", file.to_str().unwrap(), &to]).await);
    assert!(told.contains("write remote"), "{told}");
}

/// Whatever ends an upload before its end, it is a failure, and what arrived is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_upload_is_no_success() {
    let node = Node::start(Changes::default()).await;
    let _pods = node.pods().await;
    let (stand, local) = (&node.stand, Local::new());
    // From a pipe without an end, so that the upload never ends by itself.
    let path = local.path("endless");
    std::fs::File::create(&path)
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    for mode in ["-s", "-O"] {
        let to = node.at("deb", Path::new("/dev/null"));
        let mut upload = stand.client.tool("scp");
        let upload = upload
            .args([mode, path.to_str().unwrap(), &to])
            .spawn()
            .unwrap();
        let killed = || async {
            let killed = stand
                .client
                .run(&[], "deb", "pkill -KILL podgate-worker")
                .await;
            killed.unwrap().status.success().then_some(())
        };
        eventually("the worker", SOON, killed).await.unwrap();
        let output = tokio::time::timeout(SOON, upload.wait_with_output()).await;
        let told = fails(&output.expect("scp ends").unwrap());
        let line = "podgate: the session was lost on the pod's node: the file server in the container was ended by signal 9";
        assert!(told.contains(line), "{told}");
    }
    let none = ["podgate_agent_sessions_active 0"];
    stand.agent.counts(SOON, &none).await.unwrap();
}

/// A client that goes takes its worker with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_ends_with_its_client() {
    let node = Node::start(Changes::default()).await;
    let _pods = node.pods().await;
    let stand = &node.stand;
    let mut ssh = stand.client.ssh(&["-s"], "deb");
    let ssh = ssh.arg("sftp").stdin(std::process::Stdio::piped());
    let mut ssh = ssh.spawn().unwrap();
    let runs = async || {
        let found = stand.client.run(&[], "deb", "pgrep podgate-worker").await;
        found.unwrap().status.success()
    };
    let there = || async { runs().await.then_some(()) };
    eventually("a worker", SOON, there).await.unwrap();
    let counts = ["podgate_agent_workers_active 1"];
    stand.agent.counts(SOON, &counts).await.unwrap();
    ssh.kill().await.unwrap();
    let gone = || async { (!runs().await).then_some(()) };
    eventually("no worker", SOON, gone).await.unwrap();
    let counts = ["podgate_agent_workers_active 0"];
    stand.agent.counts(SOON, &counts).await.unwrap();
}
