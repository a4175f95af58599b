//! One check, for any bytes, of what the judge of components promises: a file is taken or refused in one line, and what
//! it takes, wasmtime compiles and links without a fault of its own. The fuzz target `components`
//! (`valor_runtime/fuzz`) calls [`check`]; a test runs it on the corpus.

use super::component;
use crate::{Limits, loader::ComponentError};
use std::path::Path;

/// Does with these bytes all that is done with a component before it is instantiated. Returns whether it is taken.
///
/// # Panics
/// If a promise is broken.
pub fn check(bytes: &[u8]) -> bool {
    let limits = Limits::default();
    let outcome = component::check_start(Path::new("it.wasm"), bytes)
        .and_then(|()| component::check(bytes, None, &limits, &|_| {}).map(drop));
    let Err(error) = outcome else { return true };
    // The judge finds everything that wasmtime would.
    assert!(
        !matches!(error, ComponentError::Start(_) | ComponentError::Engine(_)),
        "{error}"
    );
    let line = error.to_string();
    assert!(!line.contains(char::is_control), "{line:?}");
    assert!(line.len() < 5_000, "{} bytes: {line}", line.len());
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_is_judged() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/components");
        let (mut taken, mut refused) = (0, 0);
        for file in std::fs::read_dir(corpus).unwrap() {
            let file = file.unwrap().path();
            let is_sound = file.to_string_lossy().contains("sound");
            let is_taken = check(&std::fs::read(&file).unwrap());
            assert_eq!(is_taken, is_sound, "{}", file.display());
            *if is_taken { &mut taken } else { &mut refused } += 1;
        }
        assert!(
            taken >= 4 && refused >= 4,
            "{taken} taken, {refused} refused"
        );
    }
}
