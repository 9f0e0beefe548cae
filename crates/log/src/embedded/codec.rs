//! Bytes of a record: a version, a checksum over key and content, then the content in simple fields.
//!
//! Every record that the log keeps has this form, so that no damaged byte is ever taken for data, whatever the store
//! below checks or does not check. Numbers are little-endian base-128 groups, texts have their length before them.

/// The layout of records. A change of it is a new number, and old numbers stay readable.
const VERSION: u8 = 1;
/// Version and checksum.
const HEAD_BYTES: usize = 5;

/// A record that is not what was written, or was written by a newer version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

/// Writes fields at the end of a buffer.
pub(crate) struct Writer<'a> {
    bytes: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Writer<'a> {
    /// A record of its own: [`finish`](Self::finish) gives it its checksum.
    pub(crate) fn record(bytes: &'a mut Vec<u8>) -> Self {
        let start = bytes.len();
        bytes.extend([VERSION, 0, 0, 0, 0]);
        Self { bytes, start }
    }

    /// Fields of something that has a checksum as a whole.
    pub(crate) fn fields(bytes: &'a mut Vec<u8>) -> Self {
        let start = bytes.len();
        Self { bytes, start }
    }

    pub(crate) fn byte(&mut self, byte: u8) -> &mut Self {
        self.bytes.push(byte);
        self
    }

    pub(crate) fn number(&mut self, mut number: u64) -> &mut Self {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.byte(number as u8)
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.number(text.len() as u64).raw(text.as_bytes())
    }

    /// Bytes without a length: of a fixed number, or the last field.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Ends the record as it is kept under `key`.
    pub(crate) fn finish(self, key: &[u8]) {
        let (head, content) = self.bytes[self.start..].split_at_mut(HEAD_BYTES);
        head[1..].copy_from_slice(&checksum(key, VERSION, content));
    }
}

/// The checksum covers the key too: a record that turns up under another key is as wrong as a changed one.
fn checksum(key: &[u8], version: u8, content: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(&[version]);
    hasher.update(content);
    hasher.finalize().to_le_bytes()
}

/// Reads one record, field by field.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Fields of something that was checked as a whole.
    pub(crate) fn fields(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next `length` bytes.
    pub(crate) fn raw(&mut self, length: usize) -> Result<&'a [u8], Damaged> {
        let (raw, rest) = self.0.split_at_checked(length).ok_or(Damaged)?;
        self.0 = rest;
        Ok(raw)
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }

    /// Checks the record kept under `key`.
    pub(crate) fn new(key: &[u8], record: &'a [u8]) -> Result<Self, Damaged> {
        let (head, content) = record.split_first_chunk::<HEAD_BYTES>().ok_or(Damaged)?;
        if head[0] != VERSION || head[1..] != checksum(key, head[0], content) {
            return Err(Damaged);
        }
        Ok(Self(content))
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Damaged> {
        let (byte, rest) = self.0.split_first().ok_or(Damaged)?;
        self.0 = rest;
        Ok(*byte)
    }

    pub(crate) fn number(&mut self) -> Result<u64, Damaged> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Damaged)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Damaged> {
        let length = usize::try_from(self.number()?).map_err(|_| Damaged)?;
        std::str::from_utf8(self.raw(length)?).map_err(|_| Damaged)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Damaged)?;
        self.0 = rest;
        Ok(*array)
    }

    /// Everything that is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::record(&mut bytes);
        writer.byte(7).number(0).number(127).number(128).number(u64::MAX).text("봉수").raw(b"rest");
        writer.finish(b"key");
        bytes
    }

    #[test]
    fn fields_come_back() {
        let record = record();
        let mut reader = Reader::new(b"key", &record).unwrap();
        assert_eq!(reader.byte(), Ok(7));
        for number in [0, 127, 128, u64::MAX] {
            assert_eq!(reader.number(), Ok(number));
        }
        assert_eq!((reader.text(), reader.rest()), (Ok("봉수"), &b"rest"[..]));
    }

    #[test]
    fn no_flipped_bit_and_no_other_key_passes() {
        let record = record();
        for bit in 0..record.len() * 8 {
            let mut bad = record.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Reader::new(b"key", &bad).is_err(), "bit {bit}");
        }
        for length in 0..record.len() {
            assert!(Reader::new(b"key", &record[..length]).is_err(), "cut to {length}");
        }
        assert!(Reader::new(b"kez", &record).is_err());
    }

    #[test]
    fn a_record_that_ends_too_early_is_damaged() {
        let mut record = Vec::new();
        Writer::record(&mut record).finish(b"");
        let reader = || Reader::new(b"", &record).unwrap();
        assert_eq!((reader().byte(), reader().number(), reader().text()), (Err(Damaged), Err(Damaged), Err(Damaged)));
        assert_eq!(reader().array::<1>(), Err(Damaged));
        let mut endless = Vec::new();
        let mut writer = Writer::record(&mut endless);
        writer.raw(&[0xff; 11]);
        writer.finish(b"");
        assert_eq!(Reader::new(b"", &endless).unwrap().number(), Err(Damaged));
    }
}
