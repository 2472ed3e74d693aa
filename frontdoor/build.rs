//! Tells the crate whether it is built with the published russh, which lacks what `frontdoor/russh` adds.

fn main() {
    println!("cargo::rerun-if-env-changed=PODGATE_STOCK_RUSSH");
    println!("cargo::rustc-check-cfg=cfg(stock_russh)");
    if std::env::var_os("PODGATE_STOCK_RUSSH").is_some_and(|value| value == "1") {
        println!("cargo::rustc-cfg=stock_russh");
    }
}
