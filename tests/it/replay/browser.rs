//! The page in Debian's chromium, driven by `tests/clients/page.js`. It is an ignored test, which
//! `PODGATE_TOOLS=all tests/all` runs; `tests/clients/install` installs what it needs. With PODGATE_PICTURES
//! set to a folder it writes the pictures of docs/recordings.md there.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use podgate_tests::instruments::echo::Echo;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use super::stand::{Page, SOON, ask};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A session with colours, for the player.
const SHELL: &str = "printf '\\033[1;32mada@web\\033[0m:\\033[1;34m~\\033[0m$ ls\\r\\n'; sleep 0.3; \
                     printf 'Makefile  README.md  \\033[1;34mdocs\\033[0m  \\033[1;34msrc\\033[0m\\r\\n'; sleep 0.3; \
                     printf 'the end\\r\\n'";
/// Bytes that would act on a page or on a terminal.
const HOSTILE: &str = "printf '\\033]0;<script>window.hacked=1</script>\\007<img src=x onerror=window.hacked=1>\
                       \\033]8;;javascript:window.hacked=1\\033\\\\link\\033]8;;\\033\\\\\\033[8;9999;9999t\\377\\nhostile\\n'; \
                       : '<script>window.hacked=1</script>'";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium and playwright-core: PODGATE_TOOLS=all tests/all"]
async fn a_browser_signs_in_finds_plays_jumps_and_follows() {
    let page = Page::start("").await;
    let hostile = page.record(HOSTILE).await;
    let shell = page.record(SHELL).await;
    for command in ["kubectl get pods", "df -h", "psql -c 'select 1'"] {
        page.record(&format!(": {command}; echo done")).await;
    }
    let mut ssh = page.stand.client.ssh(&[], "demo");
    ssh.arg("cat");
    let mut echo = Echo::start(ssh).await.unwrap();
    echo.says("before").await.unwrap();
    let open = || async {
        let (_, lines, _) = ask(&page.stand.client, "recordings --json").await;
        // Those that began in the same second come in no order.
        let mut entries = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let open = entries.find(|entry| entry["end"].is_null())?;
        Some(open["header"]["podgate"]["recording"].as_str()?.to_owned())
    };
    let live = podgate_tests::instruments::eventually::eventually("an open recording", SOON, open);
    let live = live.await.unwrap();
    let told = json!({
        "url": format!("https://127.0.0.1:{}", page.part.port()),
        "link": page.link(&shell).await,
        "shell": shell,
        "hostile": hostile,
        "live": live,
        "token": page.token("bo", &[], json!("podgate-page"), 600),
        "unknown": "20260101T000000Z-0123456789abcdef0123456789abcdef",
        "pictures": std::env::var("PODGATE_PICTURES").ok(),
    });
    let mut script = Command::new("node")
        .arg(root().join("tests/clients/page.js"))
        .env("NODE_PATH", root().join("target/clients/node_modules"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = script.stdin.take().unwrap();
    stdin
        .write_all(format!("{told}\n").as_bytes())
        .await
        .unwrap();
    let mut lines = BufReader::new(script.stdout.take().unwrap()).lines();
    let mut steps = vec![];
    let run = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            match line.as_str() {
                // It watches the running session.
                "say later" => echo.says("later").await.unwrap(),
                "end" => echo.close(),
                _ => {}
            }
            steps.push(line);
        }
        script.wait().await.unwrap()
    };
    let status = timeout(SOON * 6, run).await;
    assert!(
        status.as_ref().is_ok_and(|status| status.success()),
        "{status:?}: {steps:?}"
    );
    assert_eq!(
        steps.last().map(String::as_str),
        Some("all done"),
        "{steps:?}"
    );
}
