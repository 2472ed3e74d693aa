//! Checks the README and docs/: links lead somewhere, and docs/metrics.md lists every metric.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use podgate_tests::fixtures::stand::enrolled::Config;
use podgate_tests::fixtures::stand::{Changes, Stand};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All pages, with their text.
fn pages() -> Vec<(PathBuf, String)> {
    let top = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(|name| root().join(name));
    let docs = std::fs::read_dir(root().join("docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|kind| kind == "md"));
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path, text)
    };
    top.into_iter().chain(docs).map(read).collect()
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut links = 0;
    for (page, text) in pages() {
        for rest in text.split("](").skip(1) {
            let link = rest.split(')').next().unwrap();
            if link.starts_with("https://") {
                continue;
            }
            links += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let to = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            assert!(to.exists(), "{}: {link}", page.display());
            if !anchor.is_empty() {
                let text = std::fs::read_to_string(&to).unwrap();
                let found = anchors(&text).contains(anchor);
                assert!(found, "{}: {link}", page.display());
            }
        }
    }
    assert!(links > 20, "{links}");
}

#[test]
fn every_fuzz_target_is_on_the_page_of_security() {
    let page = std::fs::read_to_string(root().join("docs/security.md")).unwrap();
    let targets = std::fs::read_dir(root().join("tests/fuzz/fuzz_targets")).unwrap();
    let names = targets.map(|target| target.unwrap().path());
    let names = names.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned());
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| "))
        .collect::<String>();
    let (listed, unlisted): (Vec<_>, Vec<_>) =
        names.partition(|name| rows.contains(&format!("`{name}`")));
    assert!(unlisted.is_empty(), "docs/security.md lacks {unlisted:?}");
    assert!(listed.len() > 20, "{listed:?}");
}

/// The names of metrics as samples have them, from the lines with their types.
fn served(metrics: &str) -> impl Iterator<Item = String> {
    let types = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    types.map(|line| match line.split_once(' ').unwrap() {
        (name, "counter") => format!("{name}_total"),
        (name, _) => name.to_owned(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_that_is_served_is_on_the_page() {
    let page = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let listed: BTreeSet<_> = rows
        .map(|row| row.split(['`', '{']).next().unwrap().to_owned())
        .collect();

    let changes = Changes {
        enrolled: Some(Config::default()),
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    // Counters with labels are served only once something was counted.
    stand.client.run(&[], "demo", "true").await.unwrap();
    let ended = ["podgate_frontdoor_sessions_total{action=\"exec\",outcome=\"exited\"} 1"];
    let within = Duration::from_secs(10);
    stand.frontdoor.counts(within, &ended).await.unwrap();
    let mut all = BTreeSet::new();
    for part in [
        &stand.frontdoor,
        &stand.agent,
        stand.signer.as_ref().unwrap(),
    ] {
        let (_, metrics) = part.admin("/metrics").await.unwrap();
        all.extend(served(&metrics));
    }
    assert!(all.len() > 20, "{all:?}");
    let unlisted: Vec<_> = all.difference(&listed).collect();
    assert!(unlisted.is_empty(), "docs/metrics.md lacks {unlisted:?}");
}
