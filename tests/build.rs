//! Compiles messages without protoc, so that a checkout builds with cargo alone: a subset of the CRI,
//! and the link as its first version.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    for (file, serve) in [("proto/cri.proto", false), ("proto/link_v1.proto", true)] {
        let descriptors = protox::compile([file], ["proto"])?;
        tonic_prost_build::configure()
            .build_server(serve)
            .compile_fds(descriptors)?;
    }
    Ok(())
}
