//! A users file as people write it, and what of it lets nobody in.

use std::time::Duration;

use super::*;

const ADA: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti ada@host";

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

fn load(yaml: &str) -> Result<Users, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users.yaml");
    std::fs::write(&path, yaml).unwrap();
    Users::load(path, Names::default()).map_err(|error| error.to_string())
}

/// A file of one user with one key.
fn find(options: &str, now: SystemTime) -> Result<(Identity, Restrictions), KeyRefusal> {
    let users = load(&format!("- {{name: ada, keys: ['{options} {ADA}']}}")).unwrap();
    users.find(&ADA.parse().unwrap(), HERE, now)
}

#[test]
fn a_key_names_its_user() {
    let yaml = "- {name: ada, groups: [dev], extra: {example.com/team: [core]}, keys: ['KEY']}";
    let users = load(&yaml.replace("KEY", ADA)).unwrap();
    let (identity, restrictions) = users
        .find(&ADA.parse().unwrap(), HERE, SystemTime::now())
        .unwrap();
    assert_eq!(
        (identity.user.as_str(), identity.groups),
        ("ada", vec!["dev".to_owned()])
    );
    assert_eq!(identity.extra["example.com/team"], ["core"]);
    assert!(restrictions.pty && restrictions.command.is_none());
}

#[test]
fn options_restrict_their_key() {
    let now = SystemTime::now();
    let restrictions = |options: &str| find(options, now).unwrap().1;
    assert!(!restrictions("no-pty").pty);
    let forced = restrictions(r#"restrict,command="dump /home""#);
    assert_eq!(forced.command.as_deref(), Some("dump /home"));
    assert!(!forced.pty && !forced.port_forwarding && !forced.agent_forwarding);
    assert!(restrictions(r#"from="10.0.0.0/8""#).pty);
    assert_eq!(find(r#"from="11.0.0.0/8""#, now), Err(KeyRefusal::Address));
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    // 2030-01-02 00:00:00 UTC.
    let until = r#"expiry-time="20300102Z",expiry-time="20310102Z""#;
    assert!(find(until, at(1_893_542_400)).is_ok());
    assert_eq!(find(until, at(1_893_542_401)), Err(KeyRefusal::Expired));
}

#[test]
fn the_first_entry_that_fits_is_the_one() {
    let yaml = "- {name: ada, keys: ['from=\"11.0.0.1\" KEY', 'no-pty KEY', 'KEY']}";
    let users = load(&yaml.replace("KEY", ADA)).unwrap();
    let found = users.find(&ADA.parse().unwrap(), HERE, SystemTime::now());
    assert!(!found.unwrap().1.pty);
}

#[test]
fn a_key_that_is_refused_leaves_the_others() {
    let check = |line: &str, expect: &str| {
        let yaml = format!("- {{name: ada, keys: ['{line}']}}\n- {{name: bob, keys: ['{ADA}']}}");
        let table = load(&yaml).unwrap().0.last();
        let [(user, 1, reason)] = table.refused.as_slice() else {
            panic!("{line:?}: {:?}", table.refused);
        };
        assert_eq!(user, "ada");
        assert!(reason.to_string().contains(expect), "{line:?}: {reason}");
        assert_eq!(table.entries.len(), 1, "bob is known");
    };
    check(&format!("tunnel=\"0\" {ADA}"), "the option \"tunnel\"");
    check(&format!("command=\"a {ADA}"), "not a public key");
    check(
        &format!("expiry-time=\"20301302Z\" {ADA}"),
        "this time does not exist",
    );
    check("ssh-ed25519 nonsense", "not a public key");
    check("", "not a public key");
    check("no-pty", "not a public key");
    check(include_str!("rsa-1024.pub").trim(), "2048 bits");
    check(include_str!("dsa.pub").trim(), "DSA");
}

#[test]
fn a_file_that_is_none_is_named() {
    let check = |yaml: &str, expect: &str| {
        let error = load(yaml).err().unwrap_or_default();
        assert!(error.contains(expect), "{yaml:?} gave {error:?}");
    };
    check(
        &format!("- {{name: a, keys: ['{ADA}']}}\n- {{name: b, keys: ['{ADA}']}}"),
        "user \"b\": key 1: also belongs to another",
    );
    check("- {name: 'system:admin'}", "system:");
    check("- {name: a, groups: ['system:masters']}", "system:");
    check("- {name: ''}", "empty");
    check("- {name: a, kees: []}", "kees");
}

/// The users as their files are now.
fn looked(users: &Users) -> &Users {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().build().unwrap();
    runtime.block_on(users.refresh());
    users
}

/// Looks until the answer is as expected: files are not read again at once.
fn until(look: impl Fn() -> Result<String, KeyRefusal>, expect: Result<&str, KeyRefusal>) {
    let begun = std::time::Instant::now();
    while look().as_deref() != expect.as_deref() && begun.elapsed().as_secs() < 20 {
        std::thread::yield_now();
    }
    assert_eq!(look().as_deref(), expect.as_deref());
}

#[test]
fn a_folder_is_all_of_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, user: &str, key: &str| {
        let yaml = format!("- {{name: {user}, keys: ['{key}']}}\n");
        std::fs::write(dir.path().join(name), yaml).unwrap();
    };
    write("team-a", "ada", ADA);
    write(".hidden", "eve", ADA);
    std::fs::create_dir(dir.path().join("..2026")).unwrap();
    let users = Users::load(dir.path().to_owned(), Names::default()).unwrap();
    let ada = || {
        let found = looked(&users).find(&ADA.parse().unwrap(), HERE, SystemTime::now());
        found.map(|(identity, _)| identity.user)
    };
    assert_eq!(ada().as_deref(), Ok("ada"));
    // A file that comes, goes or changes is seen.
    write("team-a", "adele", ADA);
    until(ada, Ok("adele"));
    std::fs::remove_file(dir.path().join("team-a")).unwrap();
    until(ada, Err(KeyRefusal::Unknown));
    write("team-b", "bob", ADA);
    until(ada, Ok("bob"));
}

#[test]
fn of_a_folder_a_file_that_is_wrong_says_nothing_of_the_others() {
    let check = |team_b: &str, expect: &str| {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        let ada = format!("- {{name: ada, keys: ['{ADA}']}}\n");
        write("team-a", &ada);
        let users = Users::load(dir.path().to_owned(), Names::default()).unwrap();
        let find = || {
            let found = looked(&users).find(&ADA.parse().unwrap(), HERE, SystemTime::now());
            found.map(|(identity, _)| identity.user)
        };
        write("team-b", team_b);
        let begun = std::time::Instant::now();
        while looked(&users).0.last().wrong.is_empty() && begun.elapsed().as_secs() < 20 {
            std::thread::yield_now();
        }
        assert_eq!(find().as_deref(), Ok("ada"), "{team_b:?}");
        let table = users.0.last();
        let [wrong] = table.wrong.as_slice() else {
            panic!("{team_b:?}: {:?}", table.wrong);
        };
        assert!(wrong.to_string().contains(expect), "{wrong}");
        // A user who is taken out is gone all the same, and the next start fails.
        write("team-a", "[]\n# ada is gone\n");
        until(find, Err(KeyRefusal::Unknown));
        Users::load(dir.path().to_owned(), Names::default()).unwrap();
    };
    check("- {name: bob, keys: [", "team-b: ");
    check("- {name: bob}\n- {name: 'system:admin'}", "system:admin");
    check("- {name: a, kees: []}", "kees");
}

#[test]
fn of_a_folder_a_key_of_two_lets_in_neither() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    for (file, user) in [("team-a", "ada"), ("team-b", "bob"), ("team-c", "ada")] {
        write(file, &format!("- {{name: {user}, keys: ['{ADA}']}}\n"));
    }
    let users = Users::load(dir.path().to_owned(), Names::default()).unwrap();
    let find = || {
        let found = looked(&users).find(&ADA.parse().unwrap(), HERE, SystemTime::now());
        found.map(|(identity, _)| identity.user)
    };
    assert_eq!(find(), Err(KeyRefusal::Unknown));
    assert!(!looked(&users).0.last().wrong.is_empty());
    write("team-b", "[]");
    until(find, Ok("ada"));
}
