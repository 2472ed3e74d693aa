//! Puts the player, which `player/fetch` brings, where the program includes it. A build for release needs it;
//! others go on without, and the program says so.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=player");
    let out = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    let release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    for (from, to) in [
        ("asciinema-player.min.js", "player.js"),
        ("asciinema-player.css", "player.css"),
    ] {
        let from = Path::new("player").join(from);
        let bytes = match fs::read(&from) {
            Ok(bytes) => bytes,
            Err(error) if release => {
                let from = from.display();
                eprintln!("frontdoor/replay/{from}: {error}; run frontdoor/replay/player/fetch");
                return Err(error);
            }
            Err(_) => Vec::new(),
        };
        fs::write(Path::new(&out).join(to), bytes)?;
    }
    Ok(())
}
