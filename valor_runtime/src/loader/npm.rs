//! What a script imports from npm, by a name such as `hono`: whether it may, and the error if that is not
//! installed. `js` asks for both, `valor_cli web` for the latter through [`ScriptError::not_installed`].
//!
//! Packages are found as Node finds them, in a `node_modules` beside the file or above. Nothing is installed here.

use super::{ScriptError, paths};
use crate::file::read;
use serde_json::Value;
use std::path::{Component, Path, PathBuf};

/// The largest package.json that is read.
const LARGEST: u64 = 1 << 20;
/// The keys of a package.json that name packages.
const DEPENDENCIES: [&str; 3] = ["dependencies", "optionalDependencies", "devDependencies"];

/// Whether it is a part of a package.
pub(super) fn is_installed(file: &Path) -> bool {
    file.components()
        .any(|it| it == Component::Normal("node_modules".as_ref()))
}

/// The files that an installation of this file's package writes: the package's package.json, and npm's list of
/// everything in the same `node_modules`, what that package imports included.
pub(super) fn versions(file: &Path) -> Vec<PathBuf> {
    let mut folders = file.ancestors();
    let modules = folders.find(|it| it.ends_with("node_modules"));
    let Some((modules, rest)) = modules.and_then(|it| Some((it, file.strip_prefix(it).ok()?)))
    else {
        return Vec::new();
    };
    let has_scope = rest.to_string_lossy().starts_with('@');
    let package = rest.iter().take(if has_scope { 2 } else { 1 });
    vec![
        package
            .fold(modules.to_owned(), |folder, part| folder.join(part))
            .join("package.json"),
        modules.join(".package-lock.json"),
    ]
}

/// Whether a script may import packages: if a package.json beside it or above, and inside one of `dirs`, names any.
pub(super) fn may_import(file: &Path, dirs: Option<&[PathBuf]>) -> bool {
    let is_inside =
        |it: &&Path| dirs.is_none_or(|dirs| paths::inside(dirs, it.to_path_buf()).is_ok());
    above(file).filter(is_inside).any(|folder| {
        let mut named = dependencies(folder);
        named.any(|packages| packages.as_object().is_some_and(|it| !it.is_empty()))
    })
}

/// The error for a script of which Deno says this, if a package is missing. `file` is the script's.
pub(super) fn missing(said: &str, file: &Path) -> Option<ScriptError> {
    if let Some(linked) = linked(said, file) {
        return Some(linked);
    }
    let forms = [
        ("Import \"", "\" not a dependency"),
        ("Could not resolve \"", "\", but found it in a package.json"),
    ];
    let specifier = between(said, forms)?;
    if said.contains("built-in Node module") {
        return None;
    }
    // The importer stands at the end, relative to the script's folder or as a URL: `… at lib/it.js:1:8`.
    let place = said.rsplit(" at ").next().unwrap_or_default();
    let place = place.rsplitn(3, ':').nth(2).unwrap_or_default();
    let importer = match url::Url::parse(place) {
        Ok(url) => url.to_file_path().unwrap_or_else(|()| file.to_owned()),
        Err(_) => file.with_file_name(place),
    };
    ScriptError::not_installed(&importer, specifier)
}

/// That a package which Deno may not read, or which a script may not import, is a link out of its `node_modules`.
fn linked(said: &str, file: &Path) -> Option<ScriptError> {
    let forms = [
        ("Requires read access to \"", "\""),
        ("it imports ", ", which is outside of its project "),
    ];
    let wanted = Path::new(between(said, forms)?);
    let file = std::fs::canonicalize(file).ok()?;
    let (package, folder) =
        above(&file).find_map(|folder| link_to(&folder.join("node_modules"), wanted))?;
    Some(ScriptError::Linked {
        package,
        folder: shown(&folder),
        script: shown(&file),
    })
}

/// What stands between the two texts of the first of these forms that is found.
fn between<'s>(said: &'s str, forms: [(&str, &str); 2]) -> Option<&'s str> {
    forms.into_iter().find_map(|(before, behind)| {
        let (_, rest) = said.split_once(before)?;
        Some(rest.split_once(behind)?.0)
    })
}

/// The package in a `node_modules` that is a link to what this file is in, and the link's target.
fn link_to(modules: &Path, file: &Path) -> Option<(String, PathBuf)> {
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries(modules).find_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        if name.starts_with('@') {
            let (package, folder) = entries(&entry.path()).find_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                Some((name, leads_to(&entry.path(), file)?))
            })?;
            return Some((format!("{name}/{package}"), folder));
        }
        Some((name, leads_to(&entry.path(), file)?))
    })
}

fn leads_to(link: &Path, file: &Path) -> Option<PathBuf> {
    let is_link = std::fs::symlink_metadata(link).ok()?.is_symlink();
    let folder = std::fs::canonicalize(link).ok()?;
    (is_link && file.starts_with(&folder)).then_some(folder)
}

impl ScriptError {
    /// That a package is not installed, with where and how it would be; `None` where `specifier` is not what a package
    /// is imported by, or the package is there. `importer` is the file that imports it.
    pub fn not_installed(importer: &Path, specifier: &str) -> Option<Self> {
        let package = package(specifier)?;
        let importer = std::fs::canonicalize(importer).ok()?;
        let is_there = |folder: &Path| folder.join("node_modules").join(package).exists();
        if importer.ancestors().any(is_there) {
            return None;
        }
        let names = |folder: &&Path| dependencies(folder).any(|it| it.get(package).is_some());
        let named = above(&importer).find(names);
        let has_one = |folder: &&Path| folder.join("package.json").is_file();
        let folder = named
            .or_else(|| above(&importer).find(has_one))
            .or(importer.parent())?;
        Some(Self::NotInstalled {
            package: package.to_owned(),
            is_named: named.is_some(),
            folder: shown(folder),
            importer: shown(&importer),
        })
    }
}

/// The package that a specifier is of: `a` of `a/b`, `@a/b` of `@a/b/c`, none of a path or a URL.
fn package(specifier: &str) -> Option<&str> {
    let is_bare = |c: char| c.is_alphanumeric() || matches!(c, '@' | '_');
    if !specifier.starts_with(is_bare) || specifier.contains(':') {
        return None;
    }
    let parts = if specifier.starts_with('@') { 2 } else { 1 };
    let mut ends = specifier.match_indices('/').map(|(at, _)| at);
    let end = ends.nth(parts - 1).unwrap_or(specifier.len());
    Some(&specifier[..end])
}

/// The folders of a file, the nearest first; for a file of an installed package those that it is installed in.
fn above(file: &Path) -> impl Iterator<Item = &Path> {
    let is_own = |folder: &&Path| folder.iter().all(|part| part != "node_modules");
    file.ancestors().skip(1).filter(is_own)
}

/// What the package.json of a folder names, each kind of dependency by itself.
fn dependencies(folder: &Path) -> impl Iterator<Item = Value> {
    let read = || {
        let text = read(folder.join("package.json"), LARGEST).ok()?;
        serde_json::from_slice::<Value>(&text).ok()
    };
    let mut manifest = read().unwrap_or_default();
    let kinds = DEPENDENCIES.into_iter();
    kinds.filter_map(move |kind| Some(manifest.get_mut(kind)?.take()))
}

/// A path as short as it can be said from here.
fn shown(path: &Path) -> PathBuf {
    let here = std::env::current_dir().and_then(std::fs::canonicalize);
    let short = here.ok().and_then(|here| path.strip_prefix(here).ok());
    let short = short.filter(|short| !short.as_os_str().is_empty());
    short.unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::{package, versions};
    use std::path::Path;

    #[test]
    fn a_version_is_said_by_the_package_and_by_the_list_of_all() {
        for (file, package) in [
            (
                "/a/node_modules/hono/dist/it.js",
                "/a/node_modules/hono/package.json",
            ),
            (
                "/a/node_modules/@a/b/it.js",
                "/a/node_modules/@a/b/package.json",
            ),
        ] {
            let all = Path::new("/a/node_modules/.package-lock.json");
            assert_eq!(versions(Path::new(file)), [Path::new(package), all]);
        }
        assert_eq!(
            versions(Path::new("/a/node_modules/b/node_modules/c/it.js"))[0],
            Path::new("/a/node_modules/b/node_modules/c/package.json")
        );
        assert!(versions(Path::new("/a/b.js")).is_empty());
    }

    #[test]
    fn packages_of_specifiers() {
        for (specifier, of) in [
            ("hono", Some("hono")),
            ("hono/logger", Some("hono")),
            ("@a/b", Some("@a/b")),
            ("@a/b/c/d", Some("@a/b")),
            ("./hono", None),
            ("../hono", None),
            ("/hono", None),
            ("#hono", None),
            ("", None),
            ("npm:hono", None),
            ("https://example.com/hono", None),
        ] {
            assert_eq!(package(specifier), of, "{specifier}");
        }
    }
}
