//! One command of a chore: shown, run, and its failure told.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

/// Why a chore ended.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) String);

/// The top of the checkout: where it is now, which a checkout that was moved does not have from its build.
pub(crate) fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(here).parent().expect("xtask is a folder of the project").to_path_buf()
}

/// Runs a command at the top of the checkout.
pub(crate) fn run(program: &str, args: &[&str]) -> Result<(), Failed> {
    run_with(program, args, &[])
}

/// As [`run`], with environment variables.
pub(crate) fn run_with(program: &str, args: &[&str], env: &[(&str, &str)]) -> Result<(), Failed> {
    let status = status_of(program, args, env)?;
    if status.success() { Ok(()) } else { Err(failed(program, args, status)) }
}

/// As [`run_with`], for a command whose exit status says more than yes and no.
pub(crate) fn status_of(program: &str, args: &[&str], env: &[(&str, &str)]) -> Result<ExitStatus, Failed> {
    command(program, args).envs(env.iter().copied()).status().map_err(|error| not_started(program, args, &error))
}

/// As [`run`], for a command whose standard output is for the chore and not for the person.
pub(crate) fn output_of(program: &str, args: &[&str]) -> Result<Vec<u8>, Failed> {
    let output = command(program, args).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| not_started(program, args, &error))?;
    if output.status.success() { Ok(output.stdout) } else { Err(failed(program, args, output.status)) }
}

/// As [`run_with`], and shows each line of its standard output to `see` as it passes by.
pub(crate) fn run_seen(
    program: &str,
    args: &[&str],
    env: &[(&str, &str)],
    mut see: impl FnMut(&str),
) -> Result<(), Failed> {
    let child = command(program, args).envs(env.iter().copied()).stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| not_started(program, args, &error))?;
    let output = BufReader::new(child.stdout.take().expect("it was piped just now"));
    for line in output.split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        see(&line);
    }
    let status = child.wait().map_err(|error| not_started(program, args, &error))?;
    if status.success() { Ok(()) } else { Err(failed(program, args, status)) }
}

/// Whether a command can be started and succeeds; says nothing.
pub(crate) fn works(program: &str, args: &[&str]) -> bool {
    Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
}

/// How a command that ran and did not succeed is told.
pub(crate) fn failed(program: &str, args: &[&str], status: ExitStatus) -> Failed {
    Failed(format!("`{}` failed ({status})", shown(program, args)))
}

fn not_started(program: &str, args: &[&str], error: &std::io::Error) -> Failed {
    Failed(format!("`{}` could not be started: {error}", shown(program, args)))
}

fn command(program: &str, args: &[&str]) -> Command {
    println!("\n==> {}", shown(program, args));
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    command
}

fn shown(program: &str, args: &[&str]) -> String {
    format!("{program} {}", args.join(" ")).trim_end().to_owned()
}
