//! Frames as bytes, whole and cut at every place.

use super::*;

fn decode_all(decoder: &mut Decoder, bytes: &mut BytesMut) -> Vec<Frame> {
    std::iter::from_fn(|| decoder.next(bytes).unwrap()).collect()
}

/// What a kubelet 1.36.2 with containerd 2.1.9 answers to an exec that prints and exits with 5.
fn exec_answer() -> Vec<u8> {
    let mut out = BytesMut::new();
    put_control(&mut out, 2, 6);
    out.put_slice(&[0, 0, 0, 5, 0, 0]);
    put_data(&mut out, 5, false, b"out\n");
    put_data(&mut out, 5, true, b"");
    put_control(&mut out, 3, 8);
    out.put_slice(&[0, 0, 0, 1, 0, 0, 0, 5]);
    put_control(&mut out, 7, 8);
    out.put_slice(&[0, 0, 0, 5, 0, 0, 0, 0]);
    out.to_vec()
}

#[test]
fn decodes_an_exec() {
    let mut bytes = BytesMut::from(&exec_answer()[..]);
    let data = |fin, payload: &'static [u8]| Frame::Data {
        stream: 5,
        fin,
        payload: Bytes::from_static(payload),
    };
    assert_eq!(
        decode_all(&mut Decoder::default(), &mut bytes),
        [
            Frame::SynReply { stream: 5 },
            data(false, b"out\n"),
            data(true, b""),
            Frame::Reset { stream: 1 },
            Frame::GoAway,
        ]
    );
    assert!(bytes.is_empty());
}

#[test]
fn decodes_the_same_wherever_the_bytes_are_cut() {
    let answer = exec_answer();
    for cut in 0..=answer.len() {
        let mut decoder = Decoder::default();
        let mut bytes = BytesMut::from(&answer[..cut]);
        let mut frames = decode_all(&mut decoder, &mut bytes);
        bytes.extend_from_slice(&answer[cut..]);
        frames.extend(decode_all(&mut decoder, &mut bytes));
        let (mut output, mut fins, mut ends) = (Vec::new(), 0, 0);
        for frame in &frames {
            match frame {
                Frame::Data { payload, fin, .. } => {
                    output.extend_from_slice(payload);
                    fins += u32::from(*fin);
                }
                Frame::GoAway => ends += 1,
                _ => {}
            }
        }
        assert_eq!(
            (output.as_slice(), fins, ends),
            (&b"out\n"[..], 1, 1),
            "cut at {cut}"
        );
    }
}

#[test]
fn fin_stands_on_the_last_part_alone() {
    let mut whole = BytesMut::new();
    put_data(&mut whole, 7, true, b"abcdef");
    let rest = whole.split_off(11);
    let mut decoder = Decoder::default();
    let part = |fin, payload: &'static [u8]| Frame::Data {
        stream: 7,
        fin,
        payload: Bytes::from_static(payload),
    };
    assert_eq!(decode_all(&mut decoder, &mut whole), [part(false, b"abc")]);
    let mut rest = rest;
    assert_eq!(decode_all(&mut decoder, &mut rest), [part(true, b"def")]);
}

#[test]
fn refuses_what_is_not_spdy() {
    let check = |bytes: &[u8], expect: Error| {
        assert_eq!(
            Decoder::default().next(&mut BytesMut::from(bytes)),
            Err(expect)
        );
    };
    check(&[0x80, 2, 0, 1, 0, 0, 0, 0], Error::Version(0x8002));
    check(&[0x80, 3, 0, 4, 0, 1, 0, 1], Error::TooLong(0x1_0001));
    check(
        &[0x80, 3, 0, 3, 0, 0, 0, 2, 9, 9],
        Error::TooShort { kind: 3, length: 2 },
    );
}

#[test]
fn frames_of_a_client_are_as_the_draft_lays_them_out() {
    let mut out = BytesMut::new();
    put_syn_stream(&mut out, 3, b"block");
    assert_eq!(
        &out[..18],
        [0x80, 3, 0, 1, 0, 0, 0, 15, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0]
    );
    assert_eq!(&out[18..], b"block");
    out.clear();
    put_ping(&mut out, 1);
    assert_eq!(out[..], [0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1]);
    out.clear();
    put_data(&mut out, 3, true, b"x");
    assert_eq!(out[..], [0, 0, 0, 3, 1, 0, 0, 1, b'x']);
}

#[test]
fn replays_the_fuzz_corpus() {
    let corpus = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/fuzz/corpus/spdy_frame"
    );
    let mut seen = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let (mut decoder, mut buffer) = (Decoder::default(), BytesMut::from(&bytes[..]));
        let before = buffer.len();
        while let Ok(Some(_)) = decoder.next(&mut buffer) {}
        assert!(buffer.len() <= before);
        seen += 1;
    }
    assert!(seen > 0, "the corpus is gone");
}
