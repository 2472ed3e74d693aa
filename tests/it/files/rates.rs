//! How fast files go, and what is counted of them.

use std::time::Instant;

use podgate_tests::fixtures::stand::{Changes, Stand};

use super::*;

/// Bytes a second, and of a file that takes three seconds at that rate.
const RATE: usize = 1_000_000;
const SIZE: usize = 3 * RATE;
/// Less than it takes, by what may come at once.
const AT_LEAST: Duration = Duration::from_millis(2500);

#[tokio::test(flavor = "multi_thread")]
async fn files_go_as_fast_as_their_rates_allow() {
    let rates = format!(
        "transferRates: {{download: {{perSession: {RATE}}}, upload: {{perUser: {RATE}}}}}\n"
    );
    let changes = Changes {
        agent: rates,
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    let (local, there) = (Local::new(), Local::new());
    let at = |path: PathBuf| format!("{}:{}", stand.client.address("demo"), path.display());
    let (file, half) = (local.file("file", SIZE), local.file("half", SIZE / 2));
    let half = half.to_str().unwrap();

    // Both of one user.
    let begun = Instant::now();
    let (one, two) = (at(there.path("one")), at(there.path("two")));
    let (one, two) = (["-s", half, &one], ["-O", half, &two]);
    let (one, two) = tokio::join!(scp(&stand, &one), scp(&stand, &two));
    succeeds(&one);
    succeeds(&two);
    assert!(begun.elapsed() >= AT_LEAST, "{:?}", begun.elapsed());

    std::fs::copy(&file, there.path("three")).unwrap();
    let (three, back) = (at(there.path("three")), local.path("back"));
    for mode in ["-s", "-O"] {
        let begun = Instant::now();
        succeeds(&scp(&stand, &[mode, &three, back.to_str().unwrap()]).await);
        assert!(begun.elapsed() >= AT_LEAST, "{:?}", begun.elapsed());
        same(&file, &back);
    }
    let (_, metrics) = stand.agent.admin("/metrics").await.unwrap();
    for direction in ["upload", "download"] {
        let name = format!("podgate_agent_{direction}_wait_seconds_total ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
        let waited: f64 = line.unwrap().parse().unwrap();
        assert!(waited > 1.0, "{direction}: {waited}");
    }
    let (read, write) = (2 * SIZE, SIZE);
    let done = |protocol: &str, direction: &str| {
        let labels = format!("protocol=\"{protocol}\",direction=\"{direction}\"");
        format!("podgate_frontdoor_files_total{{{labels},outcome=\"done\"}} 1")
    };
    let counts = [
        done("sftp", "read"),
        done("sftp", "write"),
        done("scp", "read"),
        done("scp", "write"),
        format!("podgate_frontdoor_file_bytes_total{{direction=\"read\"}} {read}"),
        format!("podgate_frontdoor_file_bytes_total{{direction=\"write\"}} {write}"),
        "podgate_frontdoor_open_files 0".to_owned(),
    ];
    let counts: Vec<&str> = counts.iter().map(String::as_str).collect();
    stand.frontdoor.counts(SOON, &counts).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_file_is_counted() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let local = Local::new();
    let file = local.file("file", 10_000_000);
    let at = format!("{}:{}", stand.client.address("demo"), file.display());
    // It takes minutes, and is ended before.
    let mut scp = stand.client.tool("scp");
    let back = local.path("back");
    let scp = scp.args(["-s", "-l", "500", &at]).arg(back);
    let mut scp = scp.spawn().unwrap();
    let counted = async |count: &str| {
        let counts = [count];
        stand.frontdoor.counts(SOON, &counts).await.unwrap();
    };
    counted("podgate_frontdoor_open_files 1").await;
    scp.kill().await.unwrap();
    counted("podgate_frontdoor_open_files 0").await;
    let unfinished = "protocol=\"sftp\",direction=\"read\",outcome=\"unfinished\"";
    counted(&format!("podgate_frontdoor_files_total{{{unfinished}}} 1")).await;
}
