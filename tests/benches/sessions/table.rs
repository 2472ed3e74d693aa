//! The table and its cells.

use std::fmt::Write;
use std::time::Duration;

use podgate_tests::instruments::bench::verdict;

/// A line of the table.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) gateway: String,
    pub(crate) kubelet: String,
    pub(crate) sshd: String,
    pub(crate) ratio: String,
    pub(crate) target: String,
    pub(crate) verdict: String,
}

impl Row {
    /// A group that could not be measured.
    pub(crate) fn broken(what: &str, error: &anyhow::Error) -> Self {
        Self {
            what: what.to_owned(),
            // It may have a part's whole log at its end.
            verdict: format!("broken: {:.300}", format!("{error:#}")),
            ..Self::default()
        }
    }

    /// Notes whether the target is met.
    pub(crate) fn judge(mut self, met: bool) -> Self {
        self.verdict = verdict(met).to_owned();
        self
    }

    fn cells(&self) -> [&str; 7] {
        [
            &self.what,
            &self.gateway,
            &self.kubelet,
            &self.sshd,
            &self.ratio,
            &self.target,
            &self.verdict,
        ]
    }
}

/// In Markdown, for docs/performance.md, and wide enough to be read as it is.
pub(crate) fn render(rows: &[Row]) -> String {
    let head = [
        "",
        "gateway",
        "kubelet alone",
        "sshd",
        "ratio",
        "target",
        "",
    ];
    let mut lines = vec![head];
    lines.extend(rows.iter().map(Row::cells));
    let width = |column: usize| {
        let cells = lines.iter().map(|cells| cells[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: [usize; 7] = std::array::from_fn(width);
    let mut text = String::new();
    for (number, cells) in lines.iter().enumerate() {
        for (cell, width) in cells.iter().zip(widths) {
            let _ = write!(text, "| {cell:width$} ");
        }
        text.push_str("|\n");
        if number == 0 {
            for width in widths {
                let _ = write!(text, "|{}", "-".repeat(width + 2));
            }
            text.push_str("|\n");
        }
    }
    text
}

/// How long something took, each time.
#[derive(Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// In milliseconds; 0.5 is the median, 1 the longest.
    pub(crate) fn quantile(&self, q: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (q * sorted.len() as f64).ceil() as usize;
        let time = sorted.get(rank.saturating_sub(1)).copied();
        time.map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Median and p99.
    pub(crate) fn cell(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        format!("{:.2} ms, p99 {:.2}", self.median(), self.quantile(0.99))
    }
}
