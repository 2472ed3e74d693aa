//! A recorder that can write and not read.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::age::tests::{RECIPIENT, key, opened};
use crate::chunk::Chain;
use crate::content::Encrypted;
use crate::digest::sha256;
use crate::health::Metrics;
use crate::library::Library;
use crate::newest::Query;
use crate::recorder::Recorder;
use crate::recorder::tests::{SETTINGS, config, output, tape};
use std::time::Duration;

const SECRET: &[u8] = b"the word is xyzzy\n";

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    let below = |path: PathBuf| match path.is_dir() {
        true => files(&path),
        false => vec![path],
    };
    paths.flat_map(below).collect()
}

fn nothing_is_in_clear(store: &Path) {
    let stored = files(store);
    assert!(stored.len() > 3, "{stored:?}");
    for path in &stored {
        let bytes = fs::read(path).unwrap();
        let clear = bytes.windows(5).any(|five| five == b"xyzzy");
        let command = bytes.windows(9).any(|nine| nine == b"\"command\"");
        assert!(!clear && !command, "{path:?}");
    }
}

#[tokio::test]
async fn what_is_encrypted_is_found_and_verified_and_read_with_a_key_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (store, keys) = (dir.path().join("store"), dir.path().join("keys"));
    for folder in [&store, &keys] {
        fs::create_dir(folder).unwrap();
    }
    let (key, recipient) = key(&keys, "ada");
    let mut config = config(format!("file://{}", store.display()), &[]);
    config.recipients = vec![recipient];
    let recorder = Recorder::start(&config, Metrics::default()).unwrap();
    let tape = tape(&recorder, SETTINGS);
    let id = tape.id().clone();
    // Lines enough for some chunks.
    for number in 0..40_000 {
        let line = format!("{number} {}", String::from_utf8_lossy(SECRET));
        output(&tape, line).await;
    }
    let sealed = tape.finish(Some(3)).await.unwrap();
    recorder.finish(Duration::from_secs(60)).await;

    nothing_is_in_clear(&store);

    let recorder = Recorder::start(&config, Metrics::default()).unwrap();
    let library = recorder.library();
    let days = Library::days(jiff::Timestamp::now());
    let query = Query {
        since: None,
        limit: 1,
        ..Query::default()
    };
    let found = library.list(days, vec!["prod".into()], query).await;
    let entries = library.entries(found.unwrap()).await.unwrap();
    let header = &entries[0].header;
    assert!(header.podgate.encrypted && header.command.is_none());
    assert_eq!(header.podgate.user, "ada");
    assert_eq!(entries[0].end.as_ref().unwrap().status, Some(3));

    let reader = library.find(id.clone(), vec!["prod".into()]);
    let mut reader = reader.await.unwrap().unwrap();
    assert!(reader.is_encrypted());
    let (mut verifier, mut export) = (Verifier::new(id.as_str()), Export::new(id.clone()));
    let mut tar = Vec::new();
    let mut objects = Vec::new();
    while let Some(object) = reader.next().await.unwrap() {
        assert_eq!(verifier.chunk(&object).unwrap().text(), Err(Encrypted));
        tar.extend(export.chunk(&object).unwrap());
        objects.push(object.to_vec());
    }
    tar.extend(export.end());
    let verdict = verifier.verdict();
    assert!(verdict.encrypted && objects.len() > 1);
    assert_eq!(verdict.whole.as_ref(), Some(&sealed.whole));
    assert_eq!(verdict.last, sealed.last);

    let mut text = Vec::new();
    let mut archive = tar::Archive::new(tar.as_slice());
    for (number, entry) in archive.entries().unwrap().enumerate() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        assert_eq!(name, format!("{id}/{number:08}.age"));
        let mut file = Vec::new();
        std::io::copy(&mut entry, &mut file).unwrap();
        text.extend(zstd::decode_all(opened(&key, &file).unwrap().as_slice()).unwrap());
    }
    assert_eq!(sha256(&text), sealed.whole.sha256);
    let (header, _) = crate::cast::header(&text).unwrap();
    assert_eq!(header.command.as_deref(), Some("ls"));

    // Every changed byte is seen, by the next chunk or by what the audit log has of the last.
    for changed in 0..objects.len() {
        let mut objects = objects.clone();
        *objects[changed].last_mut().unwrap() ^= 1;
        let mut verifier = Verifier::new(id.as_str());
        let broken = objects.iter().find_map(|it| verifier.chunk(it).err());
        let last = verifier.verdict().last;
        assert!(broken.is_some() || last != sealed.last, "{changed}");
    }
}

#[test]
fn no_chunk_in_clear_is_taken_for_one_of_an_encrypted_recording() {
    let mut chain = Chain::new("r".to_owned());
    let plain = chain.seal(b"x", Duration::ZERO, false).unwrap();
    let header = crate::cast::tests::about();
    let recipient = RECIPIENT.parse().unwrap();
    let mut chain = chain.encrypted([recipient].into(), header);
    let encrypted = chain.seal(b"y", Duration::ZERO, true).unwrap();
    let mut verifier = Verifier::new("r");
    verifier.chunk(&plain).unwrap();
    let broken = verifier.chunk(&encrypted).unwrap_err().to_string();
    assert!(broken.contains("chunk 1 is encrypted"), "{broken}");
}
