//! Recordings for which there is no room.

use super::*;

#[tokio::test]
async fn others_leave_room_for_what_must_be_recorded() {
    let (s3, recorder, _tasks) = started().await;
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
async fn a_recording_for_which_others_leave_no_room_is_impossible() {
    let (s3, recorder, _tasks) = started().await;
    let quiet = tape(&recorder, SETTINGS);
    let stored = s3.has(quiet.id(), "podgate");
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
    let (s3, recorder, _tasks) = started().await;
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
