//! Headers as proxies send them, whole and in pieces, and bytes that are not headers.

use super::*;

/// Reads exactly as many bytes as it is told to.
fn take(stream: &[u8]) -> Result<(Option<Ends>, usize), Error> {
    let mut read_so_far = 0;
    loop {
        match read(&stream[..read_so_far])? {
            Step::Whole(client) => return Ok((client, read_so_far)),
            Step::More(more) => {
                assert!(more > 0);
                read_so_far += more;
                assert!(read_so_far <= LONGEST);
                if read_so_far > stream.len() {
                    // It waits for bytes that do not come.
                    return Ok((None, usize::MAX));
                }
            }
        }
    }
}

fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

const TCP4: &[u8] = &[192, 0, 2, 7, 10, 0, 0, 1, 0xc0, 1, 0, 22];

#[test]
fn whole_headers() {
    let check = |header: &[u8], expect: Option<&str>| {
        let expect = expect.map(|words| {
            let (client, server) = words.split_once(' ').unwrap();
            let (client, server) = (client.parse().unwrap(), server.parse().unwrap());
            Ends { client, server }
        });
        let stream = [header, b"SSH-2.0-OpenSSH_9.2\r\n"].concat();
        let shown = String::from_utf8_lossy(header);
        assert_eq!(take(&stream), Ok((expect, header.len())), "{shown:?}");
    };
    check(
        b"PROXY TCP4 192.0.2.7 10.0.0.1 49153 22\r\n",
        Some("192.0.2.7:49153 10.0.0.1:22"),
    );
    check(
        b"PROXY TCP4 1.1.1.1 1.1.1.2 0 0\r\n",
        Some("1.1.1.1:0 1.1.1.2:0"),
    );
    check(
        b"PROXY TCP6 2001:db8::7 ::1 49153 22\r\n",
        Some("[2001:db8::7]:49153 [::1]:22"),
    );
    check(b"PROXY UNKNOWN\r\n", None);
    let longest = [b"PROXY UNKNOWN ".as_slice(), &[b'f'; 91], b"\r\n"].concat();
    assert_eq!(longest.len(), LONGEST_LINE);
    check(&longest, None);
    check(
        &version_2(0x21, 0x11, TCP4),
        Some("192.0.2.7:49153 10.0.0.1:22"),
    );
    check(
        &version_2(0x21, 0x11, &[TCP4, &[4, 0, 1, 9]].concat()),
        Some("192.0.2.7:49153 10.0.0.1:22"),
    );
    let six = "2001:db8::7".parse::<Ipv6Addr>().unwrap().octets();
    let tcp6 = [&six[..], &[0; 16], &[0xc0, 1, 0, 22]].concat();
    check(
        &version_2(0x21, 0x21, &tcp6),
        Some("[2001:db8::7]:49153 [::]:22"),
    );
    check(&version_2(0x20, 0x00, &[]), None);
    check(&version_2(0x20, 0x11, TCP4), None);
    check(&version_2(0x21, 0x00, &[]), None);
    // Unix sockets, and UDP.
    check(&version_2(0x21, 0x31, &[0; 216]), None);
    check(&version_2(0x21, 0x12, TCP4), None);
    check(
        &version_2(0x21, 0x11, &[&[0; 12][..], &[0; LONGEST - 28]].concat()),
        Some("0.0.0.0:0 0.0.0.0:0"),
    );
}

#[test]
fn what_is_no_header() {
    let check = |bytes: &[u8], expect: Error| {
        let shown = String::from_utf8_lossy(bytes);
        assert_eq!(take(bytes), Err(expect), "{shown:?}");
    };
    check(b"SSH-2.0-OpenSSH_9.2\r\n", Error::Start);
    check(b"PROXYING TCP4 1.1.1.1", Error::Start);
    check(b"\r\n\r\n\0\r\nQUIX\n\0\0\0\0\0", Error::Start);
    check(b"PROXY TCP4 192.0.2.7 10.0.0.1 49153\r\n", Error::Addresses);
    check(
        b"PROXY TCP4 192.0.2.7 10.0.0.1 49153 22 1\r\n",
        Error::Addresses,
    );
    check(b"PROXY TCP4 2001:db8::7 ::1 49153 22\r\n", Error::Addresses);
    check(
        b"PROXY TCP6 192.0.2.7 10.0.0.1 49153 22\r\n",
        Error::Addresses,
    );
    check(b"PROXY TCP4 192.0.2.7 10.0.0.1 +1 22\r\n", Error::Addresses);
    check(
        b"PROXY TCP4 192.0.2.7 10.0.0.1 65536 22\r\n",
        Error::Addresses,
    );
    check(b"PROXY TCP4  192.0.2.7 10.0.0.1 1 22\r\n", Error::Addresses);
    check(
        b"PROXY TCP4 192.0.2.\xff 10.0.0.1 1 22\r\n",
        Error::Addresses,
    );
    check(b"PROXY UDP4 192.0.2.7 10.0.0.1 1 22\r\n", Error::Addresses);
    check(
        &[b"PROXY UNKNOWN ".as_slice(), &[b'f'; 200]].concat(),
        Error::Long,
    );
    let one_more = [b"PROXY UNKNOWN ".as_slice(), &[b'f'; 92], b"\r\n"].concat();
    check(&one_more, Error::Long);
    check(&version_2(0x21, 0x11, &TCP4[..11]), Error::Addresses);
    check(&version_2(0x21, 0x21, &[0; 35]), Error::Addresses);
    check(&version_2(0x11, 0x11, TCP4), Error::Version);
    check(&version_2(0x22, 0x11, TCP4), Error::Version);
    check(&version_2(0x21, 0x11, &[0; LONGEST - 15]), Error::Long);
}

#[test]
fn replays_the_fuzz_corpus() {
    let corpus = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/fuzz/corpus/proxy_protocol"
    );
    let mut seen = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        seen += usize::from(take(&bytes).is_ok_and(|(client, _)| client.is_some()));
    }
    assert!(seen >= 4, "the corpus is gone");
}
