//! Where a configuration says that the certificate comes from.

use std::sync::Arc;

use http::Uri;
use tokio::sync::watch;

use super::call::Signer;
use super::config::Config;
use super::keep::Enrolment;
use crate::config::Invalid;
use crate::mtls::{self, Files, Identity, Trusted};
use crate::ready::Ready;

/// Where a program's certificate comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// From files that somebody else renews.
    Files(Files),
    /// From the signer, at this address.
    Signer(Config, Uri),
}

impl Source {
    /// Takes `tls` or `enrolment` of a configuration, which must have exactly one of them.
    pub fn of(tls: Option<Files>, enrolment: Option<Config>) -> Result<Self, Invalid> {
        let config = match (tls, enrolment) {
            (Some(files), None) => return Ok(Self::Files(files)),
            (None, Some(config)) => config,
            (Some(_), Some(_)) => {
                return Err(Invalid::new(
                    "enrolment",
                    "cannot be used together with tls",
                ));
            }
            (None, None) => return Err(Invalid::new("tls", "missing, and so is enrolment")),
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
                Err(Invalid::new("enrolment.signer", reason))
            }
        }
    }

    /// The identity, which may have to wait for the enrolment, and the enrolment.
    ///
    /// The program is not `ready` without a certificate.
    pub fn open(self, ready: &Ready) -> Result<(Identity, Enrolment), mtls::Error> {
        let (held, receiver) = watch::channel(None);
        match self {
            Self::Files(files) => Ok((Identity::load(files)?, Enrolment::new(None, held, ready))),
            Self::Signer(config, uri) => {
                let trusted = Arc::new(Trusted::new(config.ca.clone()));
                let identity = Identity::enrolled(Arc::clone(&trusted), receiver);
                let signer = Signer::new(config, uri, trusted);
                Ok((identity, Enrolment::new(Some(signer), held, ready)))
            }
        }
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
            let found = found.map(drop).map_err(|invalid| invalid.key);
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
