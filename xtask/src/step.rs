//! One command of a chore: shown, run, and its failure told.

use std::path::PathBuf;
use std::process::Command;

/// Why a chore ended.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) String);

/// The top of the checkout.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask is a folder of the project").to_path_buf()
}

/// Runs a command at the top of the checkout.
pub(crate) fn run(program: &str, args: &[&str]) -> Result<(), Failed> {
    run_with(program, args, &[])
}

/// As [`run`], with environment variables.
pub(crate) fn run_with(program: &str, args: &[&str], env: &[(&str, &str)]) -> Result<(), Failed> {
    let shown = format!("{program} {}", args.join(" "));
    println!("\n==> {shown}");
    let status = Command::new(program).args(args).envs(env.iter().copied()).current_dir(root()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failed(format!("`{shown}` failed ({status})"))),
        Err(error) => Err(Failed(format!("`{shown}` could not be started: {error}"))),
    }
}

/// Whether a command can be started and succeeds; says nothing.
pub(crate) fn works(program: &str, args: &[&str]) -> bool {
    Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
}
