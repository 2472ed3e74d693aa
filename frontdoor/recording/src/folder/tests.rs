//! A recorder with a spool's folder beside a store that is away.

use std::fs;
use std::path::Path;

use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::*;
use crate::cast::{Event, Stream, tests::about};
use crate::name::Id;
use crate::recorder::tests::{Fault, S3};
use crate::recorder::{Config, Recorder};
use crate::tape::{Settings, Tape};

const SESSION: &str = "0123456789abcdef0123456789abcdef";
const WITHIN: Duration = Duration::from_secs(60);

fn recorder(config: &Config) -> (Recorder, Metrics) {
    let metrics = Metrics::default();
    let recorder = Recorder::start(config, metrics.clone()).unwrap();
    (recorder, metrics)
}

/// A recording of bytes that do not become smaller.
async fn tape(recorder: &Recorder, bytes: usize) -> Tape {
    let id = Id::new(jiff::Timestamp::now(), SESSION);
    let settings = Settings {
        most: 64 << 20,
        input: false,
        waits: true,
    };
    let tape = recorder.record(id, about(), settings);
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..bytes / 25_000 {
        let piece: Vec<u8> = (0..25_000).map(|_| random.u8(..)).collect();
        tape.record(Event::Output(Stream::Stdout, piece.into()))
            .await;
    }
    tape
}

#[tokio::test]
async fn a_full_folder_is_told_and_loses_nothing_that_memory_has_room_for() {
    let (tasks, dir) = (TaskTracker::new(), tempfile::tempdir().unwrap());
    let (s3, mut config) = S3::start(&tasks).await;
    config.folder = Some(FolderConfig {
        path: dir.path().to_owned(),
        bytes: 1 << 20,
    });
    s3.set(Fault::Status(403));
    let (recorder, metrics) = recorder(&config);
    // Memory has room for all of it, and the folder does not.
    let tape = tape(&recorder, 1_500_000).await;
    let id = tape.id().clone();
    let full = async {
        recorder.failing_for(Duration::ZERO).await;
        tape.impossible_for(Duration::ZERO).await;
    };
    timeout(WITHIN, full).await.unwrap();
    assert!(recorder.is_impossible(Duration::ZERO));
    assert!(metrics.folder_failures.get() > 0 && metrics.folder_bytes.get() <= 1 << 20);
    s3.set(Fault::None);
    timeout(WITHIN, recorder.recovers()).await.unwrap();
    let whole = tape.finish(Some(0)).await.unwrap();
    recorder.finish(WITHIN).await;
    assert_eq!(s3.verify(&id).whole, Some(whole.whole));
    assert_eq!(metrics.lost_bytes.get(), 0);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// The number of files in all frontdoors' folders, locks aside.
fn files(root: &Path) -> usize {
    let folders = fs::read_dir(root).unwrap();
    let files = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
    files
        .filter(|file| file.as_ref().unwrap().file_name() != "lock")
        .count()
}

#[tokio::test]
async fn what_a_frontdoor_leaves_the_next_one_stores() {
    let (tasks, dir) = (TaskTracker::new(), tempfile::tempdir().unwrap());
    let (s3, mut config) = S3::start(&tasks).await;
    config.folder = Some(FolderConfig {
        path: dir.path().to_owned(),
        bytes: 64 << 20,
    });
    s3.set(Fault::Status(503));
    let (first, metrics) = recorder(&config);
    assert!(
        !first.is_impossible(Duration::ZERO),
        "the folder takes what the store does not"
    );
    let tape = tape(&first, 2_500_000).await;
    let id = tape.id().clone();
    let whole = tape.finish(Some(0)).await.unwrap();
    first.finish(Duration::from_secs(1)).await;
    assert_eq!(metrics.lost_bytes.get(), 0);
    assert!(metrics.folder_bytes.get() > 2_500_000 && files(dir.path()) > 3);
    assert!(s3.objects.lock().unwrap().is_empty());
    drop(first);

    // One that cannot be read keeps no other from being taken.
    let bad = dir.path().join("0");
    fs::create_dir_all(bad.join("lock")).unwrap();
    s3.set(Fault::None);
    let (second, metrics) = recorder(&config);
    let folder = second.shared.folder.as_ref().unwrap();
    let stored = async {
        loop {
            let emptied = folder.emptied.notified();
            if metrics.stored.get() > 3 && metrics.folder_bytes.get() == 0 {
                return;
            }
            emptied.await;
        }
    };
    timeout(WITHIN, stored).await.unwrap();
    assert_eq!(s3.verify(&id).whole, Some(whole.whole));
    fs::remove_dir_all(bad).unwrap();
    assert_eq!(files(dir.path()), 0);
    second.finish(WITHIN).await;
}

#[tokio::test]
async fn a_folder_is_well_again_without_anything_to_write() {
    let (tasks, dir) = (TaskTracker::new(), tempfile::tempdir().unwrap());
    let (_s3, mut config) = S3::start(&tasks).await;
    let path = dir.path().join("spool");
    fs::create_dir(&path).unwrap();
    config.folder = Some(FolderConfig {
        path: path.clone(),
        bytes: 64 << 20,
    });
    let (recorder, metrics) = recorder(&config);
    let away = dir.path().join("away");
    fs::rename(&path, &away).unwrap();
    let folder = recorder.shared.folder.as_ref().unwrap();
    folder.test().await.unwrap_err();
    assert!(recorder.is_impossible(Duration::ZERO));
    assert_eq!(metrics.folder_failing.get(), 1);
    fs::rename(&away, &path).unwrap();
    timeout(WITHIN, recorder.recovers()).await.unwrap();
    assert_eq!(metrics.folder_failing.get(), 0);
    recorder.finish(WITHIN).await;
}
