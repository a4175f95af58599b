use valor::*;

#[vlugin]
pub struct Greeter {
    name: String,
}

fn main() {}
