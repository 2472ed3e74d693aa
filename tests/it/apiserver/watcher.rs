//! kube's watcher holds the pods of the stand-in, through changes that it has missed.

use std::collections::BTreeSet;

use futures_util::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube_runtime::watcher::{self, Config, Error, Event, watcher};

use super::both::against_both;
use super::server::Server;
use super::stand::{Stand, small};

#[derive(Default)]
struct Seen {
    pods: BTreeSet<String>,
    inits: usize,
    gone: usize,
}

impl Seen {
    /// Follows until the watcher holds these pods, a list being over.
    async fn until(
        &mut self,
        watch: &mut (impl Stream<Item = watcher::Result<Event<Pod>>> + Unpin),
        pods: &[&str],
    ) {
        let name = |pod: Pod| pod.metadata.name.unwrap();
        let mut listing = false;
        while listing || !self.pods.iter().eq(pods) {
            match watch.next().await.unwrap() {
                Ok(Event::Init) => {
                    listing = true;
                    self.inits += 1;
                    self.pods.clear();
                }
                Ok(Event::InitDone) => listing = false,
                Ok(Event::InitApply(pod) | Event::Apply(pod)) => {
                    self.pods.insert(name(pod));
                }
                Ok(Event::Delete(pod)) => {
                    self.pods.remove(&name(pod));
                }
                Err(Error::WatchError(status)) if status.code == 410 => self.gone += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

against_both!(a_watcher_holds_what_is_there);

async fn a_watcher_holds_what_is_there(server: impl Server) {
    for name in ["a", "b", "c"] {
        server.add(small("default", name, "node-a")).await;
    }
    let ways = [
        Config::default().page_size(2),
        Config::default().any_semantic(),
        Config::default().streaming_lists(),
    ];
    for way in ways {
        let mut watch = watcher(server.pods().await, way).boxed();
        let mut seen = Seen::default();
        seen.until(&mut watch, &["a", "b", "c", "web"]).await;
        server.remove("default", "b").await;
        seen.until(&mut watch, &["a", "c", "web"]).await;
        server.add(small("default", "b", "node-a")).await;
        seen.until(&mut watch, &["a", "b", "c", "web"]).await;
        assert_eq!((seen.inits, seen.gone), (1, 0));
    }
}

async fn holds_through_what_it_missed(config: Config) {
    let stand = Stand::new().await;
    for name in ["a", "b", "c"] {
        stand.cluster.add(small("default", name, "node-a"));
    }
    let mut watch = watcher(stand.pods().await, config).boxed();
    let mut seen = Seen::default();
    seen.until(&mut watch, &["a", "b", "c", "web"]).await;
    stand.cluster.remove("default", "b");
    seen.until(&mut watch, &["a", "c", "web"]).await;

    // After the end of a watch, the next one begins where it ended.
    stand.api.end_watches();
    stand.cluster.add(small("default", "d", "node-a"));
    seen.until(&mut watch, &["a", "c", "d", "web"]).await;
    assert_eq!((seen.inits, seen.gone), (1, 0));

    // If changes are missed and forgotten, it lists again.
    stand.cluster.remove("default", "a");
    stand.cluster.add(small("default", "e", "node-a"));
    stand.cluster.compact();
    stand.api.end_watches();
    seen.until(&mut watch, &["c", "d", "e", "web"]).await;
    assert_eq!((seen.inits, seen.gone), (2, 1));
    stand.cluster.remove("default", "c");
    seen.until(&mut watch, &["d", "e", "web"]).await;
    assert_eq!(stand.api.requests("get", "pods"), 0);
}

#[tokio::test]
async fn a_watcher_that_lists_in_pages() {
    holds_through_what_it_missed(Config::default().page_size(2)).await;
}

#[tokio::test]
async fn a_watcher_that_lists_from_the_cache() {
    holds_through_what_it_missed(Config::default().any_semantic()).await;
}

#[tokio::test]
async fn a_watcher_of_streaming_lists() {
    holds_through_what_it_missed(Config::default().streaming_lists()).await;
}
