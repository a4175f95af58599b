use valor::*;

#[vlugin]
fn app() {}

fn main() {}
