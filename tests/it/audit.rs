//! Both parts record who logged in and who entered what. Also, what happens while that cannot be
//! written.

mod failing;
mod files;

use std::path::PathBuf;
use std::time::Duration;

use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::instruments::eventually::eventually;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(20);

/// The folder of both parts' records. The parts' configurations name it, so it is made before the
/// stand.
struct Records {
    dir: TempDir,
}

impl Records {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, part: &str) -> PathBuf {
        self.dir.path().join(part)
    }

    /// The `audit` of a part, with more keys.
    fn to(&self, part: &str, more: &str) -> String {
        format!("audit: {{to: '{}'{more}}}\n", self.path(part).display())
    }

    /// The lines of a file. Each must be a JSON object.
    fn read(&self, part: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(part)).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).expect(line))
            .collect()
    }

    /// Waits for an event that has all of these fields.
    async fn wait(&self, part: &str, fields: Value) -> Value {
        let find = || async {
            let mut all = self.read(part).into_iter();
            all.find(|event| has(event, &fields))
        };
        let found = eventually("an event", SOON, find).await;
        found.unwrap_or_else(|error| panic!("{error}: {fields} in {:#?}", self.read(part)))
    }
}

fn has(event: &Value, fields: &Value) -> bool {
    let fields = fields.as_object().unwrap();
    fields.iter().all(|(key, value)| event[key] == *value)
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_and_sessions_are_recorded_at_both_ends() {
    let records = Records::new();
    let changes = Changes {
        frontdoor: format!(
            "{}limits: {{sessionsPerUser: 1}}\n",
            records.to("frontdoor", "")
        ),
        agent: records.to("agent", ""),
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    let command = "cat >/dev/null; printf hunter2; printf err >&2; exit 7";
    let output = stand.client.feed("demo", command, &[b'x'; 100_000]).await;
    assert_eq!(output.unwrap().status.code(), Some(7));

    let login = json!({"event": "login", "outcome": "accepted", "user": "ada"});
    let login = records.wait("frontdoor", login).await;
    let credential = login["credential"].as_str().unwrap();
    assert!(credential.starts_with("SHA256:"), "{login}");
    let start = records.wait("frontdoor", json!({"event": "start"})).await;
    let end = records.wait("frontdoor", json!({"event": "end"})).await;
    let known = json!({
        "v": 1, "user": "ada", "groups": ["dev"], "source": "key", "client": login["client"],
        "way": "direct", "target": "demo", "namespace": "default", "pod": "demo", "uid": "demo-uid",
        "node": "node-a", "container": "main", "command": command, "tty": false,
        "session": start["session"],
    });
    assert!(has(&start, &known), "{start}");
    assert!(has(&end, &known), "{end}");
    let ended = json!({
        "outcome": "exited", "exitStatus": 7, "inputBytes": 100_000, "outputBytes": 10,
    });
    assert!(has(&end, &ended), "{end}");
    assert!(end["durationMs"].is_u64(), "{end}");
    let client = login["client"].as_str().unwrap();
    assert!(client.starts_with("127.0.0.1:"), "{client}");

    let granted = records.wait("agent", json!({"event": "grant"})).await;
    let known = json!({
        "v": 1, "session": start["session"], "user": "ada", "groups": ["dev"], "source": "key",
        "namespace": "default", "pod": "demo", "uid": "demo-uid", "container": "main",
        "action": "exec", "node": "node-a", "frontdoor": "frontdoor.podgate",
    });
    assert!(has(&granted, &known), "{granted}");
    assert!(granted["from"].as_str().unwrap().starts_with("127.0.0.1:"));
    let over = records.wait("agent", json!({"event": "end"})).await;
    assert_eq!(over["session"], start["session"]);
    assert!(has(&over, &ended), "{over}");

    // A shell on a terminal.
    let mut terminal = stand.client.terminal("demo", &[], 24, 80).unwrap();
    terminal.send("exit 3\n").await.unwrap();
    let end = json!({"event": "end", "tty": true, "exitStatus": 3});
    let end = records.wait("frontdoor", end).await;
    assert_eq!(end.get("command"), None, "{end}");

    // A user who is not known, and sessions that are refused to a known one.
    let (stranger, _) = stand.stranger("stranger").await.unwrap();
    stranger.run(&[], "demo.prod", "true").await.unwrap();
    let refused = json!({"event": "login", "outcome": "refused", "target": "demo.prod"});
    let refused = records.wait("frontdoor", refused).await;
    assert_eq!(refused.get("user"), None, "{refused}");
    let running = stand.client.share("demo").await.unwrap();
    let mut holds = stand.client.ssh(&[&running.option], "demo");
    let mut holds = holds
        .arg("cat")
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    records
        .wait("frontdoor", json!({"event": "start", "command": "cat"}))
        .await;
    stand.client.run(&[], "demo", "over limit").await.unwrap();
    drop(holds.stdin.take());
    holds.wait().await.unwrap();
    stand.client.run(&[], "nosuch", "no route").await.unwrap();
    stand.client.run(&[], "Demo", "no name").await.unwrap();
    stand
        .api
        .set_rbac(podgate_tests::stand_ins::apiserver::Rbac::default());
    stand.client.run(&[], "other", "no right").await.unwrap();
    // For a long command the log has its beginning, its length and its SHA-256.
    let long = format!(": {}", "a".repeat(10_000));
    stand.client.run(&[], "nosuch", &long).await.unwrap();
    let digest = Sha256::digest(&long);
    let digest = digest.iter().map(|byte| format!("{byte:02x}"));
    let cut = json!({
        "command": long[..4096], "cut": ["command"], "commandBytes": 10_002,
        "commandSha256": digest.collect::<String>(),
    });
    records.wait("frontdoor", cut).await;
    for (by, command) in [
        ("limit", "over limit"),
        ("route", "no route"),
        ("route", "no name"),
        ("authorization", "no right"),
    ] {
        let refusal = json!({"event": "refusal", "by": by, "command": command, "user": "ada"});
        let refusal = records.wait("frontdoor", refusal).await;
        assert!(refusal["reason"].is_string(), "{refusal}");
    }
    // `help` enters nothing.
    stand.client.run(&[], "help", "true").await.unwrap();
    let help = json!({"event": "login", "target": "help"});
    records.wait("frontdoor", help).await;
    let all = records.read("frontdoor");
    assert!(
        all.iter()
            .all(|event| event["event"] == "login" || event["target"] != "help"),
        "{all:#?}"
    );

    for part in [&stand.frontdoor, &stand.agent] {
        let (_, metrics) = part.admin("/metrics").await.unwrap();
        let seen = format!("{}\n{metrics}", part.log().join("\n"));
        for secret in ["printf", "over limit", "no right", "hunter2"] {
            assert!(!seen.contains(secret), "{secret} is in\n{seen}");
        }
    }
    let records = std::fs::read_to_string(records.path("agent")).unwrap();
    assert!(!records.contains("printf"), "{records}");
}
