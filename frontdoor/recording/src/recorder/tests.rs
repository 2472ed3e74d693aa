//! A recorder beside stores that fail: a folder, and a server of S3 whose answers a test switches.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::*;
use crate::cast::{Event, Stream, events, tests::about};
use crate::name;
use crate::newest::Query;
use crate::no_end::NoEnd;
use crate::store::StoreConfig;
use crate::verify::{Verdict, Verifier};

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
async fn others_leave_room_for_what_must_be_recorded() {
    let tasks = TaskTracker::new();
    let (s3, config) = S3::start(&tasks).await;
    let recorder = Recorder::start(&config, Metrics::default()).unwrap();
    timeout(WITHIN, recorder.recovers()).await.unwrap();
    s3.set(Fault::Status(503));
    let others = Settings {
        waits: false,
        ..SETTINGS
    };
    // Together they have more than all recordings may hold.
    let tapes: Vec<_> = (0..4).map(|_| tape(&recorder, others)).collect();
    for tape in &tapes {
        for piece in random(4 << 20).chunks(30_000) {
            output(tape, piece.to_vec()).await;
        }
    }
    assert!(recorder.shared.spool.held() > 5 << 20);
    assert!(recorder.shared.spool.has_room());
    let strict = tape(&recorder, SETTINGS);
    for piece in random(1 << 20).chunks(30_000) {
        timeout(WITHIN, output(&strict, piece.to_vec()))
            .await
            .unwrap();
    }
    // Of the others what waits is stored, too.
    drop(tapes);
    s3.set(Fault::None);
    strict.finish(Some(0)).await.unwrap();
    recorder.writers.close();
    timeout(WITHIN, recorder.writers.wait()).await.unwrap();
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
        let stored = async {
            while !s3.text(&id).contains(said) {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(WITHIN / 6, stored).await.expect(said);
    }
}

#[tokio::test]
async fn a_recording_for_which_others_leave_no_room_is_impossible() {
    let tasks = TaskTracker::new();
    let (s3, config) = S3::start(&tasks).await;
    let recorder = Recorder::start(&config, Metrics::default()).unwrap();
    timeout(WITHIN, recorder.recovers()).await.unwrap();
    let quiet = tape(&recorder, SETTINGS);
    let stored = async {
        while !s3.text(quiet.id()).contains("podgate") {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(WITHIN, stored).await.unwrap();
    s3.set(Fault::Status(503));
    let others: Vec<_> = (0..4).map(|_| tape(&recorder, SETTINGS)).collect();
    let fill = others.iter().map(|tape| async {
        for piece in random(6 << 20).chunks(30_000) {
            output(tape, piece.to_vec()).await;
        }
    });
    let fill = futures_util::future::join_all(fill);
    let full = async {
        while recorder.shared.spool.has_room() {
            sleep(Duration::from_millis(50)).await;
        }
        output(&quiet, random(1 << 20)).await;
        timeout(WITHIN, quiet.impossible_for(Duration::ZERO))
            .await
            .unwrap();
    };
    tokio::select! {
        _ = fill => panic!("there was room for all"),
        () = full => {}
    }
    s3.set(Fault::None);
    timeout(WITHIN, quiet.possible()).await.unwrap();
}

#[tokio::test]
async fn an_end_arrives_where_there_is_no_room() {
    let tasks = TaskTracker::new();
    let (s3, config) = S3::start(&tasks).await;
    let recorder = Recorder::start(&config, Metrics::default()).unwrap();
    timeout(WITHIN, recorder.recovers()).await.unwrap();
    s3.set(Fault::Status(503));
    let tape = tape(&recorder, SETTINGS);
    let id = tape.id().clone();
    let fill = async {
        for piece in random(6 << 20).chunks(30_000) {
            output(&tape, piece.to_vec()).await;
        }
    };
    tokio::select! {
        () = fill => panic!("there was room for all of it"),
        () = async {
            tape.impossible_for(Duration::ZERO).await;
            while tape.queue.messages.capacity() > 0 {
                tokio::task::yield_now().await;
            }
        } => {}
    }
    // Its session waits no longer than it would for any end.
    let waited = timeout(Duration::from_millis(100), tape.finish(Some(7))).await;
    assert!(waited.is_err());
    s3.set(Fault::None);
    recorder.writers.close();
    timeout(WITHIN, recorder.writers.wait()).await.unwrap();
    let text = s3.text(&id);
    assert!(
        text.ends_with(", \"x\", \"7\"]\n"),
        "{:?}",
        &text[text.len() - 80..]
    );
}

#[tokio::test]
async fn a_chunk_that_is_missing_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(format!("file://{}", dir.path().display()), &[]);
    let recorder = Recorder::start(&config, Metrics::default()).unwrap();
    let tape = tape(&recorder, SETTINGS);
    let id = tape.id().clone();
    for piece in random(3 << 20).chunks(30_000) {
        output(&tape, piece.to_vec()).await;
    }
    tape.finish(Some(0)).await.unwrap();
    recorder.writers.close();
    timeout(WITHIN, recorder.writers.wait()).await.unwrap();
    let (verdict, ..) = read(&recorder, &id).await;
    assert!(verdict.chunks > 3);
    timeout(WITHIN, recorder.recovers()).await.unwrap();
    let library = recorder.library();
    let end = async || {
        let found = library.find(id.clone(), vec!["prod".into()]).await.unwrap();
        let mut reader = found.unwrap();
        let mut chunks = 0;
        loop {
            match reader.next().await {
                Ok(Some(_)) => chunks += 1,
                Ok(None) => return (chunks, None),
                Err(error) => return (chunks, Some(error.to_string())),
            }
        }
    };
    let chunk = |number: u32| dir.path().join(name::chunk("prod", &id, number));
    let runs = async || {
        let frontdoors = [recorder.shared.frontdoor.clone(), "other".to_owned()];
        let running = library.running(frontdoors.into()).await.unwrap();
        running.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(runs().await, [recorder.shared.frontdoor.clone()]);
    std::fs::remove_file(chunk(verdict.chunks - 1)).unwrap();
    assert_eq!(end().await, (verdict.chunks - 1, None));
    let no_end = async || {
        let found = library.find(id.clone(), vec!["prod".into()]).await.unwrap();
        let mut reader = found.unwrap();
        let mut verifier = Verifier::new(id.as_str());
        while let Some(chunk) = reader.next().await.unwrap() {
            verifier.chunk(&chunk).unwrap();
        }
        NoEnd::of(&verifier, &reader, &library).await.unwrap()
    };
    assert_eq!(no_end().await, Some(NoEnd::Missing(verdict.chunks)));
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    assert_eq!(no_end().await, Some(NoEnd::Runs));
    for number in [1, 0] {
        std::fs::remove_file(chunk(number)).unwrap();
        let missing = format!("chunk {number} is missing, and later ones are there");
        assert_eq!(end().await, (number, Some(missing)));
    }
}

#[tokio::test]
async fn a_session_that_has_begun_yesterday_is_in_todays_list() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(format!("file://{}", dir.path().display()), &[]);
    let recorder = Recorder::start(&config, Metrics::default()).unwrap();
    let now = jiff::Timestamp::now();
    let hours = |hours| now - jiff::SignedDuration::from_hours(hours);
    let tape = recorder.record(Id::new(hours(24), SESSION), about(), SETTINGS);
    tape.finish(Some(0)).await.unwrap();
    recorder.writers.close();
    timeout(WITHIN, recorder.writers.wait()).await.unwrap();
    let query = Query {
        since: Some(hours(0)),
        limit: 10,
        ..Query::default()
    };
    let library = recorder.library();
    let found = library.list(Library::days(now), vec!["prod".into()], query);
    let entries = library.entries(found.await.unwrap()).await.unwrap();
    assert!(
        entries.len() == 1 && entries[0].end.is_some(),
        "{entries:?}"
    );
}

#[tokio::test]
async fn an_idle_store_that_goes_away_is_noticed() {
    let tasks = TaskTracker::new();
    let (s3, config) = S3::start(&tasks).await;
    let recorder = Recorder::start(&config, Metrics::default()).unwrap();
    timeout(WITHIN, recorder.recovers()).await.unwrap();
    assert!(!recorder.is_impossible(Duration::ZERO));
    s3.set(Fault::Status(503));
    recorder.shared.uploads.test().await.unwrap_err();
    assert!(recorder.is_impossible(Duration::ZERO));
    s3.set(Fault::None);
    timeout(WITHIN, recorder.recovers()).await.unwrap();
}

/// A recorder's configuration with little memory.
pub(crate) fn config(url: String, options: &[(&str, &str)]) -> Config {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let options = options.iter().map(owned).collect();
    Config {
        store: StoreConfig { url, options },
        spool_bytes: 8 << 20,
        spool_bytes_per_session: 3 << 20,
        folder: None,
        recipients: vec![],
    }
}

/// What a server of S3 does with an object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    None,
    /// The status of its answer.
    Status(u16),
    /// The connection is cut in the middle of the object.
    Cut,
    /// It never answers.
    Silent,
}

/// A server that keeps what is put, and shows it.
#[derive(Clone)]
pub(crate) struct S3 {
    fault: Arc<Mutex<Fault>>,
    pub(crate) objects: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl S3 {
    pub(crate) async fn start(tasks: &TaskTracker) -> (Self, Config) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (fault, objects) = (Arc::new(Mutex::new(Fault::None)), Arc::default());
        let this = Self { fault, objects };
        let (serve, connections) = (this.clone(), tasks.clone());
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serve = serve.clone();
                connections.spawn(async move { serve.connection(stream).await });
            }
        });
        let options = [
            ("endpoint", endpoint.as_str()),
            ("allow_http", "true"),
            ("region", "x"),
            ("access_key_id", "a"),
            ("secret_access_key", "s"),
        ];
        (this, config("s3://bucket/prefix".to_owned(), &options))
    }

    pub(crate) fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    /// Serves a connection's requests. `None` ends it.
    async fn connection(&self, mut stream: TcpStream) -> Option<()> {
        let mut buffer = Vec::new();
        loop {
            let head = loop {
                if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                    break at + 4;
                }
                (stream.read_buf(&mut buffer).await.ok()? > 0).then_some(())?;
            };
            let text = String::from_utf8(buffer.drain(..head).collect()).ok()?;
            let mut words = text.split(' ');
            let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
            let lower = text.to_ascii_lowercase();
            let length = lower
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.unwrap_or("0").parse().ok()?;
            let fault = *self.fault.lock().unwrap();
            let wanted = if fault == Fault::Cut {
                length / 2
            } else {
                length
            };
            while buffer.len() < wanted {
                (stream.read_buf(&mut buffer).await.ok()? > 0).then_some(())?;
            }
            let status = match fault {
                Fault::Cut => return None,
                Fault::Silent => std::future::pending().await,
                Fault::Status(status) => status,
                Fault::None => 200,
            };
            let body: Vec<u8> = buffer.drain(..length).collect();
            if (method.as_str(), status) == ("PUT", 200) {
                self.objects.lock().unwrap().insert(path, body);
            }
            let answer = format!("HTTP/1.1 {status} x\r\nETag: \"e\"\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.ok()?;
        }
    }

    /// The text of a recording's chunks that are there.
    pub(crate) fn text(&self, id: &Id) -> String {
        let objects = self.objects.lock().unwrap();
        let chunks = objects.iter();
        let chunks = chunks.filter(|(path, _)| path.contains(&format!("{id}/")));
        let text =
            chunks.flat_map(|(_, chunk)| crate::chunk::open(chunk).unwrap().1.text().unwrap());
        String::from_utf8(text.collect()).unwrap()
    }

    /// The recording's chunks that are there, checked.
    pub(crate) fn verify(&self, id: &Id) -> Verdict {
        let objects = self.objects.lock().unwrap();
        let mut verifier = Verifier::new(id.as_str());
        for (path, object) in objects.iter() {
            if path.contains("/recordings/") && path.contains(id.as_str()) {
                verifier.chunk(object).unwrap();
            }
        }
        verifier.verdict()
    }
}
