//! The stands that are compared, each with a frontdoor and an agent of its own.

use std::path::Path;

use anyhow::Result;
use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::instruments::client::Login;
use tempfile::TempDir;

/// A stand, and the folder in which its recordings are.
pub(crate) struct Site {
    pub(crate) stand: Stand,
    pub(crate) login: Login,
    store: TempDir,
}

impl Site {
    /// With these rules for recordings, or without any.
    pub(crate) async fn start(rules: Option<&str>) -> Result<Self> {
        let store = tempfile::tempdir()?;
        let recordings = |rules: &str| {
            let url = format!("file://{}", store.path().display());
            format!("recordings: {{store: '{url}', rules: [{rules}]}}\n")
        };
        let changes = Changes {
            level: Some("info,russh=error"),
            frontdoor: rules.map(recordings).unwrap_or_default(),
            ..Changes::default()
        };
        let stand = Stand::embedded(changes).await?;
        let login = Login::to(&stand, "demo")?;
        Ok(Self {
            stand,
            login,
            store,
        })
    }

    /// Bytes of all that is stored.
    pub(crate) fn stored(&self) -> Result<u64> {
        bytes(self.store.path())
    }
}

fn bytes(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder)? {
        let (path, data) = entry.and_then(|it| Ok((it.path(), it.metadata()?)))?;
        sum += match data.is_dir() {
            true => bytes(&path)?,
            false => data.len(),
        };
    }
    Ok(sum)
}

/// Within maxBytes of a session, and all of it.
pub(crate) const LIMITED: &str = "{record: bestEffort}";
pub(crate) const WHOLE: &str = "{record: strict, maxBytes: 100000000000}";

/// One that records nothing, one that records a part of what is long, and one that records all.
pub(crate) struct Sites(pub(crate) [Site; 3]);

impl Sites {
    pub(crate) async fn start() -> Result<Self> {
        let off = Site::start(None).await?;
        let limited = Site::start(Some(LIMITED)).await?;
        let whole = Site::start(Some(WHOLE)).await?;
        let sites = Self([off, limited, whole]);
        // A strict one lets nobody in before its store has answered.
        for site in &sites.0 {
            let ready = || async {
                let (status, _) = site.stand.frontdoor.admin("/readyz").await.ok()?;
                (status == 200).then_some(())
            };
            let within = std::time::Duration::from_secs(30);
            podgate_tests::instruments::eventually::eventually("readiness", within, ready).await?;
        }
        Ok(sites)
    }
}
