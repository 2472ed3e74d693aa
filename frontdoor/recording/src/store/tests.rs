//! Lists of a store that sorts, as those of clouds do.

use object_store::memory::InMemory;

use super::*;
use crate::name::hours;

/// Beyond a page, and in most of a day's hours.
const MANY: usize = 5000;

#[tokio::test]
async fn a_long_folder_is_listed_in_parts_that_leave_nothing_out() {
    let store = Store {
        objects: Arc::new(InMemory::new()),
        prefix: "prefix".to_owned(),
        folder: None,
    };
    let day: jiff::civil::Date = "2026-11-26".parse().unwrap();
    let file = |number: usize| {
        let second = number * 17;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        format!("20261126T{hour:02}{minute:02}{second:02}Z-{number:032x}_web_ada.json")
    };
    for number in 0..MANY {
        let name = format!("index/{day}/prod/{}", file(number));
        store.put(&name, Bytes::new(), 0).await.unwrap();
    }
    let list = async |cuts: &[String]| {
        let mut names = Vec::new();
        let each = |name: &str| names.push(name.to_owned());
        let folder = format!("index/{day}/prod");
        store.files(&folder, cuts, each).await.unwrap();
        names.sort();
        names
    };
    let all: Vec<_> = (0..MANY).map(file).collect();
    assert_eq!(list(&[]).await, all);
    assert_eq!(list(&hours(day)).await, all);
    let days = store.folders("index").await.unwrap();
    assert_eq!(days, [day.to_string()]);
    let mut later = Vec::new();
    let each = |folder: &str, file: &str| later.push((folder.to_owned(), file.to_owned()));
    store.tree("index", Some("2026-11-27"), each).await.unwrap();
    assert_eq!(later, []);
    let each = |folder: &str, file: &str| later.push((folder.to_owned(), file.to_owned()));
    store.tree("index", Some("2026-11-26"), each).await.unwrap();
    assert!(later.len() == MANY && later.iter().all(|(folder, _)| folder == "prod"));
}
