//! What `#[vlugin]` says where it is used wrongly: each file in `wrong/` is a mistake, with the
//! text that its author reads beside it. Right use is in `valor_abi/tests/form_*.rs`.
//!
//! The texts are rustc's own in part, so they are those of the toolchain that the project is
//! built with. `TRYBUILD=overwrite cargo test -p valor_abi_macros` writes them anew. They are
//! tested here and not in `valor_abi`, because trybuild builds every dependency of the tests
//! once more.

#[test]
fn mistakes_are_told_at_the_word_to_change() {
    trybuild::TestCases::new().compile_fail("tests/wrong/*.rs");
}
