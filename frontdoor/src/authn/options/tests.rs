//! The options of sshd(8) by example, and invalid ones.

use super::*;

fn with(change: impl FnOnce(&mut Options)) -> Result<Options, Error> {
    let mut options = Options::default();
    change(&mut options);
    Ok(options)
}

fn restricted(options: &mut Options) {
    (options.pty, options.port_forwarding) = (false, false);
    options.agent_forwarding = false;
}

fn endpoint(host: &str, port: u16) -> Endpoint {
    Endpoint {
        host: host.to_owned(),
        port: Some(port).filter(|port| *port != 0),
    }
}

#[test]
fn what_each_option_means() {
    let check = |text: &str, change: fn(&mut Options)| {
        assert_eq!(Options::parse(text), with(change), "{text:?}");
    };
    check("no-pty", |o| o.pty = false);
    check("No-PTY", |o| o.pty = false);
    check("no-pty,pty", |_| {});
    check("no-port-forwarding", |o| o.port_forwarding = false);
    check("no-agent-forwarding", |o| o.agent_forwarding = false);
    check("no-touch-required", |o| o.presence.touch = false);
    check("verify-required,no-touch-required", |o| {
        (o.presence.touch, o.presence.verification) = (false, true);
    });
    check("no-verify-required,touch-required", |_| {});
    check("no-X11-forwarding,no-user-rc", |_| {});
    check("X11-forwarding,user-rc", |_| {});
    check("restrict", restricted);
    check("restrict,pty", |o| {
        restricted(o);
        o.pty = true;
    });
    check("restrict,port-forwarding,agent-forwarding", |o| {
        o.pty = false
    });
    // The later option holds.
    check("pty,restrict", restricted);
    check(r#"command="dump /home""#, |o| {
        o.command = Some("dump /home".into())
    });
    check(r#"COMMAND="a",no-pty"#, |o| {
        o.command = Some("a".into());
        o.pty = false;
    });
    check(r#"command="echo \"a,b\" \\ \n""#, |o| {
        o.command = Some(r#"echo "a,b" \\ \n"#.into())
    });
    check(r#"command="ü""#, |o| o.command = Some("ü".into()));
    check(r#"from="10.0.0.0/8,!10.0.0.1""#, |o| {
        o.from = Addresses::patterns("10.0.0.0/8,!10.0.0.1").ok()
    });
    check(r#"permitopen="[::1]:80",permitopen="db:*""#, |o| {
        o.open = Some(vec![endpoint("::1", 80), endpoint("db", 0)])
    });
    check(r#"permitlisten="8080",permitlisten="*.local:1""#, |o| {
        o.listen = Some(vec![endpoint("*", 8080), endpoint("*.local", 1)])
    });
    check(
        r#"expiry-time="20300102",expiry-time="203012312359Z""#,
        |o| {
            let day = Timespec {
                year: 2030,
                month: 1,
                day: 2,
                hour: 0,
                minute: 0,
                second: 0,
                utc: false,
            };
            let evening = Timespec {
                month: 12,
                day: 31,
                hour: 23,
                minute: 59,
                utc: true,
                ..day
            };
            o.expiry = vec![day, evening];
        },
    );
}

#[test]
fn what_is_not_honoured_is_refused() {
    let check = |text: &str, expect: Error| {
        assert_eq!(Options::parse(text), Err(expect), "{text:?}");
    };
    let unknown = |name: &str| Error::Unknown(name.to_owned());
    for name in [
        "",
        "tunnel",
        "cert-authority",
        "no-restrict",
        "no-no-pty",
        "nopty",
        "pty ",
        "ssh-ed25519",
    ] {
        check(name, unknown(name));
    }
    check(r#"environment="SECRET=1""#, unknown("environment"));
    check(r#"principals="ada""#, unknown("principals"));
    check("pty=\"yes\"", unknown("pty"));
    check("no-pty,,no-pty", unknown(""));
    check("no-pty,", Error::Comma);
    check(r#"command="a"no-pty"#, unknown("no-pty"));
    check("command", unknown("command"));
    check("command=a", Error::Quotes("command"));
    check(r#"command="a"#, Error::Quotes("command"));
    check(r#"command="a\""#, Error::Quotes("command"));
    check(r#"command="""#, Error::Command);
    check("command=\"a\0\"", Error::Command);
    check(r#"command="a",command="a""#, Error::Twice("command"));
    check(r#"from="*",from="*""#, Error::Twice("from"));
    for time in [
        "",
        "Z",
        "2030",
        "203001021",
        "2030010203",
        "20300102T",
        "2030-1-2",
        "20300102ZZ",
    ] {
        check(
            &format!("expiry-time=\"{time}\""),
            Error::Time(time.to_owned()),
        );
    }
    for text in [
        "", "db", "db:", ":80", "db:0", "db:+1", "db:65536", "[::1]80", "[]:1",
    ] {
        let error = Error::Endpoint("permitopen", text.to_owned());
        check(&format!("permitopen=\"{text}\""), error);
    }
    let error = Options::parse(r#"from="db.example.com""#).unwrap_err();
    assert!(matches!(error, Error::From(_)), "{error:?}");
}

#[test]
fn a_line_is_parted_where_its_options_end() {
    for (line, options, rest) in [
        ("restrict ssh-rsa AAAA", "restrict", " ssh-rsa AAAA"),
        ("a=\"b c\"\tkey", "a=\"b c\"", "\tkey"),
        (r#"a="b\" c" key"#, r#"a="b\" c""#, " key"),
        ("a=\"b c", "a=\"b c", ""),
        ("", "", ""),
    ] {
        assert_eq!(part(line), (options, rest), "{line:?}");
    }
}

#[test]
fn endpoints_allow_what_they_name() {
    let one = endpoint("db", 80);
    assert!(one.opens("db", 80) && !one.opens("db", 81) && !one.opens("dc", 80));
    assert!(endpoint("*", 0).opens("db", 81));
    assert!(!endpoint("d*", 0).opens("db", 81), "no pattern");
    assert!(endpoint("d*", 0).listens("db", 81));
    assert!(!endpoint("d*", 0).listens("localhost", 81));
}

#[test]
fn replays_the_fuzz_corpus() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fuzz/corpus/options");
    let mut seen = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let line = String::from_utf8_lossy(&bytes);
        let (options, rest) = part(&line);
        assert_eq!(format!("{options}{rest}"), line);
        // Whatever it is, it is read or refused.
        let _ = Options::parse(options);
        seen += 1;
    }
    assert!(seen > 0, "the corpus is gone");
}
