//! [`stray`]: a link in a script's installed packages that leads to what is no package.
//!
//! `js` asks each time before it starts a script that may import packages. Deno lets such a script import any file
//! whose path has a `node_modules` in it, by names that are put together as it runs, wherever links on the way lead. So
//! there may be no link that leads out: only to other installed packages, as those of pnpm do, and from a
//! `node_modules` to a package of the project, as those of a workspace do. Links are not followed here; the packages
//! that they lead to are looked through in their turn.

use super::{npm::is_installed, paths};
use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

/// How many files and folders are looked at.
const MOST: usize = 400_000;

/// Where links may lead to.
pub(super) struct Bounds<'a> {
    /// The folder of the script's project.
    pub(super) project: &'a Path,
    /// The plugin directories that links in them may not leave, if the definition came over the network.
    pub(super) dirs: Option<&'a [PathBuf]>,
}

/// Why a script in this folder cannot be started, if its packages have a link that leads out, or are too many to see.
pub(super) fn stray(folder: &Path, bounds: &Bounds<'_>) -> Option<String> {
    stray_of(folder, bounds, MOST)
}

fn stray_of(folder: &Path, bounds: &Bounds<'_>, most: usize) -> Option<String> {
    let mut left = most;
    let mut seen = HashSet::new();
    // Each with the folder that links in it may lead to as well: itself, or the package that it is in.
    let mut open = Vec::new();
    for modules in folder.ancestors().map(|it| it.join("node_modules")) {
        let Ok(real) = dunce::canonicalize(&modules) else {
            continue;
        };
        if !is_installed(&real) {
            return Some(line(&modules));
        }
        open.push((real.clone(), real));
    }
    while let Some((folder, top)) = open.pop() {
        if !seen.insert(folder.clone()) {
            continue;
        }
        // What may not be read here may not be read by Deno.
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Some(fewer) = left.checked_sub(1) else {
                return Some(format!(
                    "its packages have more than {most} files and folders, too many to check that no link leads out of \
                     them: install fewer, or make one file of the script and what it imports (`esbuild FILE --bundle \
                     --format=esm --outfile=FILE`), and put that where no node_modules is beside it or above"
                ));
            };
            left = fewer;
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            let path = entry.path();
            if kind.is_dir() {
                open.push((path, top.clone()));
                continue;
            }
            // One that leads nowhere gives nothing away.
            let Some(target) = kind.is_symlink().then(|| dunce::canonicalize(&path).ok()) else {
                continue;
            };
            let Some(target) = target else {
                continue;
            };
            if !bounds.allow(&path, &target, &top) {
                return Some(line(&path));
            }
            if target.is_dir() && !target.starts_with(&top) {
                open.push((target.clone(), target));
            }
        }
    }
    None
}

impl Bounds<'_> {
    /// Whether a link may lead there.
    fn allow(&self, link: &Path, target: &Path, top: &Path) -> bool {
        if let Some(dirs) = self.dirs
            && paths::inside(dirs, link.parent().unwrap_or(link).to_owned()).is_ok()
            && paths::inside(dirs, target.to_owned()).is_err()
        {
            return false;
        }
        is_installed(target)
            || target.starts_with(top)
            || (is_package(link)
                && target.starts_with(self.project)
                && !link.starts_with(target)
                && target.join("package.json").is_file())
    }
}

/// Whether that is where a package is installed: `node_modules/a`, or `node_modules/@a/b`.
fn is_package(path: &Path) -> bool {
    let mut above = path.ancestors().skip(1).map(Path::file_name);
    let mut next = || above.next().flatten().and_then(|it| it.to_str());
    match next() {
        Some("node_modules") => true,
        Some(scope) => scope.starts_with('@') && next() == Some("node_modules"),
        None => false,
    }
}

fn line(link: &Path) -> String {
    format!(
        "{} is a link that leads out of the installed packages, through which a script could read files that are not \
         packages: replace it with a copy of its target, or remove it",
        link.display()
    )
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::private_dir::PrivateDir;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_lead_to_packages_alone() {
        let dir = PrivateDir::create("valor-test-").unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let project = dir.join("app");
        for name in [
            "app/js/it.js",
            "app/.env",
            "app/lib/data.json",
            "app/packages/util/package.json",
            "app/packages/util/it.js",
            "app/node_modules/.pnpm/a@1/node_modules/a/it.js",
            "app/node_modules/@me/b/it.js",
            "app/js/node_modules/c/it.js",
            "else/node_modules/d/it.js",
            "else/package.json",
            "secret.json",
        ] {
            let file = dir.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "{}").unwrap();
        }
        let folder = project.join("js");
        let bounds = |dirs| Bounds {
            project: &project,
            dirs,
        };
        let of = |dirs| stray(&folder, &bounds(dirs));
        let plugins = [folder.clone()];
        assert_eq!(of(None), None);
        for (link, target, is_allowed, of_registered) in [
            ("node_modules/a", ".pnpm/a@1/node_modules/a", true, true),
            ("node_modules/.bin", "@me/b", true, true),
            ("node_modules/@me/util", "../../packages/util", true, true),
            ("node_modules/d", "../../else/node_modules/d", true, true),
            ("node_modules/gone", "../gone", true, true),
            ("node_modules/@me/b/own", ".", true, true),
            ("js/node_modules/a", "../../node_modules/@me/b", true, false),
            ("js/node_modules/c/d.js", "it.js", true, true),
            ("packages/util/own.js", "it.js", true, true),
            ("node_modules/@me/b/root", "/", false, false),
            ("node_modules/@me/b/it.json", "../../../.env", false, false),
            (
                "node_modules/@me/b/up",
                "../../../packages/util",
                false,
                false,
            ),
            ("node_modules/it", "..", false, false),
            ("node_modules/lib", "../lib", false, false),
            ("node_modules/else", "../../else", false, false),
            ("js/node_modules/c/deep", "../../../../else", false, false),
        ] {
            let path = project.join(link);
            symlink(target, &path).unwrap();
            let expected = |is_allowed: bool| (!is_allowed).then(|| line(&path));
            assert_eq!(of(None), expected(is_allowed), "{link}");
            assert_eq!(of(Some(&plugins)), expected(of_registered), "{link}");
            fs::remove_file(path).unwrap();
        }
        // What a link leads to is looked through as well.
        for (package, target, inner, inner_target) in [
            (
                "util",
                "../packages/util",
                "packages/util/env",
                "../../.env",
            ),
            (
                "d",
                "../../else/node_modules/d",
                "../else/node_modules/d/s",
                "../../../secret.json",
            ),
        ] {
            let link = project.join("node_modules").join(package);
            let inner = project.join(inner);
            symlink(inner_target, &inner).unwrap();
            assert_eq!(of(None), None, "{package}");
            symlink(target, &link).unwrap();
            let real = inner.parent().unwrap().canonicalize().unwrap();
            let expected = line(&real.join(inner.file_name().unwrap()));
            assert_eq!(of(None), Some(expected), "{package}");
            fs::remove_file(link).unwrap();
            fs::remove_file(inner).unwrap();
        }
        let said = stray_of(&folder, &bounds(None), 3).unwrap();
        assert!(
            said.starts_with("its packages have more than 3 files "),
            "{said}"
        );
        assert_eq!(stray_of(&folder, &bounds(None), 100), None);
        // A node_modules that is a link is a package's folder if it leads to one.
        symlink(&dir, folder.join("deep")).unwrap();
        fs::rename(folder.join("node_modules"), folder.join("modules")).unwrap();
        symlink("modules", folder.join("node_modules")).unwrap();
        assert_eq!(of(None), Some(line(&folder.join("node_modules"))));
    }
}
