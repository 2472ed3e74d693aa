//! The `recordings` of the configuration: which sessions are recorded, and where. Without it none is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use podgate_identity::kubernetes::KeySource;
use podgate_process::config::Invalid;
use podgate_recording as recording;
use serde::Deserialize;

use super::rules::{Selectors, SelectorsFile};

/// Checked. Each field is explained in `frontdoor.example.yaml`.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "frontdoor.example.yaml has them")]
pub struct Recordings {
    pub recorder: recording::Config,
    pub strict: Duration,
    pub break_glass: Vec<String>,
    pub rules: Vec<RecordingRule>,
    pub page: Option<Page>,
}

/// The page of recordings, to which `link` leads.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[allow(missing_docs, reason = "frontdoor.example.yaml has them")]
pub struct Page {
    pub url: String,
    pub key: KeySource,
}

/// One rule. The first that fits a session decides.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "frontdoor.example.yaml has them")]
pub struct RecordingRule {
    pub keep: Keep,
    pub users: Option<Vec<String>>,
    pub selectors: Selectors,
    pub settings: recording::Settings,
}

/// What becomes of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Keep {
    /// It is not recorded.
    Off,
    /// It is recorded as far as that is possible.
    BestEffort,
    /// It does not run unless it can be recorded.
    Strict,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct File {
    store: String,
    #[serde(default)]
    options: BTreeMap<String, String>,
    #[serde(default = "default_spool")]
    spool_bytes: u32,
    #[serde(default = "default_spool_per_session")]
    spool_bytes_per_session: u32,
    spool_folder: Option<PathBuf>,
    #[serde(default = "default_folder")]
    spool_folder_bytes: u64,
    #[serde(default = "default_strict")]
    strict_seconds: u32,
    #[serde(default)]
    break_glass: Vec<String>,
    rules: Vec<RuleFile>,
    encryption: Option<EncryptionFile>,
    page: Option<Page>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct EncryptionFile {
    recipients: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RuleFile {
    record: Keep,
    users: Option<Vec<String>>,
    r#where: Option<SelectorsFile>,
    #[serde(default)]
    input: bool,
    #[serde(default = "default_max")]
    max_bytes: u64,
}

fn default_spool() -> u32 {
    64 * 1024 * 1024
}

fn default_spool_per_session() -> u32 {
    4 * 1024 * 1024
}

fn default_folder() -> u64 {
    1024 * 1024 * 1024
}

/// Room for some chunks that are full.
const LEAST_FOLDER: u64 = 16 * 1024 * 1024;

/// Each chunk has some 130 bytes for each of them.
const MOST_RECIPIENTS: usize = 16;
/// Room for a chunk that is full, and for the next.
const LEAST_SPOOL: u64 = 2 * 1024 * 1024;

fn default_strict() -> u32 {
    60
}

fn default_max() -> u64 {
    16 * 1024 * 1024
}

impl File {
    pub(super) fn check(self) -> Result<Recordings, Invalid> {
        let known = ["file:///", "s3://", "gs://", "az://"];
        if !known.iter().any(|begin| self.store.starts_with(begin)) {
            let reason = "must begin with file:///, s3://, gs:// or az://";
            return Err(Invalid::new("recordings.store", reason));
        }
        let (all, each) = (self.spool_bytes, self.spool_bytes_per_session);
        for (key, bytes, least) in [
            ("recordings.spoolBytes", all.into(), LEAST_SPOOL),
            ("recordings.spoolBytesPerSession", each.into(), LEAST_SPOOL),
            (
                "recordings.spoolFolderBytes",
                self.spool_folder_bytes,
                LEAST_FOLDER,
            ),
        ] {
            if bytes < least {
                return Err(Invalid::new(key, format!("must be at least {least}")));
            }
        }
        if self.strict_seconds == 0 {
            return Err(Invalid::new(
                "recordings.strictSeconds",
                "must be at least 1",
            ));
        }
        if let Some(page) = &self.page
            && (!page.url.starts_with("https://") || page.url.ends_with('/'))
        {
            let reason = "must be https://HOST, without a slash at its end";
            return Err(Invalid::new("recordings.page.url", reason));
        }
        let recipients = self.encryption.map(EncryptionFile::check).transpose();
        let recipients = recipients
            .map_err(|reason| Invalid::new("recordings.encryption.recipients", reason))?;
        let numbered = self.rules.into_iter().enumerate();
        let rules = numbered.map(|(at, rule)| {
            let rule = rule.check();
            rule.map_err(|reason| {
                Invalid::new("recordings.rules", format!("the {}. {reason}", at + 1))
            })
        });
        let size = |bytes: u32| usize::try_from(bytes).unwrap_or(usize::MAX);
        Ok(Recordings {
            rules: rules.collect::<Result<_, _>>()?,
            recorder: recording::Config {
                store: recording::StoreConfig {
                    url: self.store,
                    options: self.options,
                },
                spool_bytes: size(self.spool_bytes),
                spool_bytes_per_session: size(self.spool_bytes_per_session),
                folder: self.spool_folder.map(|path| recording::FolderConfig {
                    path,
                    bytes: self.spool_folder_bytes,
                }),
                recipients: recipients.unwrap_or_default(),
            },
            strict: Duration::from_secs(u64::from(self.strict_seconds)),
            break_glass: self.break_glass,
            page: self.page,
        })
    }
}

impl EncryptionFile {
    fn check(self) -> Result<Vec<recording::Recipient>, String> {
        let count = self.recipients.len();
        if !(1..=MOST_RECIPIENTS).contains(&count) {
            return Err(format!("must have from 1 to {MOST_RECIPIENTS} keys"));
        }
        let numbered = self.recipients.iter().enumerate();
        let read = numbered.map(|(at, text)| {
            let recipient = text.parse::<recording::Recipient>();
            recipient.map_err(|error| format!("the {}. {error}", at + 1))
        });
        read.collect()
    }
}

impl RuleFile {
    fn check(self) -> Result<RecordingRule, String> {
        if self.users.as_ref().is_some_and(Vec::is_empty) {
            return Err("has an empty list users, which would match nothing".to_owned());
        }
        let selectors = self.r#where.map(SelectorsFile::check).transpose()?;
        Ok(RecordingRule {
            keep: self.record,
            users: self.users,
            selectors: selectors.unwrap_or_default(),
            settings: recording::Settings {
                most: self.max_bytes,
                input: self.input,
                waits: self.record == Keep::Strict,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<Recordings, String> {
        let file: File = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
        file.check().map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn the_example_is_one() {
        let example = include_str!("../../frontdoor.example.yaml");
        let (_, rest) = example.split_once("# recordings:\n").unwrap();
        let lines = rest.lines().take_while(|line| line.starts_with("#   "));
        let yaml: String = lines.map(|line| format!("{}\n", &line[1..])).collect();
        let recordings = read(&yaml).unwrap();
        let keeps: Vec<_> = recordings.rules.iter().map(|rule| rule.keep).collect();
        assert_eq!(keeps, [Keep::Off, Keep::Strict, Keep::BestEffort]);
        assert_eq!(recordings.recorder.spool_bytes, default_spool() as usize);
        let each = recordings.recorder.spool_bytes_per_session;
        assert_eq!(each, default_spool_per_session() as usize);
        let folder = recordings.recorder.folder.unwrap();
        assert_eq!(folder.bytes, default_folder());
        assert_eq!(recordings.strict.as_secs(), u64::from(default_strict()));
        assert_eq!(recordings.rules[2].settings.most, default_max());
        assert_eq!(recordings.recorder.recipients.len(), 1);
        assert!(recordings.page.unwrap().key.is_secret());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let error = |yaml: &str, expect: &str| {
            let error = read(yaml).err().unwrap_or_default();
            assert!(error.contains(expect), "{yaml:?} gave {error:?}");
        };
        error("{rules: []}", "store");
        error(
            "{store: /folder, rules: []}",
            "recordings.store: must begin",
        );
        error(
            "{store: 's3://b', spoolBytes: 1, rules: []}",
            "recordings.spoolBytes: must be",
        );
        error(
            "{store: 's3://b', spoolFolderBytes: 1, rules: []}",
            "recordings.spoolFolderBytes: must be",
        );
        error(
            "{store: 's3://b', strictSeconds: 0, rules: []}",
            "at least 1",
        );
        error("{store: 's3://b', rules: [{record: always}]}", "always");
        error(
            "{store: 's3://b', rules: [{record: off, users: []}]}",
            "the 1. has an empty list",
        );
        let recipients = |recipients: &str, expect: &str| {
            let expect = format!("recordings.encryption.recipients: {expect}");
            let encryption = format!("encryption: {{recipients: [{recipients}]}}");
            error(
                &format!("{{store: 's3://b', rules: [], {encryption}}}"),
                &expect,
            );
        };
        let good = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
        recipients("", "must have from 1 to 16");
        recipients(&vec![good; 17].join(", "), "must have from 1 to 16");
        recipients(
            &format!("{good}, {}", good.replace('q', "p")),
            "the 2. is no public key",
        );
        recipients("AGE-SECRET-KEY-1QQQ", "the 1. is a secret key");
    }
}
