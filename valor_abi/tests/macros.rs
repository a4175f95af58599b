//! What `#[vlugin]` takes and what it refuses: each file in `ui/right/` is a vlugin with its
//! conversation, each in `ui/wrong/` a mistake, with the text that its author reads beside it.
//!
//! The texts are rustc's own in part, so they are those of the toolchain that the project is
//! built with. `TRYBUILD=overwrite cargo test -p valor_abi --test macros` writes them anew.

#[test]
fn right_and_wrong_use() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/right/*.rs");
    cases.compile_fail("tests/ui/wrong/*.rs");
}
