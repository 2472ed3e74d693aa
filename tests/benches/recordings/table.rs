//! The table and its cells.

use podgate_tests::instruments::bench::verdict;

/// A line of the table.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) off: String,
    pub(crate) recorded: String,
    pub(crate) ratio: String,
    pub(crate) target: String,
    pub(crate) verdict: String,
}

impl Row {
    /// Notes whether the target is met.
    pub(crate) fn judge(mut self, met: bool) -> Self {
        self.verdict = verdict(met).to_owned();
        self
    }
}

/// In Markdown, for docs/performance.md.
pub(crate) fn head() {
    println!("| | not recorded | recorded | ratio | target | |");
    println!("|---|---|---|---|---|---|");
}

pub(crate) fn print(row: &Row) {
    let Row {
        what,
        off,
        recorded,
        ratio,
        target,
        verdict,
    } = row;
    println!("| {what} | {off} | {recorded} | {ratio} | {target} | {verdict} |");
}
