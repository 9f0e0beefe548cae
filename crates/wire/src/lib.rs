//! Bytes to nouns and back, without I/O: one file per encoding.
