//! Libraries, each by a script of `tests/clients`.

use super::*;

/// Sends the tree there and back by a script, and checks it.
async fn by(interpreter: &str, script: &str, lacks: Lacks) {
    by_round(Round::new(lacks).await, interpreter, script).await;
}

async fn by_round(round: Round, interpreter: &str, script: &str) {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    let mut command = match interpreter {
        "node" => {
            // Where the machine has none, it is beside Python.
            let own = installed("venv/bin").join("node");
            let mut node = match own.exists() {
                true => Command::new(own),
                false => Command::new("node"),
            };
            node.env("NODE_PATH", installed("node_modules"));
            node
        }
        python => Command::new(installed("venv/bin").join(python)),
    };
    runs(command.arg(scripts.join(script)).args(round.words())).await;
    round.is_back();
}

#[tokio::test(flavor = "multi_thread")]
async fn paramiko() {
    let lacks = Lacks {
        bytes: true,
        ..Lacks::default()
    };
    by("python3", "paramiko_tree.py", lacks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_ssh2() {
    let lacks = Lacks {
        bytes: true,
        ..Lacks::default()
    };
    by("node", "ssh2_tree.js", lacks).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "PODGATE_TOOLS=all"]
async fn asyncssh() {
    by("python3", "asyncssh_tree.py", Lacks::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "PODGATE_TOOLS=all"]
async fn libssh2() {
    let lacks = Lacks {
        links: true,
        ..Lacks::default()
    };
    by("python3", "libssh2_tree.py", lacks).await;
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
    by_round(Round::with(files).await, "python3", "fabric_file.py").await;
}
