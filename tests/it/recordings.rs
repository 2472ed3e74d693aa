//! Recordings as users and auditors meet them: by ssh alone, in a folder, with a store that fails, and
//! after a frontdoor was killed.

mod asciinema;
mod clock;
mod encrypted;
mod kept;
mod marks;
mod s3;
mod stand;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use podgate_tests::fixtures::gateway;
use podgate_tests::instruments::echo::Echo;
use podgate_tests::instruments::eventually::eventually;
use rustix::process::Signal;
use serde_json::Value;
use tokio::process::Command;

use stand::{ask, audit, away, back, ended, id, is_found_again, list, stand};

const SOON: Duration = Duration::from_secs(30);

async fn sha256(bytes: &str) -> String {
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(path.path(), bytes).unwrap();
    let output = Command::new("sha256sum")
        .arg(path.path())
        .output()
        .await
        .unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_recorded_found_played_and_verified_by_ssh_alone() {
    let (stand, dir) = stand("  rules: [{record: strict, input: true}]\n").await;
    let command = "printf 'one\\ntw\\377o'; echo no >&2; cat; exit 3";
    let output = stand.client.feed("demo", command, b"typed").await.unwrap();
    assert_eq!(output.status.code(), Some(3));
    let [entry] = &list(&stand.client, 1).await[..] else {
        panic!()
    };
    let id = id(entry);
    assert_eq!(entry["end"]["status"], 3);

    let (status, cast, _) = ask(&stand.client, &format!("export {id}")).await;
    assert_eq!(status, Some(0));
    let mut lines = cast
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let header = lines.next().unwrap();
    let about = &header["podgate"];
    assert_eq!(
        (&header["version"], &header["command"]),
        (&3.into(), &command.into())
    );
    assert_eq!(
        (&about["user"], &about["pod"]),
        (&"ada".into(), &"demo".into())
    );
    let events: Vec<_> = lines
        .map(|event| (event[1].clone(), event[2].clone()))
        .collect();
    for expect in [("i", "typed"), ("o", "no\n"), ("e", ""), ("x", "3")] {
        let expect = (expect.0.into(), expect.1.into());
        assert!(events.contains(&expect), "{expect:?} {events:?}");
    }
    // The byte that is no UTF-8 is whole in base64 (of "one\ntw\xffo", however it was cut).
    assert!(events.iter().any(|(code, _)| code == "b"), "{events:?}");

    // The audit log's hash is the exported file's.
    let sha256 = sha256(&cast).await;
    let end = ended(dir.path()).await;
    assert_eq!(end["recording"], id.as_str());
    assert_eq!(
        (&end["recorded"], &end["recordingSha256"]),
        (&"strict".into(), &sha256.into())
    );
    assert_eq!(audit(dir.path(), "start")[0]["recording"], id.as_str());

    let output = stand
        .client
        .run(&[], "podgate", &format!("play {id}"))
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let played = output
        .stdout
        .iter()
        .filter(|byte| !b"typedno\n".contains(byte));
    assert_eq!(
        played.copied().collect::<Vec<_>>(),
        b"w\xff",
        "{:?}",
        output.stdout
    );
    let (status, words, _) = ask(&stand.client, &format!("verify {id}")).await;
    assert_eq!(status, Some(0), "{words}");
    assert!(words.starts_with(&format!("{id}: whole: ")), "{words}");

    // Whoever may enter the pod but not see its recordings is told nothing.
    let bo = stand.add_user("bo").await.unwrap();
    assert_eq!(
        ask(&bo, "recordings").await,
        (Some(0), String::new(), String::new())
    );
    let unknown = "20260101T000000Z-0123456789abcdef0123456789abcdef";
    for asked in [&id, unknown] {
        let (status, out, error) = ask(&bo, &format!("play {asked}")).await;
        assert_eq!((status, out.as_str()), (Some(255), ""));
        assert_eq!(
            error,
            format!("podgate: there is no recording {asked} that you may see\r\n")
        );
    }
    let watched = audit(dir.path(), "watch");
    let watched: Vec<_> = watched
        .iter()
        .map(|event| {
            (
                event["user"].as_str().unwrap(),
                event["outcome"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        watched,
        [("ada", "export"), ("ada", "play"), ("ada", "verify")]
    );

    // A changed chunk is seen.
    let chunk = chunks(&dir.path().join("store/recordings")).remove(0);
    let mut bytes = std::fs::read(&chunk).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&chunk, bytes).unwrap();
    let (status, words, _) = ask(&stand.client, &format!("verify {id}")).await;
    assert_eq!(status, Some(2), "{words}");
    assert!(words.contains("changed"), "{words}");
}

/// All files below a folder.
fn chunks(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                chunks(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_gone_is_made_again_by_whoever_may() {
    let (stand, dir) = stand("  rules: [{record: bestEffort}]\n").await;
    for command in ["exit 3", "seq 20"] {
        stand.client.run(&[], "demo", command).await.unwrap();
    }
    let before = list(&stand.client, 2).await;
    std::fs::remove_dir_all(dir.path().join("store/index")).unwrap();
    let (status, lines, error) = ask(&stand.client, "recordings").await;
    assert_eq!((status, lines.as_str()), (Some(0), ""), "{error}");
    let bo = stand.add_user("bo").await.unwrap();
    // Who may not learns nothing of the namespaces.
    let reindex = "reindex --since 2d";
    let answer = ask(&bo, reindex).await;
    let none = "podgate: there are no recordings of that time in a namespace where you may update recordings\r\n";
    assert_eq!(answer, (Some(0), String::new(), none.to_owned()));
    let (status, lines, error) = ask(&stand.client, reindex).await;
    assert_eq!(status, Some(0), "{error}");
    assert!(
        lines.contains(" default: 2 made, 0 unreadable\n"),
        "{lines}"
    );
    assert_eq!(list(&stand.client, 2).await, before);

    // What is there stays; what cannot be read is told.
    let chunk = chunks(&dir.path().join("store/recordings")).remove(0);
    std::fs::remove_dir_all(dir.path().join("store/index")).unwrap();
    std::fs::write(chunk, "no chunk").unwrap();
    for made in [1, 0] {
        let (status, lines, _) = ask(&stand.client, reindex).await;
        assert_eq!(status, Some(1), "{lines}");
        let expect = format!(" default: {made} made, 1 unreadable\n");
        assert!(lines.contains(&expect), "{lines}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_session_is_followed_and_one_of_a_killed_frontdoor_is_right_up_to_its_end() {
    let (mut stand, dir) = stand("  rules: [{record: bestEffort}]\n").await;
    let mut ssh = stand.client.ssh(&[], "demo");
    ssh.arg("cat");
    let mut echo = Echo::start(ssh).await.unwrap();
    echo.says("followed").await.unwrap();
    let open = || async {
        let (_, lines, _) = ask(&stand.client, "recordings --json").await;
        let entry = lines.lines().next()?;
        Some(id(&serde_json::from_str(entry).unwrap()))
    };
    let id = eventually("an open recording", SOON, open).await.unwrap();
    let mut follow = stand
        .client
        .terminal("podgate", &[&format!("play --follow {id}")], 24, 80)
        .unwrap();
    follow.expect("followed").await.unwrap();
    echo.says("later").await.unwrap();
    follow.expect("later").await.unwrap();
    follow.send("q").await.unwrap();
    let (seen, status) = follow.end().await.unwrap();
    assert_eq!(status, 0, "{seen}");

    stand.frontdoor.signal(Signal::KILL).unwrap();
    stand.frontdoor.ended().await.unwrap();
    stand.restart_frontdoor().await.unwrap();
    let (status, words, _) = ask(&stand.client, &format!("verify {id}")).await;
    assert_eq!(status, Some(1), "{words}");
    assert!(words.contains("; the session runs, or"), "{words}");
    // Its frontdoor was silent for a while.
    let alive = fs::read_dir(dir.path().join("store/frontdoors")).unwrap();
    for frontdoor in alive {
        let frontdoor = File::options().write(true).open(frontdoor.unwrap().path());
        let then = SystemTime::now() - Duration::from_mins(6);
        frontdoor.unwrap().set_modified(then).unwrap();
    }
    let (status, words, _) = ask(&stand.client, &format!("verify {id}")).await;
    assert_eq!(status, Some(1), "{words}");
    assert!(words.contains("; it was cut"), "{words}");
    let (_, listed, _) = ask(&stand.client, "recordings").await;
    assert!(listed.contains("  cut  "), "{listed}");
    let output = stand
        .client
        .run(&[], "podgate", &format!("play {id}"))
        .await
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    let played = String::from_utf8(output.stdout).unwrap();
    assert!(
        played.contains("followed") && played.contains("later"),
        "{played}"
    );
    assert!(told.contains("has no end: it was cut"), "{told}");
    // Who follows it is told that no more will come.
    let follow = format!("play --follow {id}");
    let (status, followed, told) = ask(&stand.client, &follow).await;
    assert_eq!((status, followed), (Some(0), played), "{told}");
    assert!(told.contains("has no end: it was cut"), "{told}");
    // A chunk is missing, which is no end.
    let day = fs::read_dir(dir.path().join("store/recordings"))
        .unwrap()
        .next();
    let chunks = day.unwrap().unwrap().path().join("default").join(&id);
    fs::remove_file(chunks.join("00000000")).unwrap();
    let (status, words, _) = ask(&stand.client, &format!("verify {id}")).await;
    assert_eq!(status, Some(2), "{words}");
    assert!(words.contains("changed: chunk 0 is missing"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_recording_is_strict_a_store_that_fails_ends_sessions_and_lets_nobody_in() {
    let more = "  strictSeconds: 2\n  breakGlass: [oncall]\n  rules: [{record: strict}]\n";
    let (stand, dir) = stand(more).await;
    let ready = || async {
        let (status, _) = stand.frontdoor.admin("/readyz").await.ok()?;
        (status == 200).then_some(())
    };
    eventually("readiness", SOON, ready).await.unwrap();
    let mut ssh = stand.client.ssh(&[], "demo");
    ssh.arg("cat");
    let running = Echo::start(ssh).await.unwrap();
    away(dir.path());
    let (told, status) = running.ended().await.unwrap();
    assert_eq!(status, Some(255));
    let line = "podgate: this session must be recorded and cannot be any more; it is ended\r\n";
    assert_eq!(told, line);
    let refused = stand.client.run(&[], "demo", "true").await.unwrap();
    assert_eq!(refused.status.code(), Some(255));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(
        told.contains("must be recorded, and recordings cannot"),
        "{told}"
    );
    let waits = || async {
        let (status, text) = stand.frontdoor.admin("/readyz").await.ok()?;
        (status == 503 && text.contains("the recordings' store")).then_some(())
    };
    eventually("unreadiness", SOON, waits).await.unwrap();
    let counted = ["podgate_frontdoor_refused_total{limit=\"strictSeconds\"} 1"];
    stand.frontdoor.counts(SOON, &counted).await.unwrap();

    back(dir.path());
    eventually("readiness", SOON * 2, ready).await.unwrap();
    let again = stand.client.run(&[], "demo", "echo in").await.unwrap();
    assert_eq!(again.stdout, b"in\n");
    // What waited is stored, too.
    list(&stand.client, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_break_the_glass_enters_unrecorded_and_the_audit_log_says_so() {
    let more = "  strictSeconds: 1\n  breakGlass: [dev]\n  rules: [{record: strict}]\n";
    let (stand, dir) = stand(more).await;
    let enter = async || {
        let entered = stand.client.run(&[], "demo", "echo in").await.unwrap();
        assert_eq!(entered.stdout, b"in\n", "{entered:?}");
        audit(dir.path(), "start").pop().unwrap()
    };
    let start = enter().await;
    // The store may not have answered yet.
    assert!(
        ["strict", "breakGlass"].contains(&start["recorded"].as_str().unwrap()),
        "{start}"
    );
    away(dir.path());
    let waits = || async {
        let (status, _) = stand.frontdoor.admin("/readyz").await.ok()?;
        (status == 503).then_some(())
    };
    // Only what is recorded notices that the store is away.
    let mut ssh = stand.client.ssh(&[], "demo");
    ssh.arg("cat");
    let mut running = Echo::start(ssh).await.unwrap();
    eventually("unreadiness", SOON, waits).await.unwrap();
    let start = enter().await;
    assert_eq!(start["recorded"], "breakGlass", "{start}");
    assert!(start["recording"].is_null(), "{start}");
    let counted = async {
        let line = "podgate_frontdoor_recordings_break_glass_total";
        let text = stand.frontdoor.admin("/metrics").await.unwrap().1;
        let count = text.lines().find_map(|it| it.strip_prefix(line));
        count.unwrap().trim().parse::<u64>().unwrap()
    };
    assert!(counted.await >= 1);
    // A session that was recorded goes on, too.
    running.again().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_tries_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("frontdoor.yaml");
    let check = async |store: &str, more: &str| {
        let yaml = format!(
            "hostKeys: [k]\ntls: {{cert: c, key: k, ca: a}}\nusers: u\nrecordings: {{store: '{store}', rules: []{more}}}\n"
        );
        std::fs::write(&config, yaml).unwrap();
        let mut program = Command::new(gateway::binary("podgate-frontdoor").unwrap());
        let output = program
            .args(["--check", "--config"])
            .arg(&config)
            .output()
            .await
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let there = format!("file://{}", dir.path().display());
    assert_eq!(check(&there, "").await, (Some(0), String::new()));
    let (status, told) = check(&format!("{there}/missing"), "").await;
    assert_eq!(status, Some(2));
    assert!(
        told.starts_with("podgate-frontdoor: recordings.store: "),
        "{told}"
    );
    let folder = dir.path().join("spool");
    let more = format!(", spoolFolder: '{}'", folder.display());
    let (status, told) = check(&there, &more).await;
    assert_eq!(status, Some(2));
    let expect = format!(
        "podgate-frontdoor: recordings.spoolFolder: {}",
        folder.display()
    );
    assert!(told.starts_with(&expect), "{told}");
    std::fs::create_dir(&folder).unwrap();
    assert_eq!(check(&there, &more).await, (Some(0), String::new()));
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}

/// A client of a cloud's store cannot be made without them, not even for one without TLS.
#[test]
fn images_of_what_opens_a_store_hold_the_web_s_cas() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let copy =
        "COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt";
    for image in ["frontdoor", "frontdoor/replay"] {
        let text = std::fs::read_to_string(root.join(image).join("Dockerfile")).unwrap();
        assert!(text.lines().any(|line| line == copy), "{image}");
    }
}
