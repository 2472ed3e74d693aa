//! What is in an event, and what is cut.

use super::super::command::Command;
use super::super::files::{Direction, FileHash};
use super::*;
use podgate_identity::Source;
use podgate_recording::Whole;
use serde_json::{Value, json};

fn identity() -> Identity {
    Identity {
        user: "ada".into(),
        groups: vec!["dev".into()],
        extra: BTreeMap::from([("example.com/team".into(), vec!["core".into()])]),
        source: Source::Key,
    }
}

fn read(event: Event<'_>) -> Value {
    let line = serde_json::to_string(&event).unwrap();
    assert!(!line.contains('\n'));
    serde_json::from_str(&line).unwrap()
}

#[test]
fn an_event_is_a_flat_object_of_what_is_known() {
    let identity = identity();
    let client = SocketAddr::from(([192, 0, 2, 1], 5000));
    let mut value =
        read(Event::accepted(&identity, "SHA256:x").from(client, Via::Direct, "web-0.prod"));
    let time = value["time"].take();
    let time: jiff::Timestamp = time.as_str().unwrap().parse().unwrap();
    assert!(jiff::Timestamp::now().duration_since(time).as_secs() < 60);
    assert_eq!(
        value,
        json!({
            "v": 1, "time": null, "event": "login", "outcome": "accepted", "user": "ada",
            "groups": ["dev"], "extra": {"example.com/team": ["core"]}, "source": "key",
            "credential": "SHA256:x", "client": "192.0.2.1:5000", "way": "direct",
            "target": "web-0.prod",
        })
    );
}

#[test]
fn the_page_has_every_field() {
    let page = include_str!("../../../../docs/audit.md");
    let (identity, location) = (
        identity(),
        Location {
            namespace: "prod".into(),
            pod: "web-0".into(),
            uid: "u1".into(),
            node: "node-a".into(),
            container: "main".into(),
        },
    );
    let long = || Some(Command::new(&[b'x'; MAX_COMMAND + 1]));
    let program = Program {
        command: long(),
        asked: long(),
        tty: true,
    };
    let sealed = Sealed {
        whole: Whole {
            sha256: "h".to_owned(),
            bytes: 1,
        },
        last: Some("l".to_owned()),
    };
    let mut event = Event::accepted(&identity, "d")
        .from(([192, 0, 2, 1], 1).into(), Via::Jump, "web-0")
        .program(&program)
        .address("db:5432", None)
        .refusal("rule", "c")
        .recording(Some("strict"), Some("r"), Some(&sealed))
        .end("exited", Some(0), Some("c"), (1, 2), Duration::ZERO);
    let session = Event::session("start", "id", Action::Exec, &identity, Some(&location));
    event.session = session.session;
    event.mark("groups");
    let mut hash = FileHash::new(true);
    hash.add(0, b"a");
    let file = FileDone {
        path: "/a".to_owned(),
        direction: Direction::Read,
        bytes: 1,
        begun: std::time::Instant::now(),
        outcome: "done",
        hash,
    };
    let one = Event::session("file", "id", Action::Files, &identity, None).file(&file);
    let many = Event::session("files", "id", Action::Files, &identity, None);
    let many = many.files(Summed::default());
    let fields = [read(event), read(session), read(one), read(many)];
    let fields = fields
        .iter()
        .flat_map(|event| event.as_object().unwrap().keys());
    let fields: std::collections::BTreeSet<_> = fields.collect();
    assert_eq!(fields.len(), 44, "{fields:?}");
    for field in fields {
        assert!(page.contains(&format!("`{field}`")), "{field}");
    }
}

#[test]
fn what_is_too_long_is_cut_and_named() {
    let mut identity = identity();
    identity.groups = (0..1000).map(|n| format!("group-{n:04}")).collect();
    identity.extra = BTreeMap::from([("k".repeat(5000), vec!["v".into()])]);
    let command = format!("{}é", "\u{1}".repeat(MAX_COMMAND - 1));
    let program = Program {
        command: Some(Command::new(command.as_bytes())),
        asked: None,
        tty: false,
    };
    let event = Event::session("start", "id", Action::Exec, &identity, None);
    let event = event.program(&program);
    // The least that a queue may have room for.
    assert!(serde_json::to_vec(&event).unwrap().len() < 128 * 1024);
    let value = read(event);
    assert_eq!(value["cut"], json!(["groups", "extra", "command"]));
    assert_eq!(value["command"], "\u{1}".repeat(MAX_COMMAND - 1));
    assert_eq!(value["groups"].as_array().unwrap().len(), MAX_LIST / 11);
    assert_eq!(value["extra"], json!({}));
}
