//! A real etcd, by its JSON gateway (etcd, `api/etcdserverpb/rpc.proto`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use podgate_tests::real::etcd::Etcd;
use serde_json::{Value, json};

use super::contract::{Change, Store, Unreadable};

/// Before every key, so that one range has them all.
const PREFIX: &str = "pods/";
const PREFIX_END: &str = "pods0";

pub(super) struct Real(Etcd);

/// Bytes, as JSON has them in protobuf's mapping.
fn bytes(text: &str) -> String {
    STANDARD.encode(text)
}

fn text(value: &Value) -> String {
    let bytes = STANDARD.decode(value.as_str().unwrap()).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn key(pair: &Value) -> String {
    text(&pair["key"]).strip_prefix(PREFIX).unwrap().to_owned()
}

/// A number of 64 bits, which is a string in that mapping.
fn number(value: &Value) -> u64 {
    value.as_str().unwrap().parse().unwrap()
}

fn change(event: &Value) -> Change {
    let pair = &event["kv"];
    let what = match event["type"].as_str() {
        Some("DELETE") => "deleted",
        // The first kind is left out.
        None if pair["create_revision"] == pair["mod_revision"] => "added",
        None => "modified",
        Some(other) => panic!("{other}"),
    };
    (what, key(pair), number(&pair["mod_revision"]))
}

/// Why nothing was done. Some builds of etcd say it in `error` and `message`, others in `message` alone
/// (grpc-gateway, versions 1 and 2).
fn refusal(answer: &Value) -> Option<&str> {
    let error = answer.get("error").or_else(|| answer.get("message"));
    error?.as_str()
}

impl Real {
    async fn call(&self, method: &str, message: Value) -> Value {
        let answer = self.0.call(method, &message).await.unwrap();
        assert_eq!(refusal(&answer), None);
        answer
    }
}

impl Store for Real {
    async fn start() -> Self {
        Self(Etcd::start().await.unwrap())
    }

    async fn put(&self, key: &str, value: &str) {
        let key = bytes(&format!("{PREFIX}{key}"));
        self.call("kv/put", json!({"key": key, "value": bytes(value)}))
            .await;
    }

    async fn delete(&self, key: &str) {
        let key = bytes(&format!("{PREFIX}{key}"));
        self.call("kv/deleterange", json!({"key": key})).await;
    }

    async fn revision(&self) -> u64 {
        let answer = self.call("kv/range", json!({"key": bytes("none")})).await;
        number(&answer["header"]["revision"])
    }

    async fn at(&self, revision: u64) -> Result<Vec<(String, String)>, Unreadable> {
        let range = json!({
            "key": bytes(PREFIX), "range_end": bytes(PREFIX_END), "revision": revision.to_string(),
        });
        let answer = self.0.call("kv/range", &range).await.unwrap();
        match refusal(&answer) {
            None => {}
            Some(error) if error.ends_with("has been compacted") => {
                return Err(Unreadable::Compacted);
            }
            Some(error) if error.ends_with("is a future revision") => {
                return Err(Unreadable::Future);
            }
            Some(error) => panic!("{error}"),
        }
        let pairs = answer["kvs"].as_array().into_iter().flatten();
        Ok(pairs
            .map(|pair| (key(pair), text(&pair["value"])))
            .collect())
    }

    async fn after(&self, revision: u64, count: usize) -> Result<Vec<Change>, Unreadable> {
        let create = json!({"create_request": {
            "key": bytes(PREFIX), "range_end": bytes(PREFIX_END),
            "start_revision": (revision + 1).to_string(),
        }});
        let mut watch = self.0.watch(&create).await.unwrap();
        let mut changes = Vec::new();
        while changes.len() < count {
            let message = watch.next().await.unwrap();
            let result = &message["result"];
            if result.get("compact_revision").is_some() {
                return Err(Unreadable::Compacted);
            }
            let events = result["events"].as_array().into_iter().flatten();
            changes.extend(events.map(change));
        }
        Ok(changes)
    }

    /// As kube-apiserver does (apiserver, `pkg/storage/etcd3/compact.go`): it writes down what it will
    /// compact, which is a revision too.
    async fn compact(&self) {
        let mark = json!({"key": bytes("compact_rev_key"), "value": bytes("1")});
        self.call("kv/put", mark).await;
        let revision = self.revision().await.to_string();
        self.call("kv/compaction", json!({"revision": revision}))
            .await;
    }
}
