//! Carries the staged fetcher into the worker (feature `embed-fetcher`).
//!
//! Copies two files that one recipe made and writes a line of Rust that names them. Compiles nothing and
//! downloads nothing.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where the recipe leaves its result, from this package.
const STAGED: &str = "../images/fetcher/staged-by-make-image";
const FILES: [&str; 2] = ["safeurl-fetcher", "Dockerfile"];

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    let Some(out) = env::var_os("OUT_DIR").map(PathBuf::from) else {
        println!("cargo::error=cargo did not set OUT_DIR");
        return ExitCode::FAILURE;
    };
    let result = match env::var_os("CARGO_FEATURE_EMBED_FETCHER") {
        Some(_) => embed(&out),
        None => fs::write(out.join("embedded.rs"), "None").map_err(|error| error.to_string()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("cargo::error={message}");
            ExitCode::FAILURE
        }
    }
}

fn embed(out: &Path) -> Result<(), String> {
    for file in FILES {
        let staged = Path::new(STAGED).join(file);
        println!("cargo::rerun-if-changed={}", staged.display());
        fs::copy(&staged, out.join(file)).map_err(|error| {
            format!("no staged fetcher to embed ({}: {error}); run `make build`", staged.display())
        })?;
    }
    let code = "Some(Embedded {
    binary: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/safeurl-fetcher\")),
    dockerfile: include_str!(concat!(env!(\"OUT_DIR\"), \"/Dockerfile\")),
})";
    fs::write(out.join("embedded.rs"), code).map_err(|error| error.to_string())
}
