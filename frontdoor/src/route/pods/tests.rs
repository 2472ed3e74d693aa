//! How the watch's events change the table.

use serde_json::json;

use super::*;

fn seen(namespace: &str, name: &str, uid: &str) -> PodObject {
    let pod = json!({
        "metadata": {"namespace": namespace, "name": name, "uid": uid, "labels": {"app": name}},
        "spec": {"containers": [{"name": "main"}]},
    });
    serde_json::from_value(pod).unwrap()
}

/// What is known, as `namespace/name=uid`.
fn known(pods: &Pods) -> Vec<String> {
    let namespaces = pods.namespaces().unwrap_or_default();
    let of = |namespace: String| {
        let records = pods.of(&namespace).into_iter();
        records.map(move |pod| format!("{namespace}/{}={}", pod.name, pod.uid))
    };
    namespaces.into_iter().flat_map(of).collect()
}

#[test]
fn what_is_known_is_what_the_list_and_the_watch_say() {
    let (pods, mut follower) = (Pods::default(), Follower::new(ClusterBounds::default()));
    let mut take = |event| pods.take(event, &mut follower);
    take(Event::Init);
    assert_eq!(take(Event::InitApply(seen("a", "x", "1"))), 1);
    // A known pod is served already, but it is not known yet which pods do not exist.
    assert!(pods.find("a", "x").is_some() && pods.namespaces().is_none());
    let any = Selector::All(Vec::new());
    assert!(pods.select("a", &any).is_none());
    take(Event::InitApply(seen("b", "x", "2")));
    take(Event::InitDone);
    assert_eq!(known(&pods), ["a/x=1", "b/x=2"]);
    assert_eq!(take(Event::Apply(seen("a", "y", "3"))), 3);
    assert_eq!(take(Event::Apply(seen("a", "x", "4"))), 3);
    assert_eq!(take(Event::Delete(seen("b", "x", "2"))), 2);
    assert_eq!(take(Event::Delete(seen("b", "x", "2"))), 2);
    assert_eq!(known(&pods), ["a/x=4", "a/y=3"]);
    let app = |app: &str| Selector::of_labels(&[("app".to_owned(), app.to_owned())].into());
    assert_eq!(pods.select("a", &app("y")).unwrap().len(), 1);
    assert_eq!(pods.select("a", &app("z")).unwrap().len(), 0);
    assert_eq!(pods.select("none", &any).unwrap().len(), 0);
}

#[test]
fn a_list_is_put_over_what_is_known() {
    let (pods, mut follower) = (Pods::default(), Follower::new(ClusterBounds::default()));
    let mut take = |event| pods.take(event, &mut follower);
    for event in [
        Event::Init,
        Event::InitApply(seen("a", "stays", "1")),
        Event::InitApply(seen("a", "goes", "2")),
        Event::InitDone,
        Event::Apply(seen("b", "goes", "3")),
        // Two lists: one is broken off, the other is complete.
        Event::Init,
        Event::InitApply(seen("a", "half", "4")),
        Event::Init,
        Event::InitApply(seen("a", "stays", "1")),
        Event::InitApply(seen("c", "new", "5")),
    ] {
        take(event);
    }
    let all = ["a/goes=2", "a/half=4", "a/stays=1", "b/goes=3", "c/new=5"];
    assert_eq!(known(&pods), all);
    assert_eq!(take(Event::InitDone), 2);
    assert_eq!(known(&pods), ["a/stays=1", "c/new=5"]);
}
