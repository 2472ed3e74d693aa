//! Where a jump leads, by its words.

use super::*;

#[test]
fn a_suffix_is_taken_off_once() {
    for (host, suffix, expect) in [
        ("web-0.prod.pod", "pod", "web-0.prod"),
        ("web-0.prod", "pod", "web-0.prod"),
        ("web-0.pod", "pod", "web-0"),
        ("web-0.pod.pod", "pod", "web-0.pod"),
        ("web-0.prod+proxy.pod", "pod", "web-0.prod+proxy"),
        (
            "web-0.prod.pod.example.com",
            "pod.example.com",
            "web-0.prod",
        ),
        ("web-0.mypod", "pod", "web-0.mypod"),
        ("pod", "pod", "pod"),
        (".pod", "pod", ".pod"),
        ("web-0.", "", "web-0."),
        ("web-0.pod", "", "web-0.pod"),
    ] {
        assert_eq!(without_suffix(host, suffix), expect, "{host} {suffix:?}");
    }
}

#[test]
fn the_target_names_the_container_else_the_login_name_does() {
    let named = |name: &str| Container {
        name: name.to_owned(),
        running: None,
    };
    let pod = |names: &[&str]| Pod::web_0(names.iter().map(|name| named(name)).collect());
    let check = |target: &str, inner: &str, names: &[&str], expect: &str, said: Option<&str>| {
        let target = Target::parse(target, "default").unwrap();
        let chosen = target.container().unwrap_or("main");
        let found = container(inner, &target, &pod(names), named(chosen));
        assert_eq!(
            (found.0.name.as_str(), found.1.as_deref()),
            (expect, said),
            "{inner}"
        );
    };
    let two = &["main", "proxy"];
    check("web-0", "ada", &["main"], "main", None);
    check("web-0", "main", &["main"], "main", None);
    let said = "container main of pod web-0, which has main, proxy";
    check("web-0", "ada", two, "main", Some(said));
    check("web-0", "", two, "main", Some(said));
    let said = "container proxy of pod web-0, which has main, proxy";
    check("web-0", "proxy", two, "proxy", Some(said));
    check("web-0+main", "proxy", two, "main", None);
}
