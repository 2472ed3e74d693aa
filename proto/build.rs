//! Compiles the messages with protox, so that no protoc is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=podgate");
    let files = ["podgate/v1/agent.proto", "podgate/v1/enrolment.proto"];
    let descriptors = protox::compile(files, ["."])?;
    tonic_prost_build::configure()
        .bytes(".")
        .codec_path("crate::codec::LinkCodec")
        // Queues keep room for several messages, and none of the others is as large.
        .boxed(".podgate.v1.FrontdoorMessage.message.open")
        .compile_fds(descriptors)?;
    Ok(())
}
