//! Pure: follows what a client sends until it is encrypted: the line with its identification, then packets
//! (RFC 4253 §4.2, §6). It does not matter in which pieces they arrive.

/// SSH_MSG_NEWKEYS, the client's last packet that is not encrypted (RFC 4253 §7.3).
const NEWKEYS: u8 = 21;

/// Where in the clear text the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClearText {
    /// In the line with its identification.
    Line,
    /// In the four bytes of a packet's length: those so far, and how many there are.
    Length(u32, u8),
    /// Behind the length: bytes that are left of the packet, those that were seen, and whether it is
    /// NEWKEYS.
    Packet(u32, u32, bool),
    /// Behind it: what comes is encrypted.
    Ended,
}

impl ClearText {
    /// Whether what comes next is encrypted.
    pub(super) fn has_ended(self) -> bool {
        self == Self::Ended
    }

    /// Takes note of further bytes.
    pub(super) fn pass(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            *self = self.then(byte);
        }
    }

    fn then(self, byte: u8) -> Self {
        match self {
            Self::Line if byte == b'\n' => Self::Length(0, 0),
            Self::Line => Self::Line,
            Self::Length(so_far, seen) => {
                let length = (so_far << 8) | u32::from(byte);
                match (seen, length) {
                    (0..3, _) => Self::Length(length, seen + 1),
                    (_, 0) => Self::Length(0, 0),
                    _ => Self::Packet(length, 0, false),
                }
            }
            Self::Packet(left, seen, newkeys) => {
                // The length of the padding comes first, and then the kind of the message.
                let newkeys = newkeys || (seen == 1 && byte == NEWKEYS);
                match (left, newkeys) {
                    (0..=1, true) => Self::Ended,
                    (0..=1, false) => Self::Length(0, 0),
                    _ => Self::Packet(left - 1, seen.saturating_add(1), newkeys),
                }
            }
            Self::Ended => Self::Ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet of this kind and length behind the length.
    fn packet(kind: u8, length: u32) -> Vec<u8> {
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.resize(4 + length as usize, NEWKEYS);
        bytes[5] = kind;
        bytes
    }

    /// How many of the bytes are clear text, if they arrive in pieces of this size.
    fn clear(bytes: &[u8], piece: usize) -> usize {
        let mut at = ClearText::Line;
        let mut clear = 0;
        for piece in bytes.chunks(piece) {
            for byte in piece {
                clear += usize::from(!at.has_ended());
                at.pass(&[*byte]);
            }
            let mut whole = ClearText::Line;
            whole.pass(&bytes[..clear.min(bytes.len())]);
            assert_eq!(whole.has_ended(), at.has_ended());
        }
        clear
    }

    #[test]
    fn the_clear_text_ends_behind_newkeys() {
        let line = b"SSH-2.0-x\r\n".to_vec();
        let rest = vec![0, 0, 0, 12, 10, NEWKEYS, 0, 0];
        let all = [line, packet(20, 300), packet(30, 44), packet(NEWKEYS, 12)].concat();
        let stream = [all.clone(), rest].concat();
        for piece in [1, 2, 3, 5, 16, 4096] {
            assert_eq!(clear(&stream, piece), all.len(), "{piece}");
        }
        // A packet of another kind that holds the same byte elsewhere, and an empty one.
        let none = [b"\n".to_vec(), vec![0; 4], packet(20, 12)].concat();
        assert_eq!(clear(&none, 1), none.len());
    }

    #[test]
    fn replays_the_fuzz_corpus() {
        let corpus = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/fuzz/corpus/clear_text"
        );
        let mut seen = 0;
        for entry in std::fs::read_dir(corpus).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            let (one, all) = (clear(&bytes, 1), clear(&bytes, 4096));
            assert_eq!(one, all);
            seen += 1;
        }
        assert!(seen > 0, "the corpus is gone");
    }
}
