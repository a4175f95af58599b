//! Which `valor_abi` a new crate is built with. The template takes a version or a path, and sees from a `/` which one
//! it is.

use std::path::{Path, PathBuf};
use valor_runtime::{
    file,
    ownership::{self, Untrusted},
};

/// The folder of `valor_abi` in the clone that this program was built from. An installed program may be far from it,
/// and one that was built for others knows none: then this is no folder.
const OF_THE_CLONE: &str = concat!(env!("VALOR_CLONE"), "/../valor_abi");

/// A version, or an absolute path with forward slashes.
///
/// # Errors
/// If what was asked for is neither.
pub fn asked(asked: Option<&str>) -> Result<String, String> {
    let Some(asked) = asked else {
        return Ok(match in_the_clone() {
            Ok(Some(folder)) => folder,
            Ok(None) | Err(_) => version(),
        });
    };
    if let Some(folder) = [asked.into(), Path::new(asked).join("valor_abi")]
        .into_iter()
        .find(|folder| is_valor_abi(folder))
    {
        return path(&folder).ok_or_else(|| {
            format!(
                "the path of {asked} has a `\"` in it, which no Cargo.toml takes; move the clone"
            )
        });
    }
    let is_version = asked.starts_with(|c: char| c.is_ascii_digit() || "^~=<>".contains(c))
        && !asked.contains('/');
    match is_version {
        true => Ok(asked.to_owned()),
        false => Err(format!(
            "`{asked}` is neither a version nor the folder of valor_abi; give `{}`, or the path of a clone",
            version()
        )),
    }
}

/// The version that belongs to this program: without the last number, as the template has it.
pub fn version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let version = version.rsplit_once('.').map_or(version, |(most, _)| most);
    version.to_owned()
}

/// The clone that the program was built from, if it is still there and nobody else could have put it there.
fn in_the_clone() -> Result<Option<String>, Untrusted> {
    let folder = Path::new(OF_THE_CLONE);
    if env!("VALOR_CLONE").is_empty() || !is_valor_abi(folder) {
        return Ok(None);
    }
    ownership::check(&folder.join("Cargo.toml"))?;
    Ok(path(folder))
}

/// Whether this is the folder of the crate.
fn is_valor_abi(folder: &Path) -> bool {
    let manifest = file::read_text(folder.join("Cargo.toml"), file::TEXT);
    let manifest = manifest
        .ok()
        .and_then(|text| text.parse::<toml::Table>().ok());
    let name = manifest
        .as_ref()
        .and_then(|it| it.get("package")?.get("name")?.as_str());
    name == Some("valor_abi")
}

/// As the template takes it.
fn path(folder: &Path) -> Option<String> {
    let folder = folder
        .canonicalize()
        .or_else(|_| std::path::absolute(folder));
    let folder: PathBuf = folder.ok()?;
    let folder = folder.to_str()?;
    // What Windows puts before a path that it has made canonical.
    let folder = folder
        .strip_prefix(r"\\?\")
        .unwrap_or(folder)
        .replace('\\', "/");
    (!folder.contains('"')).then_some(folder)
}
