//! How often the store and the API server are asked for whoever is not signed in. Behind an Ingress all
//! come from one address, so a stranger there could use up what it has. A link that our key vouches for has
//! a rate of its own instead: wrong links and tokens, however many, keep out nobody who has one.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::Instant;

use lru::LruCache;
use podgate_process::bucket::Bucket;
use podgate_process::token_rates::TokenRates;

/// Links whose rate is kept. The rate of one that is dropped starts anew.
const LINKS: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not 0");
/// How often one link is looked for in a minute. To sign in takes two.
const OF_A_LINK: u32 = 20;

/// What somebody comes with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way<'a> {
    /// The name of a link that the key vouches for.
    Link(&'a str),
    /// A link of which nobody knows who made it, from this address.
    OtherLink(IpAddr),
    /// A token, from this address.
    Token(IpAddr),
}

/// The rates of all that somebody may come with.
#[derive(Debug)]
pub(super) struct Rates {
    links: LruCache<String, Bucket>,
    other_links: TokenRates,
    tokens: TokenRates,
}

impl Rates {
    /// So many other links, and so many tokens, may be refused to an address in a minute.
    pub(super) fn new(refused_a_minute: u32) -> Self {
        Self {
            links: LruCache::new(LINKS),
            other_links: TokenRates::new(refused_a_minute),
            tokens: TokenRates::new(refused_a_minute),
        }
    }

    /// Takes a question from the rate of what somebody comes with. Returns false if none is left.
    pub(super) fn take(&mut self, way: Way<'_>, now: Instant) -> bool {
        match way {
            Way::Link(name) => {
                let full = || Bucket::a_minute(OF_A_LINK, now);
                let link = self.links.get_or_insert_mut(name.to_owned(), full);
                link.take(now)
            }
            Way::OtherLink(peer) => self.other_links.ask(peer, now),
            Way::Token(peer) => self.tokens.ask(peer, now),
        }
    }

    /// Gives it back, because it has let somebody in.
    pub(super) fn give_back(&mut self, way: Way<'_>) {
        match way {
            Way::Link(_) => {}
            Way::OtherLink(peer) => self.other_links.give_back(peer),
            Way::Token(peer) => self.tokens.give_back(peer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_kind_takes_from_another_and_no_link_from_another_link() {
        let (now, peer) = (Instant::now(), IpAddr::from([192, 0, 2, 1]));
        let mut rates = Rates::new(3);
        let mut most = |way| (0..1000).filter(|_| rates.take(way, now)).count();
        assert_eq!(most(Way::OtherLink(peer)), 3);
        assert_eq!(most(Way::Token(peer)), 3);
        assert_eq!(most(Way::Link("a")), 20);
        assert_eq!(most(Way::Link("b")), 20);
        assert_eq!(most(Way::Token(peer)), 0);
        rates.give_back(Way::Token(peer));
        let mut most = |way| (0..1000).filter(|_| rates.take(way, now)).count();
        assert_eq!((most(Way::Token(peer)), most(Way::OtherLink(peer))), (1, 0));
    }
}
