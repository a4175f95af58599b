use valor::*;

pub struct Greeter;

#[vlugin]
impl Default for Greeter {
    fn default() -> Self {
        Greeter
    }
}

fn main() {}
