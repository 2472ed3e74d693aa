//! What runc and crun say when they start nothing, and the reason in it. Their words change between
//! versions: what is not known stays as they said it.

use serde_json::Value;

use podgate_node_entry::reason::Reason;

/// Bytes of a runtime's own words in an answer, at the most.
const MAX_TEXT: usize = 512;

/// A word of the runtime's, in lower case, and what it means. The first that is found counts.
type Word = (&'static str, fn() -> Reason);

const WORDS: &[Word] = &[
    ("exec in a paused container", || Reason::Paused),
    ("is paused", || Reason::Paused),
    ("paused state", || Reason::Paused),
    ("exec in a stopped container", || Reason::Gone),
    ("container does not exist", || Reason::Gone),
    ("does not exist", || Reason::Gone),
    ("is not running", || Reason::Gone),
    ("chdir", || Reason::WorkingFolder),
    ("cwd", || Reason::WorkingFolder),
    ("current working directory", || Reason::WorkingFolder),
    ("/proc/self/fd/3", || Reason::MemoryProgram),
    ("oom-killed", || Reason::MemoryLimit),
    ("cannot allocate memory", || Reason::MemoryLimit),
    ("signal: killed", || Reason::MemoryLimit),
    ("resource temporarily unavailable", || Reason::ProcessLimit),
    ("failed to create new os thread", || Reason::ProcessLimit),
    ("read init-p: connection reset", || Reason::FirstProcess),
    ("procready", || Reason::Gone),
];

/// The reason in a runtime's log (`--log-format json`), and in what it ended with.
pub(crate) fn reason(log: &[u8]) -> Reason {
    let said = said(log);
    let lower = said.to_lowercase();
    let known = WORDS.iter().find(|(word, _)| lower.contains(word));
    known.map_or_else(|| Reason::Runtime(shorten(&said)), |(_, reason)| reason())
}

/// The errors of a log, the last one first: it is the one that ended the runtime.
fn said(log: &[u8]) -> String {
    let lines = log.split(|&byte| byte == b'\n').rev();
    let errors = lines.filter_map(|line| {
        let line: Value = serde_json::from_slice(line).ok()?;
        let level = line.get("level")?.as_str()?;
        let is_error = matches!(level, "error" | "fatal");
        is_error.then(|| line.get("msg")?.as_str().map(str::to_owned))?
    });
    errors.collect::<Vec<_>>().join("; ")
}

fn shorten(text: &str) -> String {
    let sound = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = sound.take(MAX_TEXT).collect();
    if short.is_empty() {
        short.push_str("it did not say why");
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(text: &str) -> Vec<u8> {
        let warning = r#"{"level":"warning","msg":"chdir","time":"x"}"#;
        let error = serde_json::json!({"level": "error", "msg": text, "time": "x"});
        format!("{warning}\n{error}\n").into_bytes()
    }

    #[test]
    fn a_runtimes_words_become_a_reason() {
        let check = |text: &str, expect: Reason| assert_eq!(reason(&log(text)), expect, "{text}");
        // runc
        check("cannot exec in a stopped container", Reason::Gone);
        check("container does not exist", Reason::Gone);
        check(
            "cannot exec in a paused container (use --ignore-paused to override)",
            Reason::Paused,
        );
        check(
            "exec failed: unable to start container process: chdir to cwd (\"/gone\") set in \
             config.json failed: no such file or directory",
            Reason::WorkingFolder,
        );
        check(
            "exec failed: unable to start container process: exec: \"/proc/self/fd/3\": permission denied",
            Reason::MemoryProgram,
        );
        check(
            "exec failed: unable to start container process: can't get final child's PID from pipe: \
             nsexec-1[9]: unable to spawn stage-2: Resource temporarily unavailable",
            Reason::ProcessLimit,
        );
        check(
            "runtime: failed to create new OS thread (have 2 already; errno=11)",
            Reason::ProcessLimit,
        );
        check(
            "exec failed: unable to start container process: read init-p: connection reset by peer",
            Reason::FirstProcess,
        );
        check(
            "exec failed: unable to start container process: signal: killed",
            Reason::MemoryLimit,
        );
        // crun
        check(
            "error opening file `/run/crun/x/status`: No such file or directory: does not exist",
            Reason::Gone,
        );
        check("the container `x` is not running", Reason::Gone);
        check("the container `x` is paused", Reason::Paused);
        check(
            "chdir to `/gone`: No such file or directory",
            Reason::WorkingFolder,
        );
        check(
            "fork: Resource temporarily unavailable",
            Reason::ProcessLimit,
        );
    }

    #[test]
    fn unknown_words_are_bounded_and_harmless() {
        let said = |reason: Reason| match reason {
            Reason::Runtime(text) => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(said(reason(&log("new\u{1b}[31m words"))), "new [31m words");
        assert_eq!(said(reason(b"")), "it did not say why");
        assert_eq!(said(reason(b"\xff\n{\n")), "it did not say why");
        assert_eq!(
            said(reason(&log(&"ä".repeat(9999)))).chars().count(),
            MAX_TEXT
        );
    }
}
