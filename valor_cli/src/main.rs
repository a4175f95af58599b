//! The program `valor_cli`.
fn main() {}
