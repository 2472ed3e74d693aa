//! A recorder beside stores that fail: a folder, and a server of S3 whose answers a test switches.

mod reading;
mod room;
mod s3;

use bytes::Bytes;
use tokio::time::sleep;

use super::*;
use crate::cast::{Event, Stream, events, tests::about};
use crate::newest::Query;
use crate::verify::{Verdict, Verifier};
pub(crate) use s3::{Fault, S3, config};

const SESSION: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const SETTINGS: Settings = Settings {
    most: 16 << 20,
    input: true,
    waits: true,
};
const WITHIN: Duration = Duration::from_secs(60);

pub(crate) fn tape(recorder: &Recorder, settings: Settings) -> Tape {
    let id = Id::new(jiff::Timestamp::now(), SESSION);
    recorder.record(id, about(), settings)
}

pub(crate) async fn output(tape: &Tape, bytes: impl Into<Bytes>) {
    tape.record(Event::Output(Stream::Stdout, bytes.into()))
        .await;
}

/// What a reader finds: its verdict, its output and its markers.
async fn read(recorder: &Recorder, id: &Id) -> (Verdict, Vec<u8>, Vec<String>) {
    let library = recorder.library();
    let found = library.find(id.clone(), vec!["other".into(), "prod".into()]);
    let mut reader = found.await.unwrap().unwrap();
    let mut verifier = Verifier::new(id.as_str());
    let (mut output, mut markers, mut at) = (Vec::new(), Vec::new(), Duration::ZERO);
    while let Some(chunk) = reader.next().await.unwrap() {
        let text = verifier.chunk(&chunk).unwrap().text().unwrap();
        let lines = match at.is_zero() && output.is_empty() {
            true => crate::cast::header(&text).unwrap().1,
            false => &text,
        };
        for (_, event) in events(lines, &mut at).unwrap() {
            match event {
                Event::Output(_, data) => output.extend(data),
                Event::Marker(text) => markers.push(text),
                _ => {}
            }
        }
    }
    (verifier.verdict(), output, markers)
}

fn random(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(1);
    (0..length).map(|_| random.u8(..)).collect()
}

/// A recorder whose store answers, and that store.
async fn started() -> (S3, Recorder, TaskTracker) {
    let tasks = TaskTracker::new();
    let (s3, config) = S3::start(&tasks).await;
    let recorder = Recorder::start(&config, Metrics::default()).unwrap();
    timeout(WITHIN, recorder.recovers()).await.unwrap();
    (s3, recorder, tasks)
}

#[tokio::test]
async fn a_recording_in_a_folder_is_found_and_whole() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(format!("file://{}", dir.path().display()), &[]);
    let recorder = Recorder::start(&config, Metrics::default()).unwrap();
    let bytes = random(3_000_000);
    let tape = tape(&recorder, SETTINGS);
    let id = tape.id().clone();
    for piece in bytes.chunks(20_000) {
        output(&tape, piece.to_vec()).await;
    }
    let sealed = tape.finish(Some(0)).await.unwrap();
    recorder.writers.close();
    timeout(WITHIN, recorder.writers.wait()).await.unwrap();
    let (verdict, output, markers) = read(&recorder, &id).await;
    assert_eq!(verdict.whole, Some(sealed.whole));
    assert_eq!(verdict.last, sealed.last);
    assert!(verdict.chunks > 3, "{verdict:?}");
    assert!(output == bytes && markers.is_empty());

    let library = recorder.library();
    let days = Library::days(jiff::Timestamp::now());
    let namespaces = library.namespaces(days.clone()).await.unwrap();
    assert_eq!(namespaces, ["prod".to_owned()].into());
    let list = async |user: &str, pod: &str| {
        let (user, pod) = (Some(user.to_owned()), Some(pod.to_owned()));
        let query = Query {
            user,
            pod,
            since: None,
            limit: 10,
        };
        let found = library.list(days.clone(), vec!["prod".into()], query).await;
        library.entries(found.unwrap()).await.unwrap()
    };
    let [entry] = &list("ada", "web-0").await[..] else {
        panic!()
    };
    assert_eq!(entry.end.as_ref().unwrap().chunks, verdict.chunks);
    assert_eq!(list("bo", "web-0").await, []);
    assert_eq!(list("ada", "web-1").await, []);
    let elsewhere = library.find(id, vec!["other".into()]).await.unwrap();
    assert!(elsewhere.is_none());
}

#[tokio::test]
async fn what_is_longer_than_allowed_is_known_by_length_and_hash() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(format!("file://{}", dir.path().display()), &[]);
    let recorder = Recorder::start(&config, Metrics::default()).unwrap();
    let tape = tape(
        &recorder,
        Settings {
            most: 1500,
            input: false,
            waits: true,
        },
    );
    let id = tape.id().clone();
    let bytes = random(4000);
    for piece in bytes.chunks(1000) {
        output(&tape, piece.to_vec()).await;
    }
    tape.finish(None).await.unwrap();
    recorder.finish(WITHIN).await;
    let recorder = Recorder::start(&config, Metrics::default()).unwrap();
    let (verdict, output, markers) = read(&recorder, &id).await;
    assert!(verdict.whole.is_some() && output == bytes[..1000]);
    let [from, all] = &markers[..] else {
        panic!("{markers:?}")
    };
    assert!(from.contains("maxBytes"), "{from}");
    let hash = crate::digest::sha256(&bytes);
    assert!(all.contains("4000 bytes") && all.contains(&hash), "{all}");
}

#[tokio::test]
async fn no_fault_of_the_store_loses_what_has_room() {
    let tasks = TaskTracker::new();
    let (s3, config) = S3::start(&tasks).await;
    for fault in [
        Fault::Status(403),
        Fault::Status(507),
        Fault::Cut,
        Fault::Silent,
    ] {
        s3.set(Fault::None);
        let metrics = Metrics::default();
        let recorder = Recorder::start(&config, metrics.clone()).unwrap();
        timeout(WITHIN, recorder.recovers()).await.unwrap();
        let tape = tape(&recorder, SETTINGS);
        let id = tape.id().clone();
        // Its chunks wait while it runs.
        s3.set(fault);
        let bytes = random(700_000);
        for piece in bytes.chunks(30_000) {
            output(&tape, piece.to_vec()).await;
        }
        // The session's end waits for no store.
        let sealed = timeout(WITHIN, tape.finish(Some(1)))
            .await
            .unwrap()
            .unwrap();
        timeout(WITHIN, recorder.failing_for(Duration::ZERO))
            .await
            .unwrap();
        assert!(s3.verify(&id).whole.is_none(), "{fault:?}");
        s3.set(Fault::None);
        recorder.writers.close();
        timeout(WITHIN, recorder.writers.wait()).await.unwrap();
        assert_eq!(s3.verify(&id).whole, Some(sealed.whole), "{fault:?}");
        assert!(metrics.failures.get() > 0, "{fault:?}");
        assert_eq!(metrics.lost_bytes.get(), 0, "{fault:?}");
        assert_eq!(recorder.shared.spool.held(), 0);
        s3.objects.lock().unwrap().clear();
    }
}

#[tokio::test]
async fn what_finds_no_room_is_counted_and_marked() {
    let tasks = TaskTracker::new();
    let (s3, config) = S3::start(&tasks).await;
    s3.set(Fault::Status(503));
    let metrics = Metrics::default();
    let recorder = Recorder::start(&config, metrics.clone()).unwrap();
    assert!(recorder.is_impossible(WITHIN), "it has taken nothing yet");
    let settings = Settings {
        waits: false,
        ..SETTINGS
    };
    let tape = tape(&recorder, settings);
    let id = tape.id().clone();
    // Bytes that do not become smaller, more than one session may hold.
    for piece in random(6 << 20).chunks(30_000) {
        output(&tape, piece.to_vec()).await;
    }
    timeout(WITHIN, tape.impossible_for(Duration::ZERO))
        .await
        .unwrap();
    s3.set(Fault::None);
    timeout(WITHIN, recorder.recovers()).await.unwrap();
    assert!(!recorder.is_impossible(WITHIN));
    tape.finish(None).await.unwrap();
    recorder.writers.close();
    timeout(WITHIN, recorder.writers.wait()).await.unwrap();
    let lost = metrics.lost_bytes.get();
    assert!(lost > 1 << 20, "{lost}");
    assert!(s3.verify(&id).whole.is_some());
    let objects = s3.objects.lock().unwrap();
    let last = objects
        .iter()
        .rev()
        .find(|(path, _)| path.contains("/recordings/"));
    let (_, text) = crate::chunk::open(last.unwrap().1).unwrap();
    let text = String::from_utf8(text.text().unwrap()).unwrap();
    assert!(
        text.contains(&format!("podgate: {lost} bytes are missing here")),
        "{}",
        text.len()
    );
}

#[tokio::test]
async fn what_must_not_be_lost_waits_for_room() {
    let tasks = TaskTracker::new();
    let (s3, config) = S3::start(&tasks).await;
    s3.set(Fault::Status(503));
    let metrics = Metrics::default();
    let recorder = Recorder::start(&config, metrics.clone()).unwrap();
    let tape = tape(&recorder, SETTINGS);
    let id = tape.id().clone();
    let bytes = random(6 << 20);
    let say = async {
        for piece in bytes.chunks(30_000) {
            output(&tape, piece.to_vec()).await;
        }
    };
    let full = async {
        tape.impossible_for(Duration::ZERO).await;
        s3.set(Fault::None);
    };
    let both = async { tokio::join!(say, full) };
    timeout(WITHIN, both).await.unwrap();
    let whole = timeout(WITHIN, async { tape.finish(None).await });
    let whole = whole.await.unwrap().map(|sealed| sealed.whole);
    recorder.writers.close();
    timeout(WITHIN, recorder.writers.wait()).await.unwrap();
    let stored = s3.verify(&id).whole;
    assert!(stored.is_some() && (whole.is_none() || whole == stored));
    assert_eq!(metrics.lost_bytes.get(), 0);
    assert_eq!(recorder.shared.spool.held(), 0);
}

#[tokio::test]
async fn what_is_said_after_a_silence_is_stored_though_nothing_follows() {
    let tasks = TaskTracker::new();
    let (s3, config) = S3::start(&tasks).await;
    let recorder = Recorder::start(&config, Metrics::default()).unwrap();
    let tape = tape(&recorder, SETTINGS);
    let id = tape.id().clone();
    for said in ["before", "after"] {
        output(&tape, said).await;
        let stored = s3.has(&id, said);
        timeout(WITHIN / 6, stored).await.expect(said);
    }
}

#[tokio::test]
async fn an_idle_store_that_goes_away_is_noticed() {
    let (s3, recorder, _tasks) = started().await;
    assert!(!recorder.is_impossible(Duration::ZERO));
    s3.set(Fault::Status(503));
    recorder.shared.uploads.test().await.unwrap_err();
    assert!(recorder.is_impossible(Duration::ZERO));
    s3.set(Fault::None);
    timeout(WITHIN, recorder.recovers()).await.unwrap();
}
