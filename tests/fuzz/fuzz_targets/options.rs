//! The options in front of a key: reading them never panics, splitting a line loses no byte, a further
//! option never gives back what `restrict` took at the end, and addresses that a `!` refuses never fit.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The pure files themselves: building their crates would take minutes.
extern crate self as podgate_identity;
extern crate self as podgate_proto;

#[path = "../../../frontdoor/identity/src/addresses.rs"]
mod addresses;
#[path = "../../../proto/src/network.rs"]
#[allow(unreachable_pub, reason = "the crate's own networks")]
pub mod network;
#[path = "../../../frontdoor/identity/src/wildcard.rs"]
mod wildcard;
#[path = "../../../frontdoor/src/authn"]
mod authn {
    #[allow(dead_code, reason = "what a time or an endpoint means is not fuzzed")]
    pub(crate) mod options;
}
use addresses::Addresses;
use authn::options::{Options, part};

fuzz_target!(|line: &str| {
    let (text, rest) = part(line);
    assert_eq!(format!("{text}{rest}"), line);
    let options = Options::parse(text);
    if let Ok(options) = &options {
        // An empty command would mean that there is none.
        assert!(options.command.as_deref() != Some(""));
        let restricted = Options::parse(&format!("{text},restrict"));
        let restricted = restricted.expect("restrict may follow whatever is sound");
        assert!(!restricted.pty && !restricted.port_forwarding && !restricted.agent_forwarding);
        assert_eq!(restricted.command, options.command);
        // The options in front of a key end where the key begins.
        assert_eq!(part(&format!("{text} key")), (text, " key"));
    }
    if let Ok(addresses) = Addresses::patterns(line) {
        for address in ["10.0.0.1", "2001:db8::1"] {
            let address = address.parse().expect("an address");
            let never = Addresses::patterns(&format!("{line},!{address}")).expect("one more");
            assert!(!never.fit(address));
            let all = Addresses::patterns(&format!("{line},*")).expect("one more");
            assert!(!addresses.fit(address) || all.fit(address));
        }
    }
    // Each list of networks is one of patterns, and means the same.
    if let Ok(networks) = Addresses::networks(line) {
        assert_eq!(Addresses::patterns(line), Ok(networks));
    }
});
