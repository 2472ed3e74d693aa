//! What an hour of a busy shell takes in the store: a listing of 40 lines each second, recorded for a while
//! in its own time.

use std::time::Duration;

use anyhow::Result;
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::instruments::program::Output;

use crate::sites::Sites;
use crate::table::Row;

/// For what sessions have left, which may be killed first.
const STORED: Duration = Duration::from_secs(60);
const HOUR: f64 = 3600.0;
const MIB: f64 = (1u64 << 20) as f64;

pub(crate) async fn row(sites: &Sites, busy: Duration) -> Result<Row> {
    let site = &sites.0[1];
    let stored = || async {
        let (_, metrics) = site.stand.frontdoor.admin("/metrics").await.ok()?;
        let active = "podgate_frontdoor_recordings_active 0";
        metrics.lines().any(|line| line == active).then_some(())
    };
    eventually("all to be stored", STORED, stored).await?;
    let before = site.stored()?;
    let connection = site.login.connect().await?;
    let seconds = busy.as_secs();
    let command = format!(
        "n=0; while [ $n -lt {seconds} ]; do ls -l --full-time /usr/bin | tail -n +$((n % 10 * 40 + 1)) | head -40; sleep 1; n=$((n+1)); done"
    );
    let mut session = connection.terminal(Some(&command)).await?;
    let mut said = 0;
    while let Some(some) = session.output.next().await? {
        said += some.len();
    }
    connection.close().await;
    eventually("all to be stored", STORED, stored).await?;
    let share = HOUR / busy.as_secs_f64() / MIB;
    let kept = (site.stored()? - before) as f64 * share;
    Ok(Row {
        what: "an hour of a busy shell".to_owned(),
        off: format!("{:.1} MiB said", said as f64 * share),
        recorded: format!("{kept:.1} MiB stored"),
        ratio: format!("{:.2} ×", kept / (said as f64 * share)),
        ..Row::default()
    })
}
