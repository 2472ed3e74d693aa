//! Logs: text or JSON on stderr, filtered by RUST_LOG or the config's level.

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

/// russh warns of what clients send, in their words.
const DEFAULT: &str = "info,russh=error";

/// An answer that it cannot read kube logs as a whole: a review's holds a token, a Secret's keys.
const SECRETS: &str = "kube_client::client=off";

/// How to log.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The form of a line.
    pub format: Format,
    /// A level, or a filter as RUST_LOG takes it; `info` where absent. RUST_LOG goes before it.
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
    /// The filter, if it is one.
    pub fn filter(&self) -> Result<EnvFilter, String> {
        let level = self.level.as_deref().unwrap_or(DEFAULT);
        EnvFilter::try_new(level).map_err(|error| format!("log.level {level:?}: {error}"))
    }
}

/// Logs from now on, once in a process.
pub fn start(config: &Config) -> Result<(), String> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(filter) => {
            EnvFilter::try_new(&filter).map_err(|e| format!("RUST_LOG {filter:?}: {e}"))?
        }
        Err(_) => config.filter()?,
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
