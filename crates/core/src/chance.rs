//! Chance as a port: where every random number comes in, so that a test can replay one.

/// A source of random numbers.
pub trait Chance: Send + Sync + 'static {
    /// A number that nobody can guess.
    fn next(&self) -> u64;

    /// A number from 0 up to but without `end`; 0 when `end` is 0.
    ///
    /// The remainder's bias is below `end / 2^64`, far below anything that spreading load could notice.
    fn below(&self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.next() % end }
    }
}
