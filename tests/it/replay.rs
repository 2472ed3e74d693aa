//! The page of recordings, over HTTP by curl: who gets in and how often, who sees what, and what its answers
//! carry. `browser` has what only a browser shows.

mod browser;
mod encrypted;
mod live;
mod s3;
mod stand;

use podgate_tests::instruments::eventually::eventually;
use podgate_tests::stand_ins::issuer::unsigned;
use serde_json::{Value, json};

use stand::{Page, SOON, URL, ask};

#[tokio::test(flavor = "multi_thread")]
async fn a_link_signs_one_browser_in_once() {
    let page = Page::start("").await;
    let id = page.record("printf 'one\\ntwo'; exit 3").await;
    let link = page.link(&id).await;
    // To look at it uses nothing up, and signs nobody in.
    for _ in 0..2 {
        let looked = page.get(&link, &[]).await;
        assert_eq!((looked.status, looked.header("set-cookie")), (200, None));
        assert!(looked.body.contains("Sign in as ada"), "{}", looked.body);
    }
    // Nor does another site's request.
    for header in [
        "X-Nothing: here",
        "Origin: https://evil.example",
        "Origin: null",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
    ] {
        let refused = page.get(&link, &["-X", "POST", "-H", header]).await;
        assert_eq!(refused.status, 403, "{header}: {refused:?}");
    }
    let entered = page.post(&link, "").await;
    let to = format!("/recordings/{id}");
    assert_eq!(
        (entered.status, entered.header("location")),
        (303, Some(&*to))
    );
    let set = entered.header("set-cookie").unwrap();
    assert!(set.starts_with("__Host-podgate="), "{set}");
    assert!(
        set.ends_with("; Path=/; Max-Age=3600; Secure; HttpOnly; SameSite=Strict"),
        "{set}"
    );
    let cookie = entered.cookie();
    for used in [page.post(&link, "").await, page.get(&link, &[]).await] {
        assert_eq!((used.status, used.header("set-cookie")), (410, None));
        assert!(used.body.contains("not good any more"), "{}", used.body);
    }
    let unknown = format!("/link/{}", "0".repeat(48));
    for wrong in [unknown.as_str(), "/link/x", "/link/..%2f..%2fkey"] {
        assert_eq!(page.post(wrong, "").await.status, 410, "{wrong}");
    }

    let list = page.get("/?command=exit", &["-H", &cookie]).await;
    assert_eq!(list.status, 200);
    assert!(
        list.body.contains(&format!("href=\"{to}\"")),
        "{}",
        list.body
    );
    let shown = page.get(&to, &["-H", &cookie]).await;
    assert!(shown.body.contains("ada in demo.default"), "{}", shown.body);
    let events = page.get(&format!("{to}/events"), &["-H", &cookie]).await;
    let mut lines = events
        .body
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert_eq!(lines.next().unwrap()["version"], 3);
    let text: String = lines
        .filter_map(|line| line[2].as_str().map(str::to_owned))
        .collect();
    assert_eq!(text, "one\r\ntwo");
    // What is downloaded is what ssh exports.
    let (_, exported, _) = ask(&page.stand.client, &format!("export {id}")).await;
    let cast = page.get(&format!("{to}/cast"), &["-H", &cookie]).await;
    assert_eq!(cast.body, exported);
    let name = format!("attachment; filename=\"{id}.cast\"");
    assert_eq!(cast.header("content-disposition"), Some(&*name));

    let told = |event: &str| -> Vec<(String, String, String)> {
        let word = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
        let events = page.audit(event);
        let events = events.iter();
        events
            .map(|one| {
                (
                    word(one, "user"),
                    word(one, "outcome"),
                    word(one, "recording"),
                )
            })
            .collect()
    };
    let ada = |how: &str, id: &str| ("ada".to_owned(), how.to_owned(), id.to_owned());
    // The log is written beside what it tells of.
    let both = || std::future::ready((told("watch").len() == 2).then_some(()));
    eventually("the watches", SOON, both).await.unwrap();
    assert_eq!(told("enter"), [ada("link", "")]);
    assert_eq!(told("watch"), [ada("play", &id), ada("export", &id)]);
    // The two logs meet: the session in which the link was made.
    let text = std::fs::read_to_string(page.path("audit")).unwrap();
    let made = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let made: Vec<_> = made.filter(|line| line["outcome"] == "link").collect();
    assert_eq!(made[0]["session"], page.audit("enter")[0]["session"]);
    let counted = [
        "podgate_replay_entries_total{outcome=\"link\"} 1",
        "podgate_replay_watches_total{outcome=\"play\"} 1",
    ];
    page.part.counts(SOON, &counted).await.unwrap();

    let origin = format!("Origin: {URL}");
    let left = page
        .get("/leave", &["-X", "POST", "-H", &cookie, "-H", &origin])
        .await;
    assert!(left.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(page.get("/", &[]).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_use_a_link_at_once_at_two_replicas_one_gets_in() {
    let page = Page::start("").await;
    let id = page.record("true").await;
    let link = page.link(&id).await;
    let other = Page::another(page.dir.path(), "").await;
    let answers = page.race(&other, &link).await;
    let mut statuses = answers.each_ref().map(|answer| answer.status);
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 410, 410, 410]);
    // The cookie is good at both.
    let entered = answers.iter().find(|answer| answer.status == 303).unwrap();
    let cookie = entered.cookie();
    for part in [&page.part, &other] {
        let list = page.get_at(part, "/", &["-H", &cookie]).await;
        assert_eq!(list.status, 200, "{list:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_signs_in_and_rbac_says_what_is_seen() {
    let page = Page::start("limits: {refusedPerMinuteAndAddress: 2}\n").await;
    let id = page.record("echo seen").await;
    let enter = async |token: &str| {
        page.post("/enter", &format!("token={token}&recording={id}"))
            .await
    };
    let ada = page.token("ada", &["dev"], json!(["podgate-page"]), 600);
    let entered = enter(&ada).await;
    assert_eq!(entered.status, 303, "{entered:?}");
    assert_eq!(
        entered.header("location"),
        Some(&*format!("/recordings/{id}"))
    );
    // No longer than the token.
    let set = entered.header("set-cookie").unwrap();
    let (_, age) = set.split_once("Max-Age=").unwrap();
    let age: u64 = age.split(';').next().unwrap().parse().unwrap();
    assert!((500..=600).contains(&age), "{set}");
    let seen = page.get("/", &["-H", &entered.cookie()]).await;
    assert!(seen.body.contains(&id), "{}", seen.body);
    assert_eq!(page.audit("enter")[0]["source"], "kubernetes");

    // Who may see nothing cannot tell what is there.
    let bo = page.token("bo", &[], json!(["podgate-page"]), 600);
    let cookie = enter(&bo).await.cookie();
    let list = page.get("/", &["-H", &cookie]).await;
    assert!(
        list.body.contains("There are no recordings"),
        "{}",
        list.body
    );
    assert!(
        !list.body.contains(&id) && !list.body.contains("demo"),
        "{}",
        list.body
    );
    let unknown = "20260101T000000Z-0123456789abcdef0123456789abcdef";
    for what in ["", "/events", "/cast", "/live"] {
        let mut bodies = vec![];
        for id in [id.as_str(), unknown] {
            let answer = page
                .get(&format!("/recordings/{id}{what}"), &["-H", &cookie])
                .await;
            assert_eq!(answer.status, 404, "{what}");
            bodies.push(answer.body);
        }
        assert_eq!(bodies[0], bodies[1]);
    }
    let watched = page.audit("watch");
    assert_eq!(watched, [] as [Value; 0]);
    let bo = page.stand.add_user("bo").await.unwrap();
    let (status, url, told) = ask(&bo, &format!("link {id}")).await;
    assert_eq!((status, url.as_str()), (Some(255), ""));
    assert_eq!(
        told,
        format!("podgate: there is no recording {id} that you may see\r\n")
    );

    let forever = page.token("ada", &["dev"], json!(["podgate-page", "other"]), 600);
    let old = page.token("ada", &["dev"], json!("podgate-page"), -600);
    for (token, words) in [
        (forever.as_str(), "must be for the audience"),
        (old.as_str(), "expired"),
        ("opaque", "not a JWT"),
        ("", "not a JWT"),
    ] {
        let refused = enter(token).await;
        assert_eq!(
            (refused.status, refused.header("set-cookie")),
            (403, None),
            "{refused:?}"
        );
        assert!(refused.body.contains(words), "{words}: {}", refused.body);
    }
    // Made-up tokens of an address count, and keep out nobody there who has a link. Nor do made-up links.
    let link = page.link(&id).await;
    let made_up = format!("/link/{}", "0".repeat(48));
    // The API server does not know it.
    let unknown = unsigned(&json!({"aud": ["podgate-page"], "exp": 4_000_000_000_u64}));
    let mut statuses = vec![];
    while statuses.len() < 30 && !statuses.contains(&429) {
        assert_eq!(page.post(&made_up, "").await.status, 410);
        statuses.push(enter(&unknown).await.status);
    }
    assert_eq!((statuses[0], statuses.last()), (403, Some(&429)));
    assert_eq!(page.get(&link, &[]).await.status, 200);
    assert_eq!(page.post(&link, "").await.status, 303);
}

/// All that a page may be told to do, and where.
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_strict_whatever_was_asked_or_recorded() {
    let page = Page::start("").await;
    let hostile = "printf '\\033]0;<script>alert(1)</script>\\007\\033]8;;javascript:alert(1)\\033\\\\x\\377'; \
                   : '\"><script>alert(2)</script><img src=x onerror=alert(3)>'";
    let id = page.record(hostile).await;
    let cookie = page.sign_in(&id).await;
    let origin = format!("Origin: {URL}");
    let list = page
        .get(
            "/?user=%22%3E%3Cscript%3Ealert(4)%3C/script%3E",
            &["-H", &cookie],
        )
        .await;
    assert!(
        list.body.contains("&quot;&gt;&lt;script&gt;"),
        "{}",
        list.body
    );
    let shown = page
        .get(&format!("/recordings/{id}"), &["-H", &cookie])
        .await;
    assert!(
        shown.body.contains("&lt;script&gt;alert(2)"),
        "{}",
        shown.body
    );
    let newest = page.get("/", &["-H", &cookie]).await;
    assert!(
        newest.body.contains("&lt;img src=x onerror=alert(3)&gt;"),
        "{}",
        newest.body
    );
    for page in [&list, &shown, &newest] {
        assert!(
            !page.body.contains("<script>") && !page.body.contains("<img"),
            "{}",
            page.body
        );
        assert!(
            !page.body.contains(" style=") && !page.body.contains(" onclick"),
            "{}",
            page.body
        );
    }
    let script = shown
        .body
        .split("src=")
        .nth(1)
        .unwrap()
        .split('>')
        .next()
        .unwrap();
    let long = "x".repeat(30_000);
    let long_header = format!("X-Long: {long}");
    let (one, events) = (
        format!("/recordings/{id}"),
        format!("/recordings/{id}/events"),
    );
    let (cast, live) = (
        format!("/recordings/{id}/cast"),
        format!("/recordings/{id}/live"),
    );
    let signed: &[&str] = &["-H", &cookie];
    let too_long: &[&str] = &["-H", &origin, "--data-binary", &long];
    // Over HTTP/1.0 nobody could tell a stream that broke off from a whole one.
    let old: &[&str] = &["--http1.0", "--no-alpn", "-H", &cookie];
    let rows: [(&str, &[&str], u16); 16] = [
        ("/", signed, 200),
        ("/", &[], 401),
        (&one, &[], 401),
        (&events, signed, 200),
        (&events, &[], 401),
        (&cast, &[], 401),
        (&cast, old, 505),
        (&one, old, 200),
        (&live, &[], 401),
        ("/recordings/..%2f..%2fetc", signed, 404),
        (script, &[], 200),
        ("/static/0/page.css", &[], 404),
        ("/static/../../etc/passwd", &[], 404),
        ("/nothing", &[], 404),
        ("/enter", too_long, 413),
        ("/leave", &[], 405),
    ];
    for (path, arguments, expect) in rows {
        let answer = page.get(path, arguments).await;
        assert_eq!(answer.status, expect, "{path}: {answer:?}");
        let policy = answer.header("content-security-policy").unwrap_or_default();
        for words in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(words), "{path}: {answer:?}");
        }
        assert!(
            !policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"),
            "{policy}"
        );
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        assert!(
            answer.header("strict-transport-security").is_some(),
            "{path}"
        );
        let kept = answer.header("cache-control").unwrap();
        assert_eq!(
            kept == "no-store",
            path != script || expect != 200,
            "{path}: {kept}"
        );
    }
    // A head that is too long gets no page at all.
    let answer = page.get("/", &["-H", &long_header]).await;
    assert!([0, 400, 431].contains(&answer.status), "{answer:?}");
    // A cookie that was made up, or is another's, is none.
    for made_up in ["Cookie: __Host-podgate=AAAA", "Cookie: __Host-podgate="] {
        assert_eq!(page.get("/", &["-H", made_up]).await.status, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_recording_is_not_shown_as_if_it_were_whole() {
    let page = Page::start("").await;
    let id = page.record("echo kept; sleep 6; echo gone").await;
    let cookie = page.sign_in(&id).await;
    let one = format!("/recordings/{id}");
    let breaks_off = async |path: &str| {
        let mut curl = page.curl(&page.part, &format!("{one}/{path}"));
        let output = curl.args(["-H", &cookie]).output().await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!output.status.success(), "{text}");
        text
    };
    let mut folder = page.path("store/recordings");
    while !folder.join("00000000").is_file() {
        let entry = std::fs::read_dir(&folder).unwrap().next().unwrap();
        folder = entry.unwrap().path();
    }
    std::fs::remove_file(folder.join("00000001")).unwrap();
    for path in ["events", "cast"] {
        let text = breaks_off(path).await;
        let said = |word: &str| text.contains(&format!("\"{word}"));
        assert!(said("kept") && !said("gone"), "{text}");
    }
    let first = folder.join("00000000");
    let mut bytes = std::fs::read(&first).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&first, bytes).unwrap();
    let shown = page.get(&one, &["-H", &cookie]).await;
    assert_eq!(shown.status, 409, "{shown:?}");
    assert!(
        shown.body.contains("the recording was changed"),
        "{}",
        shown.body
    );
    breaks_off("events").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_in_order_and_says_what_it_lacks() {
    let page = Page::start("").await;
    // A family is served once something was counted.
    let id = page.record("true").await;
    let cookie = page.sign_in(&id).await;
    let events = format!("/recordings/{id}/events");
    let events = page.get(&events, &["-H", &cookie]).await;
    // The player shows no recording that has no event at all.
    assert_eq!((events.status, events.body.lines().count()), (200, 2));
    let (ready, _) = page.part.admin("/readyz").await.unwrap();
    assert_eq!(ready, 200);
    let (_, metrics) = page.part.admin("/metrics").await.unwrap();
    assert!(metrics.contains("podgate_replay_followers 0"), "{metrics}");
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let types = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    let names: Vec<_> = types.filter_map(|line| line.split(' ').next()).collect();
    assert!(names.len() >= 4, "{metrics}");
    for name in names {
        assert!(
            docs.contains(&format!("| `{name}")),
            "docs/metrics.md lacks {name}"
        );
    }
    let Page { mut part, .. } = page;
    part.signal(rustix::process::Signal::TERM).unwrap();
    let status = part.ended().await.unwrap();
    assert_eq!(status.code(), Some(0));
}
