//! What a container says of names: its hosts, its resolv.conf, its name servers' answers, and what its worker
//! answers. Reading never panics, and all that comes of it is bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use podgate_worker::sockets::{Answer, Request};

// The pure files themselves.
#[path = "../../../agent/src/forward/resolve/hosts.rs"]
mod hosts;
#[path = "../../../agent/src/forward/resolve/message.rs"]
mod message;
#[path = "../../../agent/src/forward/resolve/settings.rs"]
mod settings;
use hosts::MAX_ADDRESSES;
use message::{Family, Query, Reply};
use settings::Settings;

fuzz_target!(|input: &[u8]| {
    assert!(hosts::addresses(input, "db").len() <= MAX_ADDRESSES);
    let settings = Settings::parse(input);
    assert!((1..=3).contains(&settings.servers.len()));
    assert!(settings.candidates("db").len() <= 33);
    for family in [Family::V4, Family::V6] {
        let query = Query::new([0, 0], "db.prod.svc", family).expect("a name");
        if let Some(Reply::Addresses(found)) = query.answer(input) {
            assert!(found.len() <= MAX_ADDRESSES);
        }
    }
    if let Some(answer) = Answer::parse(input)
        && answer.outcome != Err(0)
    {
        assert_eq!(Answer::parse(&answer.encode()), Some(answer));
    }
    if let Some(request) = Request::parse(input) {
        assert_eq!(Request::parse(&request.encode()), Some(request));
    }
});
