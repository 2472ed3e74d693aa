//! Debian's own `age` opens what is written here, whatever its length, with each recipient's key.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::*;

/// Whoever has its key, we do not.
pub(crate) const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

/// Makes a key of the stock tool: its file, and its recipient.
pub(crate) fn key(folder: &Path, name: &str) -> (PathBuf, Recipient) {
    let file = folder.join(name);
    let made = Command::new("age-keygen").arg("-o").arg(&file).output();
    assert!(made.unwrap().status.success());
    let text = fs::read_to_string(&file).unwrap();
    let public = text
        .lines()
        .find_map(|line| line.strip_prefix("# public key: "));
    (file, public.unwrap().parse().unwrap())
}

/// What the stock tool makes of a file.
pub(crate) fn opened(key: &Path, file: &[u8]) -> Result<Vec<u8>, String> {
    let mut age = Command::new("age");
    let age = age.args(["-d", "-i"]).arg(key).stdin(Stdio::piped());
    let age = age.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut age = age.spawn().unwrap();
    let (mut stdin, file) = (age.stdin.take().unwrap(), file.to_vec());
    // It may end before it has read all.
    let write = std::thread::spawn(move || stdin.write_all(&file));
    let output = age.wait_with_output().unwrap();
    let _ = write.join().unwrap();
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[test]
fn the_stock_tool_opens_what_is_written_for_its_keys_alone() {
    let dir = tempfile::tempdir().unwrap();
    let [ada, bo, cy] = ["ada", "bo", "cy"].map(|name| key(dir.path(), name));
    let recipients = [ada.1, bo.1];
    for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 7] {
        let content: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let file = seal(&recipients, &content).unwrap();
        for key in [&ada.0, &bo.0] {
            assert!(opened(key, &file).unwrap() == content, "{length}");
        }
        let refused = opened(&cy.0, &file).unwrap_err();
        assert!(refused.contains("no identity matched"), "{refused}");
        let cut = opened(&ada.0, &file[..file.len() - 1]);
        assert!(cut.is_err(), "{length}");
    }
    let [one, other] = [0, 1].map(|_| seal(&recipients, b"x").unwrap());
    assert_ne!(one, other);
}

#[test]
fn what_is_no_recipient_is_refused_and_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let secret = fs::read_to_string(key(dir.path(), "ada").0).unwrap();
    let secret = secret
        .lines()
        .find(|line| line.starts_with("AGE-"))
        .unwrap();
    let read = |text: &str| text.parse::<Recipient>().unwrap_err();
    assert_eq!(read(secret), NoRecipient::Secret);
    assert_eq!(read(&secret.to_lowercase()), NoRecipient::Secret);
    let hrp = bech32::Hrp::parse("age").unwrap();
    let encode = |key: &[u8]| bech32::encode::<Bech32>(hrp, key).unwrap();
    // The last two are points of small order.
    let mut one = [0; 32];
    one[0] = 1;
    let texts = [
        encode(&[7; 31]),
        encode(&[7; 33]),
        encode(&[0; 32]),
        encode(&one),
    ];
    for text in &texts {
        assert_eq!(read(text), NoRecipient::Other, "{text}");
    }
    let good = encode(&[7; 32]);
    assert_eq!(good.parse(), Ok(Recipient([7; 32])));
    let typo = good.replacen('q', "p", 1);
    let other = [
        "",
        "age1",
        "ssh-ed25519 AAAA",
        "age1yubikey1qqq",
        typo.as_str(),
    ];
    for text in other {
        assert_eq!(read(text), NoRecipient::Other, "{text}");
    }
}
