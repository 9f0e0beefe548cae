//! Finds the server binary: `BONGSU_BIN`, or what cargo builds.

use crate::error::{Failure, Result};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The path of the `bongsu` binary; builds it first unless `BONGSU_BIN` names one.
pub fn find() -> Result<PathBuf> {
    match std::env::var_os("BONGSU_BIN") {
        Some(path) if !path.is_empty() => {
            let path = PathBuf::from(path);
            std::path::absolute(&path)
                .ok()
                .filter(|p| p.is_file())
                .ok_or_else(|| Failure::wrong(format!("BONGSU_BIN: no file {}", path.display())))
        }
        _ => build(),
    }
}

fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--package", "bongsu-cli", "--message-format=json-render-diagnostics"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(Failure::wrong("building bongsu-cli failed, see above"));
    }
    executable(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| Failure::wrong("cargo built bongsu-cli but named no executable `bongsu`"))
}

/// The executable named `bongsu` in cargo's JSON messages.
fn executable(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|m| m["target"]["name"] == "bongsu")
        .find_map(|m| m["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_found_among_the_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"serde"},"executable":null}"#,
            "\nnoise\n",
            r#"{"reason":"compiler-artifact","target":{"name":"bongsu"},"executable":"/t/bongsu"}"#,
        );
        assert_eq!(executable(messages), Some(PathBuf::from("/t/bongsu")));
        assert_eq!(executable("{}"), None);
    }
}
