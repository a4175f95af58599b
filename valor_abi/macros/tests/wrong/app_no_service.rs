use valor::*;

#[vlugin]
fn app(_cx: &mut Context) -> u64 {
    42
}

fn main() {}
