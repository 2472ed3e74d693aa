//! Lists of many recordings. `PODGATE_RECORDINGS=100000` makes so many, and the test prints how long lists take.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::*;
use crate::name::Indexed;
use crate::newest::Query;
use crate::store::{Store, StoreConfig};

/// How many, by default.
const MANY: u64 = 2000;
const NAMESPACES: u64 = 10;
const USERS: u64 = 100;
/// How long a list of 100,000 may take.
const WITHIN: Duration = Duration::from_secs(2);

#[tokio::test]
async fn many_are_listed_by_day_user_and_namespace() {
    let asked = std::env::var("PODGATE_RECORDINGS").ok();
    let measured = asked.is_some();
    let many = asked.map_or(MANY, |many| many.parse().expect("PODGATE_RECORDINGS"));
    let dir = tempfile::tempdir().unwrap();
    let day = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC).date();
    for number in 0..many {
        let begins = Timestamp::from_second(i64::try_from(number % 86_400).unwrap()).unwrap();
        let id = Id::new(begins, &format!("{number:032x}"));
        let user = format!("user-{}", number % USERS);
        let file = Indexed::new(id, &format!("web-{}", number % 1000), &user).file();
        let namespace = format!("n-{}", number / USERS % NAMESPACES);
        let folder = dir.path().join(name::index(day, &namespace));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(file), "{}").unwrap();
    }
    let config = StoreConfig {
        url: format!("file://{}", dir.path().display()),
        options: BTreeMap::new(),
    };
    let store = Store::open(&config, 0).unwrap();
    let library = Library::new(Calls::new(store, Handle::current()));
    let namespaces = library.namespaces(vec![day]).await.unwrap();
    let namespaces: Vec<_> = namespaces.into_iter().collect();
    assert_eq!(namespaces.len() as u64, NAMESPACES);
    let list = async |what: &str, namespaces: Vec<String>, user: Option<&str>, limit| {
        let query = Query {
            user: user.map(str::to_owned),
            pod: None,
            since: None,
            limit,
        };
        let begun = Instant::now();
        let found = library.list(vec![day], namespaces, query).await.unwrap();
        let took = begun.elapsed();
        eprintln!("{many} recordings, {what}: {took:?}");
        assert!(!measured || took <= WITHIN, "{what}: {took:?}");
        assert!(found.is_sorted_by(|newer, older| newer > older));
        found.len() as u64
    };
    let all = || namespaces.clone();
    assert_eq!(list("a day", all(), None, 100).await, 100);
    let of_user = list("a user", all(), Some("user-7"), 10_000).await;
    assert_eq!(of_user, many / USERS);
    let one = list("a namespace", vec!["n-3".into()], None, 10_000).await;
    assert_eq!(one, (many / NAMESPACES).min(10_000));
}

#[tokio::test]
async fn what_still_ran_is_in_the_list_of_a_later_day() {
    let dir = tempfile::tempdir().unwrap();
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    let [early, evening, late] = ["20T08", "20T20", "21T09"]
        .map(|hour| Id::new(time(&format!("2026-11-{hour}:00:00Z")), &"0".repeat(32)));
    let index = |id: &Id, day: Date| {
        let folder = dir.path().join(name::index(day, "prod"));
        fs::create_dir_all(&folder).unwrap();
        let file = Indexed::new(id.clone(), "web-0", "ada").file();
        fs::write(folder.join(file), "{}").unwrap();
    };
    for id in [&early, &evening, &late] {
        index(id, id.day());
    }
    let (first, second) = (early.day(), late.day());
    // It goes on after midnight.
    index(&early, second);
    let config = StoreConfig {
        url: format!("file://{}", dir.path().display()),
        options: BTreeMap::new(),
    };
    let store = Store::open(&config, 0).unwrap();
    let library = Library::new(Calls::new(store, Handle::current()));
    let list = async |since: &str, days: Vec<Date>| {
        let query = Query {
            since: Some(time(since)),
            limit: 10,
            ..Query::default()
        };
        let found = library.list(days, vec!["prod".into()], query).await;
        found
            .unwrap()
            .iter()
            .map(|found| found.id().clone())
            .collect::<Vec<_>>()
    };
    let both = vec![second, first];
    let all = [late.clone(), evening.clone(), early.clone()];
    assert_eq!(list("2026-11-20T00:00:00Z", both.clone()).await, all);
    assert_eq!(
        list("2026-11-20T21:00:00Z", both).await,
        [late.clone(), early.clone()]
    );
    assert_eq!(list("2026-11-21T10:00:00Z", vec![second]).await, [early]);
}
