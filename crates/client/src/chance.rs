//! Where random numbers come in: jitter, masking keys, and the names of publishes.

use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};

/// A random number, uniform over all of `u64`.
pub(crate) fn random() -> u64 {
    // The standard library seeds its hash maps from the same source and has a fallback where there is none.
    getrandom::u64().unwrap_or_else(|_| RandomState::new().hash_one(0))
}

/// Sixteen random bytes.
pub(crate) fn nonce() -> [u8; 16] {
    let mut bytes = [0; 16];
    let (first, second) = bytes.split_at_mut(8);
    first.copy_from_slice(&random().to_ne_bytes());
    second.copy_from_slice(&random().to_ne_bytes());
    bytes
}

/// A masking key for one frame.
pub(crate) fn mask() -> [u8; 4] {
    let [a, b, c, d, ..] = random().to_ne_bytes();
    [a, b, c, d]
}

/// A name that nobody else has: 32 hexadecimal digits.
pub(crate) fn unique_key() -> String {
    nonce().iter().fold(String::with_capacity(32), |mut key, byte| {
        let _ = write!(key, "{byte:02x}");
        key
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_unique_and_fit_a_header() {
        let (one, two) = (unique_key(), unique_key());
        assert_ne!(one, two);
        assert!(one.len() == 32 && one.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one}");
    }
}
