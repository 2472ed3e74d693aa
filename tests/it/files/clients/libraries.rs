//! Libraries, each by a script of `tests/clients`.

use super::*;

/// Sends the tree there and back by a script, and checks it.
async fn by(name: &str, lacks: Lacks) {
    by_round(Round::new(lacks).await, name).await;
}

async fn by_round(round: Round, name: &str) {
    let mut script = clients::script(name).unwrap();
    runs(script.args(round.words())).await;
    round.is_back();
}

#[tokio::test(flavor = "multi_thread")]
async fn paramiko() {
    let lacks = Lacks {
        bytes: true,
        ..Lacks::default()
    };
    by("paramiko_tree.py", lacks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_ssh2() {
    let lacks = Lacks {
        bytes: true,
        ..Lacks::default()
    };
    by("ssh2_tree.js", lacks).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "PODGATE_TOOLS=all"]
async fn asyncssh() {
    by("asyncssh_tree.py", Lacks::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "PODGATE_TOOLS=all"]
async fn libssh2() {
    let lacks = Lacks {
        links: true,
        ..Lacks::default()
    };
    by("libssh2_tree.py", lacks).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "PODGATE_TOOLS=all"]
async fn libssh() {
    let lacks = Lacks {
        bytes: true,
        ..Lacks::default()
    };
    by("libssh_tree.py", lacks).await;
}

/// It copies files only, so it has a folder of them.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "PODGATE_TOOLS=all"]
async fn fabric() {
    let files = |tree: &Path| {
        std::fs::create_dir(tree).unwrap();
        for name in NAMES {
            std::fs::write(tree.join(name), name).unwrap();
        }
    };
    by_round(Round::with(files).await, "fabric_file.py").await;
}
