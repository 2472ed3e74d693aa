//! What readers find of recordings that lack something, or began on another day.

use super::*;
use crate::name;
use crate::no_end::NoEnd;

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
    assert_eq!(runs().await, [recorder.shared.frontdoor.as_str()]);
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
