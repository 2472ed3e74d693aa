//! A tree by OpenSSH's own clients and by rsync, which runs in the image.

use super::*;

/// Some are followed, and those that lead nowhere are failures.
const LINKS: Lacks = Lacks {
    bytes: false,
    newline: false,
    links: true,
};

#[tokio::test(flavor = "multi_thread")]
async fn sftp_sends_a_tree() {
    let round = Round::new(LINKS).await;
    let (batch, tree, back) = (round.word("batch"), round.word("tree"), round.word("back"));
    let lines = format!("put -r {tree} {THERE}\nget -r {THERE} {back}\n");
    std::fs::write(&batch, lines).unwrap();
    let client = &round.node.stand.client;
    runs(
        client
            .tool("sftp")
            .args(["-b", &batch, &client.address(POD)]),
    )
    .await;
    round.is_back();
}

#[tokio::test(flavor = "multi_thread")]
async fn scp_sends_a_tree() {
    by_scp("-s", LINKS).await;
}

/// A name has a line of its own in this protocol, so scp escapes one with a newline.
#[tokio::test(flavor = "multi_thread")]
async fn scps_old_protocol_sends_a_tree() {
    let lacks = Lacks {
        newline: true,
        ..LINKS
    };
    by_scp("-O", lacks).await;
}

async fn by_scp(mode: &str, lacks: Lacks) {
    let round = Round::new(lacks).await;
    let client = &round.node.stand.client;
    let at = format!("{}:{THERE}", client.address(POD));
    let (tree, back) = (round.word("tree"), round.word("back"));
    for words in [[mode, "-r", &tree, &at], [mode, "-r", &at, &back]] {
        runs(client.tool("scp").args(words)).await;
    }
    round.is_back();
}

#[tokio::test(flavor = "multi_thread")]
async fn rsync_sends_a_tree() {
    let fill = |dir: &Path| tree(dir, Lacks::default());
    let round = Round::of(PodSpec::bash(POD), fill).await;
    let at = format!("{}:{THERE}/", round.node.stand.client.address(POD));
    let (tree, back) = (round.word("tree/"), round.word("back/"));
    for words in [[&tree, &at], [&at, &back]] {
        let mut rsync = Command::new("rsync");
        runs(rsync.args(["-a", "-e", &round.ssh()]).args(words)).await;
    }
    round.is_back();
}
