//! What `#[vlugin]` reports if it is misused. Each file in `wrong/` is a mistake, next to the text that its author
//! reads. Correct use is in `valor_abi/tests/form_*.rs`.
//!
//! Parts of the texts come from rustc, so they are those of the toolchain that the project is built with.
//! `TRYBUILD=overwrite cargo test -p valor_abi_macros` updates them. They are tested here and not in `valor_abi`,
//! because trybuild builds every dependency of the tests again.

#[test]
fn mistakes_are_told_at_the_word_to_change() {
    trybuild::TestCases::new().compile_fail("tests/wrong/*.rs");
}
