//! Masking (RFC 6455 §5.3): XOR with a key of four bytes, eight payload bytes at a time.
//!
//! Clients mask so that hostile page script cannot place chosen bytes on the wire before a careless
//! proxy. It must not know frames, nor where keys come from.

/// A masking key. A client draws a fresh, unpredictable one for every frame (§5.3).
pub type MaskKey = [u8; 4];

/// Masks or unmasks `data` in place; the two are the same operation.
///
/// `offset` is the position of `data`'s first byte within the frame's payload, so that a payload may
/// be handled in pieces of any length.
pub fn apply_mask(data: &mut [u8], key: MaskKey, offset: u64) {
    let [a, b, c, d] = rotated(key, offset);
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = data.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip([a, b, c, d, a, b, c]) {
        *byte ^= key;
    }
}

/// The key as seen from `offset`: "octet i is XORed with octet i modulo 4 of the key".
fn rotated(mut key: MaskKey, offset: u64) -> MaskKey {
    // The remainder is 0-3, so the cast keeps it whole.
    key.rotate_left((offset % 4) as usize);
    key
}
