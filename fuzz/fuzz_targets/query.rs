//! libFuzzer's side of the target `query`; what is checked is in `fuzz/targets`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bongsu_fuzz::query(bytes));
