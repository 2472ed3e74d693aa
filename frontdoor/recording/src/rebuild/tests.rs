//! More recordings than are looked at at a time.

use bytes::Bytes;

use super::*;
use crate::age::tests::RECIPIENT;
use crate::cast::Encoder;
use crate::cast::tests::about;
use crate::chunk::Chain;
use crate::store::StoreConfig;

const NAMESPACE: &str = "prod";

/// Stores a recording that has its number, without an index object. Each second one is encrypted.
async fn record(store: &Store, number: u32, chunks: u32) -> Id {
    let id: Id = format!("20261126T2058{number:02}Z-{number:032x}")
        .parse()
        .unwrap();
    let mut header = about();
    header.podgate.recording = id.to_string();
    let mut text = Vec::new();
    Encoder::header(&header, &mut text);
    let mut chain = Chain::new(id.to_string());
    if number % 2 == 1 {
        let recipient = RECIPIENT.parse().unwrap();
        header.command = None;
        chain = chain.encrypted([recipient].into(), header);
    }
    chain.exits(Some(3));
    for chunk in 0..chunks {
        let last = chunk + 1 == chunks;
        let object = chain.seal(&std::mem::take(&mut text), Duration::ZERO, last);
        let name = name::chunk(NAMESPACE, &id, chunk);
        store.put(&name, object.unwrap(), 0).await.unwrap();
    }
    id
}

async fn indexed(store: &Store, day: Date) -> Vec<Id> {
    let mut ids = Vec::new();
    let each = |file: &str| ids.extend(Indexed::parse(file).map(|indexed| indexed.id));
    let folder = name::index(day, NAMESPACE);
    store.files(&folder, &[], each).await.unwrap();
    ids.sort();
    ids
}

#[tokio::test]
async fn all_recordings_are_reached_whatever_the_index_has_and_whatever_is_unreadable() {
    let dir = tempfile::tempdir().unwrap();
    let config = StoreConfig {
        url: format!("file://{}", dir.path().display()),
        options: BTreeMap::new(),
    };
    let store = Store::open(&config, 0).unwrap();
    let mut ids = Vec::new();
    for number in 0..11 {
        ids.push(record(&store, number, 1 + number % 3).await);
    }
    let day = ids[0].day();
    // The first ones are in the index, and cannot be read any more: they are not looked at.
    let unreadable = async |number: usize| {
        let name = name::chunk(NAMESPACE, &ids[number], 0);
        store.put(&name, Bytes::from_static(b"x"), 0).await.unwrap();
    };
    let all = rebuild(&store, day, NAMESPACE, 4).await.unwrap();
    assert_eq!((all.made, all.unreadable), (11, 0));
    let index = dir.path().join(name::index(day, NAMESPACE));
    for entry in std::fs::read_dir(index).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap();
        let lost = |id: &Id| file.starts_with(id.as_str());
        if ids[4..].iter().any(lost) {
            std::fs::remove_file(path).unwrap();
        }
    }
    for number in [0, 1, 5] {
        unreadable(number).await;
    }
    let rebuilt = rebuild(&store, day, NAMESPACE, 2).await.unwrap();
    assert_eq!((rebuilt.made, rebuilt.unreadable), (6, 1));
    ids.remove(5);
    assert_eq!(indexed(&store, day).await, ids);
}
