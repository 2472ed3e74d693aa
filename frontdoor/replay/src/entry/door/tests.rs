//! Links that are good, used, old or made up, with a folder as the store.

use std::net::Ipv4Addr;

use axum::http::header;
use podgate_identity::{Identity, Source};
use podgate_recording::{Archive, StoreConfig};
use tempfile::TempDir;

use super::*;

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Store {
    archive: Archive,
    key: String,
    _dir: TempDir,
}

impl Store {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = StoreConfig {
            url: format!("file://{}", dir.path().display()),
            options: [].into(),
        };
        Self {
            archive: Archive::open(&config).unwrap(),
            key: PassKey::make().unwrap(),
            _dir: dir,
        }
    }

    fn key(&self) -> PassKey {
        PassKey::parse(&self.key).unwrap()
    }

    /// One replica's door.
    fn door(&self, refused_a_minute: u32) -> Door {
        let library = self.archive.library().clone();
        let session = Duration::from_secs(60);
        Door::new(self.key(), library, None, refused_a_minute, session)
    }

    /// A link's secret, as a frontdoor with this key makes it.
    async fn link(&self, key: &PassKey, expires: u64) -> String {
        let secret = key.secret().unwrap();
        let name = pass::name(&secret).unwrap();
        let pass = Pass {
            identity: Identity {
                user: "ada".to_owned(),
                groups: vec!["dev".to_owned()],
                extra: [].into(),
                source: Source::Key,
            },
            session: secret.clone(),
            recording: None,
            expires,
        };
        let sealed = pass.seal(key, &name).unwrap();
        let library = self.archive.library();
        assert!(library.keep_link(&name, sealed).await.unwrap());
        secret
    }
}

fn gone<T: std::fmt::Debug>(found: Result<T, Error>) {
    assert!(matches!(found, Err(Error::Gone)), "{found:?}");
}

#[tokio::test]
async fn a_link_is_good_once_at_all_replicas_and_its_cookie_is_good_at_each() {
    let store = Store::new();
    let (one, other) = (store.door(60), store.door(60));
    let secret = store.link(&store.key(), now() + LINK_SECONDS).await;
    assert_eq!(one.look(&secret).await.unwrap().identity.user, "ada");
    let entered = other.redeem(&secret).await.unwrap();
    gone(one.redeem(&secret).await);
    gone(other.redeem(&secret).await);
    gone(one.look(&secret).await);
    // Not even for a program that has just started.
    gone(store.door(60).redeem(&secret).await);
    let (pair, _) = entered.cookie.split_once(';').unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(header::COOKIE, pair.parse().unwrap());
    for door in [&one, &other] {
        let visitor = door.visitor(&headers).await.unwrap();
        assert_eq!(visitor.pass, entered.pass);
        assert!(!visitor.is_over());
    }
}

#[tokio::test]
async fn what_is_old_made_up_or_of_another_key_is_no_link() {
    let store = Store::new();
    let door = store.door(60);
    let foreign = PassKey::parse(&PassKey::make().unwrap()).unwrap();
    for (key, expires) in [
        (&store.key(), now()),
        (&store.key(), 0),
        (&store.key(), now() + 3600),
        (&store.key(), u64::MAX),
        (&foreign, now() + LINK_SECONDS),
    ] {
        let secret = store.link(key, expires).await;
        gone(door.redeem(&secret).await);
    }
    for made_up in ["", "x", "../key", &"0".repeat(32)] {
        gone(door.redeem(made_up).await);
    }
    let headers = HeaderMap::new();
    let nobody = door.visitor(&headers).await;
    assert!(matches!(nobody, Err(Error::SignedOut)));
    let refused = door.show("e30.e30.", PEER).await;
    assert!(matches!(refused, Err(Error::NoTokens)));
}

#[tokio::test]
async fn whoever_guesses_keeps_nobody_out_who_has_a_link() {
    let store = Store::new();
    let door = store.door(2);
    // What no frontdoor can have made costs nothing.
    for _ in 0..100 {
        gone(door.redeem("x").await);
        gone(door.redeem(&"0".repeat(48)).await);
    }
    gone(door.redeem(&pass::secret().unwrap()).await);
    // Links are good all the same.
    for _ in 0..50 {
        let secret = store.link(&store.key(), now() + LINK_SECONDS).await;
        door.look(&secret).await.unwrap();
        door.redeem(&secret).await.unwrap();
    }
}

#[tokio::test]
async fn a_link_that_is_tried_again_and_again_keeps_out_itself_alone() {
    let store = Store::new();
    let door = store.door(60);
    let link = async || store.link(&store.key(), now() + LINK_SECONDS).await;
    let (used, other) = (link().await, link().await);
    door.redeem(&used).await.unwrap();
    let mut tries = 1;
    while let Err(Error::Gone) = door.redeem(&used).await {
        tries += 1;
        assert!(tries < 100, "no end");
    }
    let limited = door.look(&used).await;
    assert!(matches!(limited, Err(Error::Rate)), "{limited:?}");
    door.redeem(&other).await.unwrap();
}
