//! The node entry, against containerd's own containers and their own runc: whom it hears, what it
//! starts, what it refuses, and that it leaves nothing.

mod bites;
mod crun;
mod ends;
mod lost;
mod node;
mod refused;
mod same;
mod starts;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use podgate_node_entry::channel::Channel;
use podgate_node_entry::ids::Handle;
use podgate_node_entry::protocol::{Action, Message, Request, VERSION};
use podgate_tests::fixtures::entry::Entry;
use podgate_tests::instruments::holder::Holder;
use podgate_tests::real::containerd::{Containerd, PodSpec, RunningPod};

/// A pod, an entry and an agent's connection to it.
struct Stage {
    holder: Holder,
    entry: Entry,
    pod: RunningPod,
    containerd: Containerd,
}

async fn stage(pod: PodSpec) -> Stage {
    stage_with(pod, &[]).await
}

async fn stage_with(pod: PodSpec, arguments: &[&str]) -> Stage {
    let containerd = Containerd::shared().await.unwrap();
    let pod = containerd.run_pod(pod).await.unwrap();
    let entry = Entry::start(&containerd, arguments).await.unwrap();
    let holder = Holder::connect(&entry.socket(), &[]).unwrap();
    Stage {
        holder,
        entry,
        pod,
        containerd,
    }
}

impl Stage {
    /// What runs in the container beside its first process.
    fn others(&self) -> Vec<(u32, String)> {
        let mut all = self
            .containerd
            .processes_in(self.pod.container_id("app").unwrap());
        all.retain(|(_, line)| line != "/bin/sleep infinity");
        all
    }

    async fn in_pod(&self, script: &str) -> String {
        let id = self.pod.container_id("app").unwrap();
        let done = self
            .containerd
            .exec(id, &["sh", "-c", script])
            .await
            .unwrap();
        String::from_utf8(done.stdout).unwrap()
    }
}

fn field(pid: u32, name: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().trim().to_owned()
}

/// Pauses a container, or has it go on.
fn task(containerd: &Containerd, verb: &str, id: &str) {
    let mut ctr = std::process::Command::new("ctr");
    ctr.args(["-n", "k8s.io", "--address"])
        .arg(containerd.socket())
        .args(["task", verb, id]);
    let done = ctr.output().unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

#[tokio::test]
async fn the_front_has_nothing_and_the_starter_gives_all_it_has() {
    let containerd = Containerd::shared().await.unwrap();
    let entry = Entry::start(&containerd, &[]).await.unwrap();
    let [starter, front] = entry.pids().unwrap();
    for set in ["CapEff:", "CapPrm:", "CapInh:", "CapAmb:", "CapBnd:"] {
        assert_eq!(u64::from_str_radix(&field(front, set), 16), Ok(0), "{set}");
    }
    assert_eq!(field(front, "NoNewPrivs:"), "1");
    assert_eq!(field(front, "Seccomp:"), "2", "a filter");
    assert_eq!(field(front, "Uid:"), "61348\t61348\t61348\t61348");
    assert_eq!(field(front, "Groups:"), "");
    assert_eq!(field(front, "Threads:"), "1");
    // What this process has itself, as nothing was taken from it.
    let own = std::process::id();
    for set in ["CapEff:", "CapPrm:", "CapBnd:"] {
        assert_eq!(field(starter, set), field(own, set), "{set}");
    }
    assert_eq!(field(starter, "NoNewPrivs:"), "0");
    assert_eq!(field(starter, "Seccomp:"), "0", "no filter");
    for pid in [starter, front] {
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let limit = limits
            .lines()
            .find(|line| line.starts_with("Max open files"));
        let columns: Vec<_> = limit.unwrap().split_whitespace().collect();
        assert_eq!(columns[3], columns[4], "as many as it may have");
    }
}

#[tokio::test]
async fn only_its_own_user_and_the_agents_are_heard() {
    let containerd = Containerd::shared().await.unwrap();
    let entry = Entry::start(&containerd, &["--agent-uid", "65533"])
        .await
        .unwrap();
    let socket = entry.socket();
    let folder = socket.parent().unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(folder), mode(&socket)), (0o700, 0o600));
    // Were the folder's doors open, another user would still be told nothing.
    for path in [folder.parent().unwrap(), folder, &socket] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).unwrap();
    }
    let hold =
        format!(r#"{{"number":1,"action":{{"hold":{{"version":{VERSION},"handles":[]}}}}}}"#);
    let ask = format!(
        "use Socket; socket(S, AF_UNIX, SOCK_SEQPACKET, 0); \
         connect(S, sockaddr_un('{}')) or die; send(S, '{hold}', 0); recv(S, $m, 999, 0); print $m",
        socket.display(),
    );
    let as_user = |user: &str| {
        let mut asked = std::process::Command::new("setpriv");
        asked.args(["--reuid", user, "--clear-groups", "perl", "-e", &ask]);
        String::from_utf8(asked.output().unwrap().stdout).unwrap()
    };
    let held = r#"{"answer":{"number":1,"answer":{"held":{"handles":[]}}}}"#;
    assert_eq!(as_user("0"), held);
    assert_eq!(as_user("65533"), held);
    assert_eq!(as_user("65534"), "");
    assert!(
        entry.log().contains("user 65534 may not connect"),
        "{}",
        entry.log()
    );
}

#[tokio::test]
async fn a_connection_that_does_not_begin_as_it_must_is_closed() {
    let containerd = Containerd::shared().await.unwrap();
    let entry = Entry::start(&containerd, &[]).await.unwrap();
    let hold = |version| Action::Hold {
        version,
        handles: Vec::new(),
    };
    let kill = Action::Kill { handle: Handle(1) };
    for actions in [
        vec![kill],
        vec![hold(VERSION + 1)],
        vec![hold(VERSION), hold(VERSION)],
    ] {
        let channel = Channel::connect(&entry.socket()).unwrap();
        let shown = format!("{actions:?}");
        for (number, action) in (1..).zip(actions) {
            channel.send(&Request { number, action }, &[]).unwrap();
        }
        let closed = podgate_tests::instruments::eventually::eventually(
            &shown,
            std::time::Duration::from_secs(10),
            || {
                std::future::ready(match channel.receive::<Message>() {
                    Ok(None) => Some(()),
                    Ok(Some(_)) => None,
                    Err(error) if error.would_block() => None,
                    Err(_) => Some(()),
                })
            },
        );
        closed.await.unwrap();
    }
    // Others are served on.
    Holder::connect(&entry.socket(), &[]).unwrap();
}
