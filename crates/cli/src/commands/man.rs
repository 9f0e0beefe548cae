//! `bongsu man`: the manual pages, made from the command line's own description.

use std::io::Write as _;
use std::path::Path;

use clap::{Arg, ArgMatches, Command};
use clap_mangen::Man;

use super::text;
use crate::failure::Failure;
use crate::output::stdout;

const EXAMPLES: &str = "\
EXAMPLES:
  bongsu man | man -l -                         read the page of `bongsu`
  bongsu man --dir ~/.local/share/man/man1      write a page for each command";

/// What the command takes.
pub(super) fn command() -> Command {
    let dir = Arg::new("dir").long("dir").value_name("DIR").help("Write a page for each command into this directory");
    Command::new("man").about("Print the manual page").after_help(EXAMPLES).arg(dir)
}

/// Prints the page, or writes all pages.
pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let mut bongsu = super::command();
    bongsu.build();
    if matches.contains_id("dir") {
        let dir = text(matches, "dir");
        let failed = |error| Failure::failed(format_args!("the pages cannot be written to {dir}: {error}"));
        std::fs::create_dir_all(dir).map_err(failed)?;
        return write_all(&bongsu, "bongsu", Path::new(dir)).map_err(failed);
    }
    let mut out = stdout();
    out.write_all(&page(bongsu)?)?;
    Ok(out.flush()?)
}

fn page(command: Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    Ok(page)
}

/// One page per command: `bongsu.1`, `bongsu-serve.1`, `bongsu-config-show.1`.
fn write_all(command: &Command, name: &str, dir: &Path) -> std::io::Result<()> {
    std::fs::write(dir.join(format!("{name}.1")), page(command.clone().name(name.to_owned()))?)?;
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        write_all(inner, &format!("{name}-{}", inner.get_name()), dir)?;
    }
    Ok(())
}
