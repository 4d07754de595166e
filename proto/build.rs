//! Compiles `v1/*.proto` in pure Rust (no protoc), and keeps the descriptors for reflection.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const FILES: [&str; 6] = [
    "v1/report.proto",
    "v1/enrolment.proto",
    "v1/usage.proto",
    "v1/scoring.proto",
    "v1/registry.proto",
    "v1/evaluation.proto",
];

#[expect(
    clippy::disallowed_methods,
    reason = "a build script is told by its environment"
)]
fn main() -> Result<(), Box<dyn Error>> {
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(FILES, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let encoded = descriptors.encode_to_vec();
    fs::write(out.join("descriptors.bin"), &encoded)?;

    let service = env::var_os("CARGO_FEATURE_SERVICE").is_some();
    tonic_prost_build::configure()
        .build_client(service)
        .build_server(service)
        .build_transport(service)
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)?;

    if env::var_os("CARGO_FEATURE_JSON").is_some() {
        pbjson_build::Builder::new()
            .register_descriptors(&encoded)?
            .ignore_unknown_fields()
            .build(&[".classpulse.v1"])?;
    }
    Ok(())
}
