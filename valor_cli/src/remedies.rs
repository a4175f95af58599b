//! What the user can do about a vlugin that is not loaded, a file that is not trusted, or a package that is not sound:
//! options and commands of this program. The library's errors name only facts; this appends the remedies. `faults`,
//! `inspect`, `package` and `sign` call it.

use valor_runtime::{
    Definition, RuntimeError,
    loader::{LoadError, ScriptError},
    package::{PackageError, SignatureError},
};

/// What is wrong with a vlugin of plugins.json, in one line that ends with the remedy. The searched folders are left
/// out: they are listed once, after all faults.
pub fn of_vlugin(definition: &Definition, error: &RuntimeError) -> String {
    let RuntimeError::Load(error) = error else {
        return error.to_string();
    };
    let named = "name its folder with --plugin-dir, or give its file in `path`";
    match (error, &definition.source) {
        (LoadError::Missing { file }, Some(_)) => {
            format!(
                "{} does not exist; run with --build, which builds it",
                file.display()
            )
        }
        (LoadError::NotFound { files, .. }, Some(_)) => {
            format!(
                "{} was not found; run with --build, which builds it",
                files.join(" or ")
            )
        }
        (LoadError::NotFound { files, .. }, None) => {
            let build = match definition.kind.is_built() {
                true => ", or the folder of its crate in `source`, which --build builds",
                false => "",
            };
            format!("{} was not found; {named}{build}", files.join(" or "))
        }
        _ => of(error),
    }
}

/// Why a file is not loaded, in one line that ends with the remedy.
pub fn of(error: &LoadError) -> String {
    let more = match error {
        LoadError::Outside { meant: None, .. } => {
            "; name its folder with --plugin-dir when the program starts"
        }
        LoadError::Script(
            ScriptError::NoDeno { .. }
            | ScriptError::DenoFails { lacks: None, .. }
            | ScriptError::UntrustedDeno { .. },
        ) => " or with --deno",
        LoadError::Package(error) => return of_package(error),
        LoadError::Signature(error) => {
            // What is loaded need not be signed; what is verified is meant to be.
            let more = match error {
                SignatureError::Unsigned { .. } => ", or start without --trust",
                _ => "",
            };
            return of_signature(error) + more;
        }
        _ => "",
    };
    format!("{error}{more}")
}

/// What is wrong with a package, and the remedy.
pub fn of_package(error: &PackageError) -> String {
    let more = match error {
        PackageError::Unsound { .. } | PackageError::Differs { .. } => " with `valor_cli package`",
        _ => "",
    };
    format!("{error}{more}")
}

/// Why a file or a key is not trusted, and the remedy: what `verify` says, and `run` and `check` of a key.
pub fn of_signature(error: &SignatureError) -> String {
    let more = match error {
        SignatureError::KeyInvalid { .. } => " by `valor_cli keygen` or `minisign -G`",
        SignatureError::Unsigned { .. } => " or with `valor_cli package --sign`",
        SignatureError::Untrusted { .. } => ", or name its public key with --trust",
        _ => "",
    };
    format!("{error}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_offered_for_what_can_be_built() {
        let named = "name its folder with --plugin-dir, or give its file in `path`";
        // Without a `source`, --build alone would build nothing.
        let build = ", or the folder of its crate in `source`, which --build builds";
        for (kind, build) in [
            ("native", build),
            ("wasm", build),
            ("wasi", build),
            ("js", ""),
        ] {
            let definition = format!(r#"{{ "type": "{kind}", "name": "a" }}"#);
            let definition = Definition::from_json(&definition).unwrap();
            let error = RuntimeError::from(LoadError::NotFound {
                what: "library",
                name: "a".into(),
                files: vec!["a.x".into(), "a.y".into()],
                looked: Vec::new(),
            });
            assert_eq!(
                of_vlugin(&definition, &error),
                format!("a.x or a.y was not found; {named}{build}")
            );
        }
    }
}
