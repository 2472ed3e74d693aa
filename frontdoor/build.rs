//! Tells the crate whether it is built with the published russh, which lacks what `frontdoor/russh`
//! adds. Stops such a build unless it was asked for.

use std::path::Path;

/// Where `frontdoor/russh/lay-out`, or whoever has a configuration of their own, names the patched russh.
const CARGO_CONFIG: &str = "../.cargo/config.toml";

fn main() {
    println!("cargo::rerun-if-env-changed=PODGATE_STOCK_RUSSH");
    println!("cargo::rerun-if-changed={CARGO_CONFIG}");
    println!("cargo::rustc-check-cfg=cfg(stock_russh)");
    let config = std::fs::read_to_string(Path::new(CARGO_CONFIG)).unwrap_or_default();
    if std::env::var_os("PODGATE_STOCK_RUSSH").is_some_and(|value| value == "1") {
        println!("cargo::rustc-cfg=stock_russh");
    } else if !config.contains("russh-") {
        println!(
            "cargo::error=This is the published russh, in which one slow reader stalls its whole \
             connection. Run frontdoor/russh/lay-out to build with the patched one, or set \
             PODGATE_STOCK_RUSSH=1 to build without the patch."
        );
    }
}
