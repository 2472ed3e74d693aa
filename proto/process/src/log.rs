//! The log: text or JSON on standard error, filtered by RUST_LOG or by the configuration's level.

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

/// kube's client logs an answer that it cannot read as a whole. An answer may hold a token or a
/// Secret's keys, so no filter lets this through.
const SECRETS: &str = "kube_client::client=off";

/// How to log.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The form of a line.
    pub format: Format,
    /// A level, or a filter as RUST_LOG takes it. RUST_LOG goes before it; without both the program's
    /// own default holds.
    pub level: Option<String>,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Checks that the level is a filter.
    pub fn check(&self) -> Result<(), String> {
        self.level.as_deref().map_or(Ok(()), |level| {
            let filter = EnvFilter::try_new(level);
            let filter = filter.map_err(|error| format!("log.level {level:?}: {error}"));
            filter.map(drop)
        })
    }
}

/// Starts the log. A process calls it once. `default` is the filter that holds where nothing is configured.
pub fn start(config: &Config, default: &str) -> Result<(), String> {
    config.check()?;
    let environment = std::env::var("RUST_LOG").ok();
    let filter = match &environment {
        Some(filter) => {
            EnvFilter::try_new(filter).map_err(|e| format!("RUST_LOG {filter:?}: {e}"))?
        }
        None => EnvFilter::new(config.level.as_deref().unwrap_or(default)),
    };
    let filter = match SECRETS.parse() {
        Ok(secrets) => filter.add_directive(secrets),
        Err(_) => filter,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = match config.format {
        Format::Text => builder.try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| format!("logs: {error}"))
}
