//! Recordings in a bucket of a real server of S3, and what becomes of them while the road to it is bad.
//! `PODGATE_AWAY=600` keeps each fault for so many seconds.

use podgate_tests::real::s3::{BUCKET, S3};
use podgate_tests::stand_ins::road::{Fault, Road};

use super::*;
use stand::stand_at;

/// A server, the road to it, and the lines of the configuration that lead there.
async fn bucket() -> (S3, Road, String) {
    let s3 = S3::start().await.unwrap();
    let road = Road::to(s3.port()).await.unwrap();
    let endpoint = format!("http://127.0.0.1:{}", road.port());
    let options = format!(
        "{{endpoint: '{endpoint}', allow_http: 'true', region: us-east-1, access_key_id: a, secret_access_key: s}}"
    );
    let store = format!("  store: s3://{BUCKET}/prod\n  options: {options}\n");
    (s3, road, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_serves_as_a_folder_does() {
    let (s3, _road, store) = bucket().await;
    let rules = format!("{store}  rules: [{{record: bestEffort}}]\n");
    let (stand, dir) = stand_at(&rules).await;
    stand.client.run(&[], "demo", "seq 2000").await.unwrap();
    let before = list(&stand.client, 1).await;
    let id = id(&before[0]);
    let (status, words, _) = ask(&stand.client, &format!("verify {id}")).await;
    assert_eq!(status, Some(0), "{words}");
    let (status, cast, _) = ask(&stand.client, &format!("export {id}")).await;
    assert_eq!(status, Some(0));
    let end = ended(dir.path()).await;
    assert_eq!(end["recordingSha256"], sha256(&cast).await);
    for name in s3.names().await.unwrap() {
        assert!(name.starts_with("prod/"), "{name}");
        if name.starts_with("prod/index/") {
            s3.remove(&name).await.unwrap();
        }
    }
    is_found_again(&stand.client, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_of_the_road_costs_a_session_anything_or_its_recording_a_byte() {
    let (_s3, road, store) = bucket().await;
    let rules = format!("{store}  strictSeconds: 3600\n  rules: [{{record: strict}}]\n");
    let (stand, _dir) = stand_at(&rules).await;
    let ready = || async {
        let (status, _) = stand.frontdoor.admin("/readyz").await.ok()?;
        (status == 200).then_some(())
    };
    let away = std::env::var("PODGATE_AWAY").ok();
    let away = away.map(|away| Duration::from_secs(away.parse().expect("PODGATE_AWAY")));
    let faults = [
        Fault::Away,
        Fault::Slow(1024),
        Fault::Status(403),
        Fault::Status(507),
        Fault::Cut,
    ];
    let mut seen = Vec::new();
    for (number, fault) in faults.into_iter().enumerate() {
        eventually("readiness", SOON * 2, ready).await.unwrap();
        let mut ssh = stand.client.ssh(&[], "demo");
        ssh.arg("cat");
        let mut echo = Echo::start(ssh).await.unwrap();
        road.set(fault);
        echo.says(&format!("{fault:?}")).await.unwrap();
        echo.close();
        assert_eq!(echo.ended().await.unwrap().1, Some(0), "{fault:?}");
        if !matches!(fault, Fault::Slow(_)) {
            let fails = ["podgate_frontdoor_recordings_store_failing 1"];
            stand.frontdoor.counts(SOON, &fails).await.unwrap();
            if let Some(away) = away {
                tokio::time::sleep(away).await;
            }
            road.set(Fault::None);
        }
        // Its pauses have grown meanwhile.
        let entries = list(&stand.client, number + 1).await;
        // Of those that began in one second, any may come first.
        let id = entries.iter().map(id).find(|id| !seen.contains(id));
        let id = id.unwrap();
        let (status, words, _) = ask(&stand.client, &format!("verify {id}")).await;
        assert_eq!(status, Some(0), "{fault:?}: {words}");
        let (_, played, _) = ask(&stand.client, &format!("play {id}")).await;
        assert_eq!(played, format!("here\n{fault:?}\n"));
        seen.push(id);
        road.set(Fault::None);
    }
    let kept = ["podgate_frontdoor_recordings_lost_bytes_total 0"];
    stand.frontdoor.counts(SOON, &kept).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_tries_the_bucket() {
    let (_s3, road, store) = bucket().await;
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("frontdoor.yaml");
    let yaml = format!(
        "hostKeys: [k]\ntls: {{cert: c, key: k, ca: a}}\nusers: u\nrecordings:\n{store}  rules: []\n"
    );
    std::fs::write(&config, yaml).unwrap();
    let check = async || {
        let mut program = Command::new(gateway::binary("podgate-frontdoor").unwrap());
        let program = program.args(["--check", "--config"]).arg(&config);
        let output = program.output().await.unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), told)
    };
    assert_eq!(check().await, (Some(0), String::new()));
    road.set(Fault::Status(403));
    let (status, told) = check().await;
    assert_eq!(status, Some(2), "{told}");
    assert!(
        told.starts_with("podgate-frontdoor: recordings.store: ") && told.contains("403"),
        "{told}"
    );
}
