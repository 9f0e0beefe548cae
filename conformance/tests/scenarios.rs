//! Every scenario on every way, as one named test each: `cargo test -p bongsu-conformance --test
//! scenarios -- order::` runs a theme, `-- ::sse` a way. `BONGSU_SCENARIOS` names another folder.

use bongsu_conformance::run::{Pool, trial};
use bongsu_conformance::{binary, scenario};
use libtest_mimic::{Arguments, Trial};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Trials mostly wait, so more of them run at a time than there are processors.
const THREADS: usize = 12;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let dir = std::env::var_os("BONGSU_SCENARIOS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios"), PathBuf::from);
    let mut trials = scenario::load(&dir).unwrap_or_else(|f| panic!("{f}"));
    // The longest first, so that nothing long is left to run alone at the end.
    trials.sort_by_key(|trial| std::cmp::Reverse(trial.scenario.timeout_s));
    if arguments.list {
        return libtest_mimic::run(&arguments, tests(trials, None)).exit_code();
    }
    let binary = binary::find().unwrap_or_else(|f| panic!("{f}"));
    let pool = Arc::new(Pool::new(binary));
    let conclusion = libtest_mimic::run(&arguments, tests(trials, Some(&pool)));
    // The pool ends its servers when it goes, which is why nothing here exits the process.
    drop(pool);
    conclusion.exit_code()
}

fn tests(trials: Vec<scenario::Trial>, pool: Option<&Arc<Pool>>) -> Vec<Trial> {
    trials
        .into_iter()
        .map(|one| {
            let pool = pool.cloned();
            Trial::test(one.name.clone(), move || match pool {
                Some(pool) => trial(&pool, &one).map_err(Into::into),
                None => Ok(()),
            })
        })
        .collect()
}
