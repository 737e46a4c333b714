#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| starburst_testkit::decoders::environment(data));
