//! The claims of a token, unverified: they say whom to ask about the token, and are never believed by
//! themselves.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// Bytes of a token, at most. Tokens of users in many groups are long, but HTTP servers seldom accept
/// longer headers.
pub const MAX_BYTES: usize = 12 * 1024;

/// Why a token cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("the token is longer than {MAX_BYTES} bytes")]
    Long,
    #[error("the token is not a JWT, so it does not say whom it is for")]
    Opaque,
}

/// The claims that tell where a token belongs (RFC 7519 §4.1).
#[derive(Debug, PartialEq, Deserialize)]
pub struct Claims {
    /// Who issued it.
    #[serde(default)]
    pub iss: String,
    /// Whom it is for.
    #[serde(default)]
    pub aud: Audience,
    /// In seconds since 1970; it may have a fraction (RFC 7519 §2, NumericDate).
    exp: Option<f64>,
}

/// One audience, several, or nobody.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// A text.
    One(String),
    /// A list.
    Several(Vec<String>),
    /// The claim is missing.
    #[default]
    Nobody,
}

/// Checks an audience of the configuration. It must not be the API server's: a token for the API server
/// is worth more than what it gets here.
pub fn own_audience(audience: &str) -> Result<(), String> {
    // By default the API server accepts its issuer's URL (--service-account-issuer).
    if audience.is_empty() || audience.contains("://kubernetes.default.svc") {
        return Err("must not be empty or an audience of the API server".to_owned());
    }
    Ok(())
}

/// Whether an audience is one of the API server's: a program's own token is for those, if it is a JWT.
pub fn is_servers(audience: &str, own: Option<&str>) -> bool {
    matches!(own.map(Claims::read), Some(Ok(claims)) if claims.aud.has(audience))
}

impl Audience {
    /// Whether the token is for this audience and no other.
    pub fn is_only(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Several(all) => !all.is_empty() && all.iter().all(|one| one == audience),
            Self::Nobody => false,
        }
    }

    /// Whether it is among them.
    pub fn has(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Several(all) => all.iter().any(|one| one == audience),
            Self::Nobody => false,
        }
    }

    /// Whether there are others, too.
    pub fn is_several(&self) -> bool {
        matches!(self, Self::Several(all) if all.len() > 1)
    }
}

impl Claims {
    /// Reads a token. A claim that occurs twice is an error: whoever verifies the token might read the
    /// other one.
    pub fn read(token: &str) -> Result<Self, Error> {
        if token.len() > MAX_BYTES {
            return Err(Error::Long);
        }
        let mut parts = token.rsplit('.').skip(1);
        let (payload, header) = (parts.next(), parts.next());
        let payload = header.and(payload).ok_or(Error::Opaque)?;
        let json = URL_SAFE_NO_PAD.decode(payload).map_err(|_| Error::Opaque)?;
        // serde takes a list for a struct, too.
        if !json.trim_ascii_start().starts_with(b"{") {
            return Err(Error::Opaque);
        }
        serde_json::from_slice(&json).map_err(|_| Error::Opaque)
    }

    /// When the token expires, in seconds since 1970.
    pub fn expires(&self) -> Option<u64> {
        // The cast gives 0 for times before 1970, and the maximum for times that do not fit.
        self.exp.map(|at| at as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn an_audience_is_ours_alone_or_not() {
        let check = |aud: &str, expect: bool| {
            let claims = Claims::read(&token(&format!("{{{aud}}}"))).unwrap();
            assert_eq!(claims.aud.is_only("podgate"), expect, "{aud}");
            assert_eq!(claims.aud.has("podgate"), aud.contains("podgate"), "{aud}");
        };
        check(r#""aud":"podgate""#, true);
        check(r#""aud":["podgate"]"#, true);
        check(r#""aud":["podgate","podgate"]"#, true);
        check("", false);
        check(r#""aud":[]"#, false);
        check(r#""aud":null"#, false);
        check(r#""aud":"other""#, false);
        check(
            r#""aud":["podgate","https://kubernetes.default.svc"]"#,
            false,
        );
        check(r#""aud":"Podgate""#, false);
    }

    #[test]
    fn an_expiry_is_in_whole_seconds() {
        let check = |exp: &str, expect: Option<u64>| {
            let claims = Claims::read(&token(&format!("{{{exp}}}"))).unwrap();
            assert_eq!(claims.expires(), expect, "{exp}");
        };
        check("", None);
        check(r#""exp":null"#, None);
        check(r#""exp":1800000000"#, Some(1_800_000_000));
        check(r#""exp":1800000000.9"#, Some(1_800_000_000));
        check(r#""exp":-1"#, Some(0));
        check(r#""exp":1e300"#, Some(u64::MAX));
    }

    #[test]
    fn replays_the_fuzz_corpus() {
        let corpus = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/fuzz/corpus/token_claims"
        );
        let (mut tokens, mut read) = (0, 0);
        for file in std::fs::read_dir(corpus).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            tokens += usize::from(Claims::read(&text).is_ok());
            read += usize::from(Claims::read(&token(&text)).is_ok());
        }
        assert_eq!((tokens, read), (1, 3));
    }

    #[test]
    fn what_is_no_jwt_says_nothing() {
        let long = "x".repeat(MAX_BYTES + 1);
        assert_eq!(Claims::read(&long), Err(Error::Long));
        for text in [
            "",
            "opaque",
            "a.b",
            "a.b.c.d",
            "e30.!.",
            "k8s-aws-v1.aHR0cHM",
        ] {
            assert_eq!(Claims::read(text), Err(Error::Opaque), "{text}");
        }
        for claims in [
            "[]",
            r#"["issuer","podgate",1800000000]"#,
            r#"{"aud":{}}"#,
            r#"{"aud":[1]}"#,
            r#"{"exp":"soon"}"#,
            r#"{"aud":"podgate","aud":"other"}"#,
        ] {
            assert_eq!(Claims::read(&token(claims)), Err(Error::Opaque), "{claims}");
        }
    }
}
