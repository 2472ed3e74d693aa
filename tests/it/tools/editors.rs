//! Emacs' TRAMP: its sequence.

use super::*;

/// A terminal without its features; all goes through one shell, files too. Each line waits for the prompt.
#[tokio::test(flavor = "multi_thread")]
async fn tramp() {
    let place = Place::new().await;
    let options = ["-e", "none", "-oControlMaster=no"];
    let mut shell = place
        .stand
        .client
        .terminal_with(&options, POD, &[], 24, 80)
        .unwrap();
    let start = "exec env TERM='dumb' INSIDE_EMACS='29.4,tramp:2.6.3' ENV='' HISTFILE=~/.tramp_history \
        PROMPT_COMMAND='' PS1='///'1'#$' PS2='' PS3='' /bin/sh -i\n";
    shell.send(start).await.unwrap();
    let attributes =
        "stat -c '((\"%N\") %h (\"%U\" . %u) (\"%G\" . %g) %X %Y %Z %s \"%A\" t %i -1)' /";
    for (line, expect) in [
        ("stty -inlcr -onlcr -echo kill '^U' erase '^H'", ""),
        ("set +o vi +o emacs", ""),
        ("stty iutf8 tab0", ""),
        ("(echo foo ; echo bar)", "foo\nbar\n"),
        ("cd ~/ && echo \"home:$(pwd)\"", "home:/root\n"),
        (
            "test -e /bin 2>/dev/null; echo tramp_exit_status $?",
            "tramp_exit_status 0\n",
        ),
        (
            "test -e /none 2>/dev/null; echo tramp_exit_status $?",
            "tramp_exit_status 1\n",
        ),
        (attributes, "(\"root\" . 0)"),
        (
            "base64 -d -i >/tmp/written <<'EOF'\naGVsbG8gdGhlcmUK\nEOF",
            "",
        ),
        ("base64 </tmp/written", "aGVsbG8gdGhlcmUK\n"),
    ] {
        shell.expect("///1#$").await.unwrap();
        shell.send(&format!("{line}\n")).await.unwrap();
        shell.expect(expect).await.unwrap();
    }
    shell.expect("///1#$").await.unwrap();
    shell.send("exit 7\n").await.unwrap();
    assert_eq!(shell.end().await.unwrap().1, 7);
    assert_eq!(place.says(&[], "cat /tmp/written").await, "hello there\n");
}
