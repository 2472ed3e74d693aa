//! A part's way to its certificate: from files, or from the signer, to which it shows its pod's token.
//! The key is made here for each certificate, stays in memory and is never sent.

mod call;
mod keep;

use std::path::PathBuf;
use std::sync::Arc;

use http::Uri;
use serde::Deserialize;
use tokio::sync::watch;

use crate::mtls::{self, Files, Held, Identity};
use call::Signer;

/// Where a part finds the signer, and by what they know each other.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// `https://host:port`
    pub signer: String,
    /// The trusted CAs, PEM: the signer's bundle, mounted. It may come later than the part.
    pub ca: PathBuf,
    /// The ServiceAccount's token for the signer, which the kubelet renews.
    pub token_file: PathBuf,
}

/// Where a part's certificate comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// From files that somebody else renews.
    Files(Files),
    /// From the signer, at this address.
    Signer(Config, Uri),
}

/// What a part is told of its enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// There is a new certificate, good for so many seconds from now.
    Enrolled {
        /// Seconds.
        lifetime: u32,
    },
    /// There is none this time.
    Failed,
}

/// What keeps a part enrolled.
#[derive(Debug)]
pub struct Enrolment {
    signer: Option<Signer>,
    held: watch::Sender<Option<Arc<Held>>>,
}

impl Source {
    /// The one of both that a configuration has; the key and what is wrong where it has not.
    pub fn of(
        tls: Option<Files>,
        enrolment: Option<Config>,
    ) -> Result<Self, (&'static str, String)> {
        let config = match (tls, enrolment) {
            (Some(files), None) => return Ok(Self::Files(files)),
            (None, Some(config)) => config,
            (Some(_), Some(_)) => return Err(("enrolment", "there is tls, too".to_owned())),
            (None, None) => return Err(("tls", "absent, and so is enrolment".to_owned())),
        };
        let uri = config.signer.parse::<Uri>().ok();
        let uri = uri.filter(|uri| {
            let bare = ["", "/"].contains(&uri.path()) && uri.query().is_none();
            uri.scheme_str() == Some("https") && uri.host().is_some() && bare
        });
        match uri {
            Some(uri) => Ok(Self::Signer(config, uri)),
            None => {
                let reason = format!("{:?} is not https://host:port", config.signer);
                Err(("enrolment.signer", reason))
            }
        }
    }

    /// The identity, which may have to wait for the enrolment, and what keeps that.
    pub fn open(self) -> Result<(Identity, Enrolment), mtls::Error> {
        let (held, receiver) = watch::channel(None);
        let (identity, signer) = match self {
            Self::Files(files) => (Identity::load(files)?, None),
            Self::Signer(config, uri) => (
                Identity::enrolled(config.ca.clone(), receiver),
                Some(Signer::new(config, uri)),
            ),
        };
        Ok((identity, Enrolment { signer, held }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_comes_from_one_place() {
        let files = || Files {
            cert: "a".into(),
            key: "b".into(),
            ca: "c".into(),
        };
        let signer = |signer: &str| Config {
            signer: signer.into(),
            ca: "c".into(),
            token_file: "t".into(),
        };
        let check = |tls: Option<Files>, enrolment: Option<&str>, expect: Result<(), &str>| {
            let found = Source::of(tls, enrolment.map(signer));
            let found = found.map(drop).map_err(|(key, _)| key);
            assert_eq!(found, expect, "{enrolment:?}");
        };
        let good = "https://podgate-signer.podgate.svc:8443";
        check(Some(files()), None, Ok(()));
        check(None, Some(good), Ok(()));
        check(None, Some("https://10.0.0.1:8443/"), Ok(()));
        check(None, Some("https://[::1]:8443"), Ok(()));
        check(Some(files()), Some(good), Err("enrolment"));
        check(None, None, Err("tls"));
        for wrong in [
            "http://a:1",
            "a:1",
            "",
            "https://",
            "https://a/b",
            "https://a/?b",
        ] {
            check(None, Some(wrong), Err("enrolment.signer"));
        }
    }
}
