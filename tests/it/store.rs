//! The store behind the stand-ins has revisions like etcd's: the same tests run on both.

mod contract;
mod etcd;
mod stand_in;

use contract::{Store, Unreadable};

macro_rules! on_both {
    ($($body:ident),+ $(,)?) => {
        mod on_the_stand_in {
            $(
                #[tokio::test]
                async fn $body() {
                    use super::Store;
                    super::$body(super::stand_in::StandIn::start().await).await;
                }
            )+
        }

        mod on_etcd {
            $(
                #[tokio::test]
                async fn $body() {
                    use super::Store;
                    super::$body(super::etcd::Real::start().await).await;
                }
            )+
        }
    };
}

on_both!(
    each_change_has_a_revision,
    every_revision_can_be_read,
    keys_are_in_order_of_their_bytes,
    what_is_compacted_is_gone,
);

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

async fn each_change_has_a_revision(store: impl Store) {
    let start = store.revision().await;
    store.put("a/x", "1").await;
    store.put("a/y", "1").await;
    store.put("a/x", "2").await;
    store.delete("a/y").await;
    // Nothing is changed by this.
    store.delete("a/y").await;
    store.put("a/y", "3").await;
    assert_eq!(store.revision().await, start + 5);
    let change = |what, key: &str, after| (what, key.to_owned(), start + after);
    let expected = [
        change("added", "a/x", 1),
        change("added", "a/y", 2),
        change("modified", "a/x", 3),
        change("deleted", "a/y", 4),
        change("added", "a/y", 5),
    ];
    assert_eq!(store.after(start, 5).await.unwrap(), expected);
    assert_eq!(store.after(start + 2, 3).await.unwrap(), expected[2..]);
}

async fn every_revision_can_be_read(store: impl Store) {
    store.put("a/x", "1").await;
    let start = store.revision().await;
    store.put("a/y", "1").await;
    store.put("a/x", "2").await;
    store.delete("a/x").await;
    let expected = [
        pairs(&[("a/x", "1")]),
        pairs(&[("a/x", "1"), ("a/y", "1")]),
        pairs(&[("a/x", "2"), ("a/y", "1")]),
        pairs(&[("a/y", "1")]),
    ];
    for (revision, expected) in (start..).zip(expected) {
        assert_eq!(store.at(revision).await.unwrap(), expected);
    }
    assert_eq!(store.at(start + 4).await, Err(Unreadable::Future));
}

async fn keys_are_in_order_of_their_bytes(store: impl Store) {
    for key in ["prod/b", "prod-2/c", "default/z", "prod/a"] {
        store.put(key, "1").await;
    }
    let all = store.at(store.revision().await).await.unwrap();
    let keys: Vec<_> = all.iter().map(|(key, _)| key.as_str()).collect();
    // "-" comes before "/".
    assert_eq!(keys, ["default/z", "prod-2/c", "prod/a", "prod/b"]);
}

async fn what_is_compacted_is_gone(store: impl Store) {
    store.put("a/x", "1").await;
    let before = store.revision().await;
    store.put("a/x", "2").await;
    store.compact().await;
    let now = store.revision().await;
    assert_eq!(now, before + 2);
    assert_eq!(store.at(before).await, Err(Unreadable::Compacted));
    assert_eq!(store.after(before, 1).await, Err(Unreadable::Compacted));
    assert_eq!(store.at(now).await.unwrap(), pairs(&[("a/x", "2")]));
    store.put("a/x", "3").await;
    let expected = [("modified", "a/x".to_owned(), now + 1)];
    assert_eq!(store.after(now, 1).await.unwrap(), expected);
}
