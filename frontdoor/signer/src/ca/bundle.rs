//! The bundle: a ConfigMap with the certificates of the trusted CAs, which all parts mount. An
//! annotation, for the signers alone, says from when until when each CA is trusted.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use podgate_identity::kubernetes::{self, ObjectError, Reference};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};

use super::plan::{Times, Trusted, plan};
use crate::clock::now;

/// The key that parts read.
const KEY: &str = "ca.crt";
/// The annotation that signers read.
const TIMES: &str = "podgate/trusted";

/// What the annotation holds of one trusted CA.
#[derive(Debug, Deserialize, Serialize)]
struct Entry {
    sha256: String,
    since: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
}

type Ca = CertificateDer<'static>;

/// Brings the bundle up to date with `keys`, the newest first. Returns which of them issues, and how
/// many CAs are trusted.
pub(super) async fn keep(
    client: &Client,
    of: &Reference,
    keys: &[Ca],
    spread: Duration,
    lifetime: Duration,
) -> Result<(Option<usize>, usize), ObjectError> {
    let times = Times {
        spread: spread.as_secs(),
        lifetime: lifetime.as_secs(),
    };
    let mut found = (None, 0);
    kubernetes::change::<ConfigMap, ObjectError>(client, of, |map| {
        let bundle = read(map);
        let (trusted, issuer) = plan(now(), &bundle, keys, times);
        found = (issuer, trusted.len());
        // This also repairs what somebody else wrote there.
        Ok(write(map, &trusted))
    })
    .await?;
    Ok(found)
}

fn read(map: &ConfigMap) -> Vec<Trusted<Ca>> {
    let text = map.data.as_ref().and_then(|data| data.get(KEY));
    let kept = map.metadata.annotations.as_ref();
    let kept = kept.and_then(|kept| serde_json::from_str(kept.get(TIMES)?).ok());
    let kept: Vec<Entry> = kept.unwrap_or_default();
    let certificates = CertificateDer::pem_slice_iter(text.map_or(&[], |text| text.as_bytes()));
    let trusted = certificates.flatten().filter_map(|ca| {
        let print = fingerprint(&ca);
        let Some(kept) = kept.iter().find(|kept| kept.sha256 == print) else {
            tracing::warn!(
                sha256 = print,
                "a CA in the bundle that no signer put there"
            );
            return None;
        };
        Some(Trusted {
            ca,
            since: kept.since,
            until: kept.until,
        })
    });
    trusted.collect()
}

/// Returns whether the ConfigMap has changed.
fn write(map: &mut ConfigMap, trusted: &[Trusted<Ca>]) -> bool {
    let text: String = trusted.iter().map(|trusted| pem(&trusted.ca)).collect();
    let kept: Vec<_> = trusted
        .iter()
        .map(|trusted| Entry {
            sha256: fingerprint(&trusted.ca),
            since: trusted.since,
            until: trusted.until,
        })
        .collect();
    let kept = serde_json::to_string(&kept).unwrap_or_default();
    let data = map.data.get_or_insert_default();
    let before = data.insert(KEY.to_owned(), text.clone());
    let annotations = map.metadata.annotations.get_or_insert_default();
    let known = annotations.insert(TIMES.to_owned(), kept.clone());
    before != Some(text) || known != Some(kept)
}

fn fingerprint(ca: &Ca) -> String {
    let bytes = digest(&SHA256, ca);
    bytes.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

fn pem(ca: &Ca) -> String {
    let text = STANDARD.encode(ca);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    // Lines of 64 characters (RFC 7468 §2).
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem + "-----END CERTIFICATE-----\n"
}
