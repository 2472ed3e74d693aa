//! A stand-in for an OpenID Connect issuer: discovery and keys over HTTPS, and id tokens signed by RSA
//! and EC keys that tests change. Users cannot log in there.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use rustls::ServerConfig;
use serde_json::{Value, json};

use crate::fixtures::pki::Pki;
use crate::stand_ins::listener::{Leg, Listener, Peer, Service};

/// An issuer; stops on drop.
pub struct Issuer {
    listener: Listener,
    front: Arc<Front>,
}

/// A key that signs tokens.
pub struct SigningKey {
    name: String,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
}

struct Front {
    tls: Arc<ServerConfig>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    url: String,
    keys: Vec<Value>,
    asked: usize,
}

impl Issuer {
    /// Listens on a free port of 127.0.0.1, by a certificate of `pki`; with these keys.
    ///
    /// # Errors
    /// When no port or certificate is to be had.
    pub async fn start(pki: &Pki, keys: &[&SigningKey]) -> Result<Self> {
        let issued = pki.issue(&["127.0.0.1"])?;
        let front = Arc::new(Front {
            tls: Arc::new(pki.server_config(&issued)?),
            state: Mutex::default(),
        });
        let listener = Listener::start(
            Arc::clone(&front),
            SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0),
        )
        .await?;
        front.with(|state| state.url = format!("https://127.0.0.1:{}/idp", listener.port()));
        let this = Self { listener, front };
        this.set_keys(keys);
        Ok(this)
    }

    /// What its tokens have for `iss`.
    pub fn url(&self) -> String {
        self.front.with(|state| state.url.clone())
    }

    /// The keys from now on.
    pub fn set_keys(&self, keys: &[&SigningKey]) {
        // A key that no reader knows comes first, as RFC 7517 §5 allows.
        let unknown = json!({"kty": "new", "kid": "new"});
        let keys = keys.iter().map(|key| key.public());
        let keys = [unknown].into_iter().chain(keys).collect();
        self.front.with(|state| state.keys = keys);
    }

    /// How often its keys were asked for.
    pub fn asked(&self) -> usize {
        self.front.with(|state| state.asked)
    }

    /// Whether it can be reached.
    ///
    /// # Errors
    /// When the port was lost to another process in between.
    pub async fn set_up(&self, up: bool) -> Result<()> {
        let leg = if up { Leg::Up } else { Leg::Refused };
        self.listener.set_leg(leg).await
    }
}

impl Front {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Service for Front {
    type Body = Full<Bytes>;

    fn tls(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.tls)
    }

    async fn answer(
        self: Arc<Self>,
        _peer: Peer,
        request: Request<Incoming>,
    ) -> Response<Self::Body> {
        let answer = self.with(|state| match request.uri().path() {
            "/idp/.well-known/openid-configuration" => Some(json!({
                "issuer": state.url,
                "jwks_uri": format!("{}/keys", state.url),
                "response_types_supported": ["id_token"],
            })),
            "/idp/keys" => {
                state.asked += 1;
                Some(json!({"keys": state.keys}))
            }
            _ => None,
        });
        let mut response =
            Response::new(Full::from(answer.clone().unwrap_or_default().to_string()));
        if answer.is_none() {
            *response.status_mut() = StatusCode::NOT_FOUND;
        }
        response
    }
}

impl SigningKey {
    /// A new key of 2048 bits, for RS256.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn rsa(name: &str) -> Result<Self> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).context("RSA")?;
        let (name, pair) = (name.to_owned(), Pair::Rsa(pair));
        Ok(Self { name, pair })
    }

    /// A new key on P-256, for ES256.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn ec(name: &str) -> Result<Self> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).context("EC")?;
        let (name, pair) = (name.to_owned(), Pair::Ec(pair));
        Ok(Self { name, pair })
    }

    /// A token with these claims.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn sign(&self, claims: &Value) -> Result<String> {
        let algorithm = match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::Ec(_) => "ES256",
        };
        self.sign_as(
            &json!({"alg": algorithm, "typ": "JWT", "kid": self.name}),
            claims,
        )
    }

    /// The same with another header, whatever that says.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn sign_as(&self, header: &Value, claims: &Value) -> Result<String> {
        let message = format!("{}.{}", part(header), part(claims));
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(
                    &RSA_PKCS1_SHA256,
                    &random,
                    message.as_bytes(),
                    &mut signature,
                )?;
                signature
            }
            Pair::Ec(pair) => pair.sign(&random, message.as_bytes())?.as_ref().to_vec(),
        };
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn public(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match &self.pair {
            Pair::Rsa(pair) => {
                let key = pair.public_key();
                let modulus = key.modulus().big_endian_without_leading_zero().to_vec();
                let exponent = key.exponent().big_endian_without_leading_zero().to_vec();
                json!({
                    "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.name,
                    "n": text(&modulus), "e": text(&exponent),
                })
            }
            Pair::Ec(pair) => {
                // Uncompressed: 4, x, y (SEC 1 §2.3.3).
                let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = point.split_at(point.len() / 2);
                json!({
                    "kty": "EC", "crv": "P-256", "use": "sig", "kid": self.name,
                    "x": text(x), "y": text(y),
                })
            }
        }
    }
}

/// A JWT that nobody has signed. Token reviews accept only the stand-in's own tokens.
pub fn unsigned(claims: &Value) -> String {
    let header = json!({"alg": "RS256", "kid": "stand"});
    format!("{}.{}.{}", part(&header), part(claims), part(&json!(1)))
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}
