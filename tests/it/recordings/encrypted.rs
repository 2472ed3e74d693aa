//! Recordings that the frontdoor can write and not read: users find and verify them, and who has a key reads
//! them with the stock `age`.

use podgate_tests::real::age::Key;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn only_a_key_reads_what_is_encrypted_and_anybody_who_may_finds_and_verifies_it() {
    let keys = tempfile::tempdir().unwrap();
    let ada = Key::make(&keys.path().join("ada")).await.unwrap();
    let bo = Key::make(&keys.path().join("bo")).await.unwrap();
    let cy = Key::make(&keys.path().join("cy")).await.unwrap();
    let recipients = format!("{}, {}", ada.recipient, bo.recipient);
    let rules = format!(
        "  rules: [{{record: strict, input: true}}]\n  spoolFolder: DIR/spool\n  encryption: {{recipients: [{recipients}]}}\n"
    );
    let (stand, dir) = stand(&rules).await;
    let command = "echo out-xyzzy; echo err-xyzzy >&2; cat >/dev/null; exit 3";
    let output = stand.client.feed("demo", command, b"in-xyzzy").await;
    assert_eq!(output.unwrap().status.code(), Some(3));

    // It is found by what is in clear, which is no command.
    let [entry] = &list(&stand.client, 1).await[..] else {
        panic!()
    };
    let id = id(entry);
    let header = &entry["header"];
    assert_eq!(header["podgate"]["encrypted"], true);
    assert_eq!(header["podgate"]["user"], "ada");
    assert_eq!(
        (&header["command"], &entry["end"]["status"]),
        (&Value::Null, &3.into())
    );
    let (_, lines, _) = ask(&stand.client, "recordings --user ada").await;
    assert!(lines.trim_end().ends_with("(encrypted)"), "{lines}");
    for path in chunks(&dir.path().join("store")) {
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(5).any(|five| five == b"xyzzy"), "{path:?}");
    }

    for asked in ["play", "play --follow"] {
        let (status, out, told) = ask(&stand.client, &format!("{asked} {id}")).await;
        assert_eq!((status, out.as_str()), (Some(255), ""), "{told}");
        let expect = "podgate: the recording is encrypted, and Podgate has no key: who has one reads it with \
                      `ssh podgate@DOOR export ID | tar -xf - --to-command='age -d -i KEYFILE' | zstd -d > session.cast`\r\n";
        assert_eq!(told, expect);
    }

    // Who has a key reads it, and sees that it is the one of the audit log.
    let export = format!("export {id}");
    let tar = stand.client.run(&[], "podgate", &export).await.unwrap();
    assert_eq!(tar.status.code(), Some(0), "{tar:?}");
    let end = ended(dir.path()).await;
    for key in [&ada, &bo] {
        let cast = key.read(&tar.stdout).await.unwrap();
        for some in ["out-xyzzy", "err-xyzzy", "in-xyzzy", "exit 3"] {
            assert!(cast.contains(some), "{some}: {cast}");
        }
        assert_eq!(end["recordingSha256"], sha256(&cast).await);
    }
    cy.read(&tar.stdout).await.unwrap_err();

    // Who has none verifies what is stored.
    let verify = format!("verify {id}");
    let (status, words, _) = ask(&stand.client, &verify).await;
    assert_eq!(status, Some(0), "{words}");
    assert!(
        words.contains(end["recordingLastSha256"].as_str().unwrap()),
        "{words}"
    );
    assert!(words.contains("its text was not checked"), "{words}");

    // The index is made again without a key.
    let before = list(&stand.client, 1).await;
    std::fs::remove_dir_all(dir.path().join("store/index")).unwrap();
    is_found_again(&stand.client, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_refuses_what_is_no_recipient_and_does_not_repeat_it() {
    let dir = tempfile::tempdir().unwrap();
    let key = Key::make(&dir.path().join("key")).await.unwrap();
    let secret = std::fs::read_to_string(&key.file).unwrap();
    let secret = secret.lines().last().unwrap().to_owned();
    let config = dir.path().join("frontdoor.yaml");
    let check = async |recipients: &str| {
        let store = dir.path().display();
        let yaml = format!(
            "hostKeys: [k]\ntls: {{cert: c, key: k, ca: a}}\nusers: u\nrecordings: {{store: 'file://{store}', \
             rules: [], encryption: {{recipients: [{recipients}]}}}}\n"
        );
        std::fs::write(&config, yaml).unwrap();
        let mut program = Command::new(gateway::binary("podgate-frontdoor").unwrap());
        let program = program.args(["--check", "--config"]).arg(&config);
        let output = program.output().await.unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), told)
    };
    let good = key.recipient.as_str();
    assert_eq!(check(good).await, (Some(0), String::new()));
    let (status, told) = check(&format!("{good}, {secret}")).await;
    assert_eq!(status, Some(2), "{told}");
    assert!(
        told.contains("recordings.encryption.recipients: the 2. is a secret key"),
        "{told}"
    );
    assert!(!told.contains(&secret[..20]), "{told}");
    let typo = format!(
        "{}{}",
        &good[..61],
        if good.ends_with('q') { 'p' } else { 'q' }
    );
    let (status, told) = check(&typo).await;
    assert_eq!(status, Some(2), "{told}");
    assert!(
        told.contains("recordings.encryption.recipients: the 1. is no public key"),
        "{told}"
    );
}
