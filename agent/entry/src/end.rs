//! The end of this process where a part of it cannot go on. What it has started goes on to its end.

/// Says why, and ends.
pub(crate) fn fatal(why: &str) -> ! {
    eprintln!("podgate-node-entry: {why}");
    std::process::exit(1);
}
