//! The runtimes that commands run on.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};

use crate::failure::Failure;

/// Runs a client's work to its end on this thread. Ctrl-C is left to the work.
pub(crate) fn client<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    run(Builder::new_current_thread().enable_all().build(), work)
}

/// Runs a server to its end on all cores.
pub(crate) fn server<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    run(Builder::new_multi_thread().enable_all().build(), work)
}

fn run<T>(runtime: std::io::Result<Runtime>, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = runtime.map_err(|error| Failure::failed(format_args!("the runtime cannot start: {error}")))?;
    let result = runtime.block_on(work);
    // A read of the standard input cannot be called off: waiting for it would keep the process alive until Enter.
    runtime.shutdown_background();
    result
}
