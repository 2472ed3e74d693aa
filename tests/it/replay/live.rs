//! A running session in the page: what was said, what is said later, and its end.

use std::process::Stdio;
use std::time::Duration;

use podgate_tests::instruments::echo::Echo;
use podgate_tests::instruments::eventually::eventually;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::time::{Instant, timeout};

use super::stand::{Page, SOON, ask};

/// A client of the stream.
struct Follower {
    _curl: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Follower {
    fn start(page: &Page, id: &str, cookie: &str) -> Self {
        let mut curl = page.curl(&page.part, &format!("/recordings/{id}/live"));
        curl.args(["-N", "-H", cookie]).kill_on_drop(true);
        let mut child = curl.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            _curl: child,
            lines,
        }
    }

    /// Reads until a line has these words.
    async fn until(&mut self, words: &str) -> String {
        let read = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                if line.contains(words) {
                    return line;
                }
            }
            panic!("the stream ended without {words:?}")
        };
        timeout(SOON, read).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_session_is_followed_to_its_end() {
    let page = Page::start("limits: {followersPerUser: 2}\n").await;
    let mut ssh = page.stand.client.ssh(&[], "demo");
    ssh.arg("cat");
    let mut echo = Echo::start(ssh).await.unwrap();
    echo.says("before").await.unwrap();
    let open = || async {
        let (_, lines, _) = ask(&page.stand.client, "recordings --json").await;
        let entry: Value = serde_json::from_str(lines.lines().next()?).unwrap();
        let name = entry["header"]["podgate"]["recording"].as_str();
        name.map(str::to_owned)
    };
    let id = eventually("an open recording", SOON, open).await.unwrap();
    let cookie = page.sign_in(&id).await;
    let mut follower = Follower::start(&page, &id, &cookie);
    let first = follower.until("data: ").await;
    let first: Value = serde_json::from_str(first.strip_prefix("data: ").unwrap()).unwrap();
    assert!(first["cols"].is_u64() && first["time"].is_f64(), "{first}");
    assert!(
        first["init"].as_str().unwrap().contains("before"),
        "{first}"
    );
    let begun = Instant::now();
    echo.says("later").await.unwrap();
    let said = follower.until("later").await;
    // On a busy machine some of this is the machine's.
    assert!(begun.elapsed() < Duration::from_secs(15), "{said}");
    let said: Value = serde_json::from_str(said.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(said[1], "o");

    let mut second = Follower::start(&page, &id, &cookie);
    second.until("data: ").await;
    let path = format!("/recordings/{id}/live");
    let refused = page.get(&path, &["-H", &cookie]).await;
    assert_eq!(refused.status, 429, "{refused:?}");
    let counted = [
        "podgate_replay_refused_total{limit=\"followersPerUser\"} 1",
        "podgate_replay_followers 2",
    ];
    page.part.counts(SOON, &counted).await.unwrap();

    echo.close();
    for follower in [&mut follower, &mut second] {
        follower.until("event: done").await;
    }
    page.part
        .counts(SOON, &["podgate_replay_followers 0"])
        .await
        .unwrap();
    let follows = page.audit("watch");
    assert!(
        follows.iter().all(|event| event["outcome"] == "follow"),
        "{follows:?}"
    );
    assert_eq!(follows.len(), 2);
}
