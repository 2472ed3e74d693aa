//! SFTP requests: reading one never panics, and its parts lie within the bytes that were read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use podgate_sftp::frame;
use podgate_sftp::request::{Message, Request};

fuzz_target!(|stream: &[u8]| {
    let mut rest = stream;
    while let Ok(Some(message)) = frame::first(rest) {
        rest = &rest[frame::LENGTH + message.len()..];
        if let Ok(Message::Request(_, Request::Write { handle, data, .. })) = Message::read(message) {
            assert!(handle.len() + data.len() < message.len());
        }
    }
    let _ = Message::read(stream);
});
