//! Pure: the commands about recordings, as a user types them.

use podgate_recording::{Id, Library};

/// What the commands are, for whoever types another.
const USAGE: &str = "the commands are: recordings [--user U] [--namespace N] [--pod P] [--since 2d] [--limit N] [--json] | play ID [--follow] [--speed N] [--idle SECONDS] | verify ID | export ID | link ID | reindex [--namespace N] [--since 2d]";
/// Recordings that a list shows, and the most that it can.
const LIMIT: (usize, usize) = (100, 10_000);

/// How far back to look, in seconds.
const DAY: i64 = 24 * 3600;

/// A command.
#[derive(Debug, PartialEq)]
pub(super) enum Command {
    List(List),
    Play(Play),
    Verify(Id),
    Export(Id),
    Link(Id),
    Reindex(Reindex),
}

#[derive(Debug, PartialEq)]
pub(super) struct Reindex {
    pub(super) namespace: Option<String>,
    pub(super) since_seconds: i64,
}

#[derive(Debug, PartialEq)]
pub(super) struct List {
    pub(super) user: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) pod: Option<String>,
    pub(super) since_seconds: i64,
    pub(super) limit: usize,
    pub(super) json: bool,
}

#[derive(Debug, PartialEq)]
pub(super) struct Play {
    pub(super) id: Id,
    pub(super) follow: bool,
    pub(super) speed: f64,
    /// The longest pause.
    pub(super) idle_seconds: f64,
}

/// Reads a command. An error is a sentence for its user.
pub(super) fn parse(line: &str) -> Result<Command, String> {
    let mut words = line.split_whitespace();
    let command = match words.next() {
        Some("recordings") => Command::List(list(words)?),
        Some("play") => Command::Play(play(words)?),
        Some("verify") => Command::Verify(only_id(words)?),
        Some("export") => Command::Export(only_id(words)?),
        Some("link") => Command::Link(only_id(words)?),
        Some("reindex") => Command::Reindex(reindex(words)?),
        Some(other) => return Err(format!("there is no command {other:?}; {USAGE}")),
        None => return Err(USAGE.to_owned()),
    };
    Ok(command)
}

fn list<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<List, String> {
    let mut list = List {
        user: None,
        namespace: None,
        pod: None,
        since_seconds: DAY,
        limit: LIMIT.0,
        json: false,
    };
    while let Some(word) = words.next() {
        let mut value = || value(word, &mut words);
        match word {
            "--json" => list.json = true,
            "--user" => list.user = Some(value()?.to_owned()),
            "--namespace" => list.namespace = Some(value()?.to_owned()),
            "--pod" => list.pod = Some(value()?.to_owned()),
            "--since" => list.since_seconds = age(value()?)?,
            "--limit" => match value()?.parse() {
                Ok(limit) if (1..=LIMIT.1).contains(&limit) => list.limit = limit,
                _ => return Err(format!("--limit must be from 1 to {}", LIMIT.1)),
            },
            _ => return Err(format!("recordings does not know {word}; {USAGE}")),
        }
    }
    Ok(list)
}

fn reindex<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Reindex, String> {
    let (mut namespace, mut since_seconds) = (None, DAY);
    while let Some(word) = words.next() {
        match word {
            "--namespace" => namespace = Some(value(word, &mut words)?.to_owned()),
            "--since" => since_seconds = age(value(word, &mut words)?)?,
            _ => return Err(format!("reindex does not know {word}; {USAGE}")),
        }
    }
    Ok(Reindex {
        namespace,
        since_seconds,
    })
}

fn play<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Play, String> {
    let (mut id, mut follow, mut speed, mut idle_seconds) = (None, false, 1.0, 2.0);
    while let Some(word) = words.next() {
        let mut number = || {
            let number = value(word, &mut words)?.parse::<f64>().ok();
            let number = number.filter(|number| (0.1..=1000.0).contains(number));
            number.ok_or_else(|| format!("{word} must be from 0.1 to 1000"))
        };
        match word {
            "--follow" => follow = true,
            "--speed" => speed = number()?,
            "--idle" => idle_seconds = number()?,
            word if id.is_none() => id = Some(named(word)?),
            _ => return Err(format!("play does not know {word}; {USAGE}")),
        }
    }
    let id = id.ok_or_else(|| format!("play needs a recording's name; {USAGE}"))?;
    Ok(Play {
        id,
        follow,
        speed,
        idle_seconds,
    })
}

/// The value of an option.
fn value<'a>(option: &str, words: &mut impl Iterator<Item = &'a str>) -> Result<&'a str, String> {
    let value = words.next();
    value.ok_or_else(|| format!("{option} needs a value; {USAGE}"))
}

fn only_id<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Id, String> {
    match (words.next(), words.next()) {
        (Some(word), None) => named(word),
        _ => Err(format!("the command takes one recording's name; {USAGE}")),
    }
}

fn named(word: &str) -> Result<Id, String> {
    word.parse().map_err(|error| format!("{word:?} is {error}"))
}

/// `90s`, `30m`, `12h` or `2d`, in seconds, as far back as one can look.
fn age(text: &str) -> Result<i64, String> {
    let wrong = || format!("--since {text:?} is no time such as 90s, 30m, 12h or 2d");
    let (at, unit) = text.char_indices().last().ok_or_else(wrong)?;
    let unit = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return Err(wrong()),
    };
    let count: u32 = text
        .get(..at)
        .unwrap_or_default()
        .parse()
        .map_err(|_| wrong())?;
    let seconds = i64::from(count) * unit;
    match seconds <= i64::from(Library::DAYS) * DAY {
        true => Ok(seconds),
        false => Err(format!("--since must be at most {}d", Library::DAYS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "20261126T205800Z-0123456789abcdef0123456789abcdef";

    #[test]
    fn commands_are_read() {
        let expect = List {
            user: Some("ada".into()),
            namespace: None,
            pod: Some("web-0".into()),
            since_seconds: 172_800,
            limit: 100,
            json: true,
        };
        let read = parse("recordings --user ada --json --since 2d --pod web-0");
        assert_eq!(read, Ok(Command::List(expect)));
        let id: Id = ID.parse().unwrap();
        let play = Play {
            id: id.clone(),
            follow: true,
            speed: 4.0,
            idle_seconds: 2.0,
        };
        assert_eq!(
            parse(&format!("play --follow {ID} --speed 4")),
            Ok(Command::Play(play))
        );
        assert_eq!(
            parse(&format!(" verify  {ID}")),
            Ok(Command::Verify(id.clone()))
        );
        assert_eq!(parse(&format!("link {ID}")), Ok(Command::Link(id.clone())));
        assert_eq!(parse(&format!("export {ID}")), Ok(Command::Export(id)));
        let reindex = Reindex {
            namespace: Some("prod".into()),
            since_seconds: 7200,
        };
        let read = parse("reindex --since 2h --namespace prod");
        assert_eq!(read, Ok(Command::Reindex(reindex)));
    }

    #[test]
    fn what_is_no_command_is_answered_with_what_is() {
        let error = |line: &str, expect: &str| {
            let error = parse(line).unwrap_err();
            assert!(error.contains(expect), "{line:?} gave {error:?}");
        };
        error("", "the commands are");
        error("ls", "no command \"ls\"");
        error("recordings --user", "--user needs a value");
        error("recordings --since soon", "no time");
        error("recordings --since 9999999999999d", "no time");
        error("recordings --since 401d", "at most 400d");
        error("recordings --limit 0", "from 1 to 10000");
        error("recordings --jsn", "does not know --jsn");
        error("reindex --since", "--since needs a value");
        error(&format!("play {ID} --speed"), "--speed needs a value");
        error("play", "needs a recording's name");
        error(
            "play x",
            "\"x\" is not a recording's name; such a name looks like 2026",
        );
        error(&format!("play {ID} --speed nan"), "from 0.1");
        error(&format!("verify {ID} {ID}"), "takes one");
    }
}
