//! libFuzzer's side of the target `command`; what is checked is in `fuzz/targets`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bongsu_fuzz::command(bytes));
