//! Trouble in a container, recognized by what shells and runtimes print.

use crate::exec::status;
use crate::trouble::Trouble;

/// 128 and SIGKILL's number.
const KILLED: u8 = 137;

/// The trouble that a shell or a runtime reports: from fork(2), clone(2), execve(2), chdir(2). dash
/// gives no reason.
pub(crate) fn in_words(words: &str) -> Option<Trouble> {
    if let Some(folder) = status::gone_folder(words) {
        return Some(Trouble::Folder(folder.to_owned()));
    }
    let memory = words.contains("annot allocate memory") || words.contains("OOM");
    if memory {
        Some(Trouble::Memory)
    } else if words.contains("esource temporarily unavailable") || words.contains("Cannot fork") {
        Some(Trouble::Processes)
    } else if words.contains("read init-p: connection reset") {
        Some(Trouble::Died)
    } else {
        None
    }
}

/// The trouble that the status of a shell shows that ended before it ran anything.
pub(super) fn in_status(code: u8) -> Option<Trouble> {
    (code == KILLED).then_some(Trouble::Killed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_from_words() {
        let check = |words: &str, expect: Option<Trouble>| {
            assert_eq!(in_words(words), expect, "{words}");
        };
        // dash, busybox, bash.
        check("sh: 1: Cannot fork\n", Some(Trouble::Processes));
        let unavailable = "Resource temporarily unavailable";
        check(
            &format!("sh: can't fork: {unavailable}"),
            Some(Trouble::Processes),
        );
        check(
            &format!("sh: fork: retry: {unavailable}"),
            Some(Trouble::Processes),
        );
        check("sh: fork: Cannot allocate memory", Some(Trouble::Memory));
        // runc.
        check(
            "container init was OOM-killed (memory limit too low?)",
            Some(Trouble::Memory),
        );
        let gone = r#"unable to start container process: chdir to cwd ("/gone") set in config.json failed: no such file or directory"#;
        check(gone, Some(Trouble::Folder("/gone".to_owned())));
        check("sh: warning: setlocale: LC_ALL", None);
    }
}
