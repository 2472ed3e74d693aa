//! One CA: its certificate and key. It issues certificates of one name each, for keys that others hold.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SerialNumber, SignatureAlgorithm,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::clock::now;
use rustls::sign::CertifiedKey;

/// How long a CA made here lasts.
const LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// A certificate is valid from this long before it is made, because clocks differ.
const BEFORE: Duration = Duration::from_secs(5 * 60);
/// A point of P-256, uncompressed: its length in bytes and its first byte (SEC 1 §2.3.3).
const POINT: (usize, u8) = (65, 4);

/// Why a CA cannot be made or read, or cannot issue.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no certificate and key of a CA: {0}")]
    Pem(rustls::pki_types::pem::Error),
    #[error("no certificate and key of a CA: {0}")]
    Key(#[from] rustls::Error),
    #[error("its certificate cannot be read")]
    Certificate,
    #[error("its certificate is not a CA certificate")]
    NoCa,
    #[error("it has expired")]
    Expired,
    #[error("the public key is not a point of P-256")]
    Point,
    #[error("cannot sign: {0}")]
    Sign(#[from] rcgen::Error),
    #[error("no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

/// Which end of a connection a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Server,
    Client,
}

/// A CA that can sign.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    begins: u64,
    expires: u64,
}

/// A CA's two PEM texts.
pub(super) struct Made {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// The public key of a part.
pub(crate) struct Point(Vec<u8>);

impl Point {
    pub(crate) fn new(bytes: &[u8]) -> Result<Self, Error> {
        let sound = bytes.len() == POINT.0 && bytes.first() == Some(&POINT.1);
        sound.then(|| Self(bytes.to_vec())).ok_or(Error::Point)
    }
}

impl PublicKeyData for Point {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

/// Makes a CA that can issue only for names of Podgate.
pub(super) fn make() -> Result<Made, Error> {
    let key = KeyPair::generate()?;
    let serial = serial()?;
    // Each CA needs a distinct subject: verifiers find issuers by name.
    let tag: String = serial.iter().take(4).map(|b| format!("{b:02x}")).collect();
    let mut params = params(&format!("podgate CA {tag}"), serial, LIFETIME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("podgate".to_owned())],
        excluded_subtrees: Vec::new(),
    });
    Ok(Made {
        certificate: params.self_signed(&key)?.pem(),
        key: key.serialize_pem(),
    })
}

impl Authority {
    /// Reads a CA from two PEM texts. The first certificate is the CA's.
    pub(super) fn read(certificate: &[u8], key: &[u8]) -> Result<Self, Error> {
        let certificate = CertificateDer::from_pem_slice(certificate).map_err(Error::Pem)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(Error::Pem)?;
        let signing = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)?;
        CertifiedKey::new(vec![certificate.clone()], signing).keys_match()?;
        let (_, parsed) =
            x509_parser::parse_x509_certificate(&certificate).map_err(|_| Error::Certificate)?;
        if !parsed.is_ca() {
            return Err(Error::NoCa);
        }
        let validity = parsed.validity();
        let time = |time: i64| u64::try_from(time).unwrap_or_default();
        let begins = time(validity.not_before.timestamp());
        let expires = time(validity.not_after.timestamp());
        if expires <= now() {
            return Err(Error::Expired);
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, KeyPair::try_from(&key)?)?;
        Ok(Self {
            issuer,
            certificate,
            begins,
            expires,
        })
    }

    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// In seconds since the Unix epoch.
    pub(crate) fn expires(&self) -> u64 {
        self.expires
    }

    /// Whether less than a third of its life is left.
    pub(super) fn is_old(&self, now: u64) -> bool {
        let life = self.expires.saturating_sub(self.begins);
        self.expires.saturating_sub(now) < life / 3
    }

    /// Issues a certificate for `name`. Returns it with its lifetime, which ends no later than the
    /// CA's.
    pub(crate) fn issue(
        &self,
        name: &str,
        end: End,
        key: &impl PublicKeyData,
        lifetime: Duration,
    ) -> Result<(CertificateDer<'static>, Duration), Error> {
        let left = Duration::from_secs(self.expires.saturating_sub(now()));
        let lifetime = lifetime.min(left);
        if lifetime.is_zero() {
            return Err(Error::Expired);
        }
        let mut params = params("podgate", serial()?, lifetime);
        params.subject_alt_names = vec![rcgen::SanType::DnsName(name.try_into()?)];
        params.use_authority_key_identifier_extension = true;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match end {
            End::Server => ExtendedKeyUsagePurpose::ServerAuth,
            End::Client => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        let issued = params.signed_by(key, &self.issuer)?;
        Ok((issued.der().clone(), lifetime))
    }
}

fn params(common_name: &str, serial: [u8; 16], lifetime: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.serial_number = Some(SerialNumber::from(serial.to_vec()));
    let now = SystemTime::now();
    params.not_before = now.checked_sub(BEFORE).unwrap_or(now).into();
    params.not_after = now.checked_add(lifetime).unwrap_or(now).into();
    params
}

/// A random positive serial number (RFC 5280 §4.1.2.2).
fn serial() -> Result<[u8; 16], Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority() -> Authority {
        let made = make().unwrap();
        Authority::read(made.certificate.as_bytes(), made.key.as_bytes()).unwrap()
    }

    #[test]
    fn a_ca_is_read_only_with_its_own_key() {
        let (one, other) = (make().unwrap(), make().unwrap());
        let read = |c: &str, k: &str| Authority::read(c.as_bytes(), k.as_bytes()).map(drop);
        assert!(read(&one.certificate, &one.key).is_ok());
        let mixed = read(&one.certificate, &other.key);
        assert!(matches!(mixed, Err(Error::Key(_))), "{mixed:?}");
        assert!(matches!(read("", &one.key), Err(Error::Pem(_))));
        let leaf = KeyPair::generate().unwrap();
        let plain = params("x", [1; 16], LIFETIME).self_signed(&leaf).unwrap();
        let plain = read(&plain.pem(), &leaf.serialize_pem());
        assert!(matches!(plain, Err(Error::NoCa)), "{plain:?}");
    }

    #[test]
    fn a_certificate_lasts_no_longer_than_its_ca() {
        let mut authority = authority();
        let key = KeyPair::generate().unwrap();
        let issue = |authority: &Authority, seconds| {
            let lifetime = Duration::from_secs(seconds);
            let issued = authority.issue("frontdoor.podgate", End::Client, &key, lifetime);
            issued.map(|(_, lifetime)| lifetime.as_secs())
        };
        assert_eq!(issue(&authority, 60).unwrap(), 60);
        authority.expires = now() + 30;
        assert!(issue(&authority, 60).unwrap() <= 30);
        authority.expires = now() - 1;
        assert!(matches!(issue(&authority, 60), Err(Error::Expired)));
    }

    #[test]
    fn a_public_key_is_a_whole_point() {
        let mut point = vec![4; 65];
        assert!(Point::new(&point).is_ok());
        point[0] = 2;
        assert!(Point::new(&point).is_err());
        assert!(Point::new(&[4; 64]).is_err());
        assert!(Point::new(&[]).is_err());
    }
}
