//! What a large cluster costs a frontdoor: 150,000 pods on 5,000 nodes, of which 500 change each
//! second. The API server's stand-in shares the machine's cores. Prints a table, asserts nothing.
//! `cargo bench -p podgate-tests --bench cluster`

mod listed;
mod lookups;
mod pods;
mod table;
mod watched;

use std::process::ExitCode;

use anyhow::Result;
use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::instruments::bench;
use rustix::process::Signal;

fn main() -> ExitCode {
    bench::run("cluster", || bench::block_on(measure()))
}

async fn measure() -> Result<()> {
    let changes = Changes {
        level: Some("info,russh=error"),
        ..Changes::default()
    };
    let mut stand = Stand::embedded(changes).await?;
    stand.frontdoor.signal(Signal::KILL)?;
    stand.frontdoor.ended().await?;
    eprintln!("cluster: {} pods …", pods::PODS);
    pods::fill(&stand.cluster);
    let each = serde_json::to_vec(&pods::one(0, 0))?.len();
    let (pods, nodes) = (pods::PODS, pods::NODES);
    table::row(
        &format!("{pods} pods of {each} bytes of JSON on {nodes} nodes"),
        "",
        "target",
    );
    println!("|---|---|---|");
    listed::first(&mut stand).await?;
    lookups::rows(&stand).await?;
    watched::rows(&stand).await?;
    listed::again(&stand).await
}
