//! Programs and settings found beside a project: Deno and esbuild in a `node_modules`, and what cargo reads above a
//! crate.
//!
//! `loader/js` and the command line ask here. A user who may write to a folder above a project is not trusted: the
//! search ends at the project, or at a folder that others may write to. A program is returned only if nobody else
//! could have put it there ([`ownership`]).

use crate::ownership::{self, Untrusted};
use std::path::{Path, PathBuf};

/// Files in the folder at the root of a project.
const MARKS: [&str; 4] = ["plugins.json", "package.json", "deno.json", "deno.jsonc"];

/// The folders from this one up to the root of its project, the nearest first.
///
/// A project reaches up to the first folder that has a `.git`. If none has, it reaches up to the highest one that has
/// a plugins.json, a package.json or a deno.json. If none has one of those either, it is the folder itself. It ends
/// below a folder that somebody else owns or may write to.
pub fn folders(folder: &Path) -> Vec<PathBuf> {
    let Ok(folder) = dunce::canonicalize(folder) else {
        return vec![folder.to_owned()];
    };
    let mut folders = vec![folder.clone()];
    let above = folder.ancestors().skip(1);
    let own = above.take_while(|it| ownership::is_own(it));
    folders.extend(own.map(Path::to_owned));
    let git = folders.iter().position(|it| it.join(".git").exists());
    let is_marked = |it: &PathBuf| MARKS.iter().any(|mark| it.join(mark).is_file());
    let last = git.or_else(|| folders.iter().rposition(is_marked));
    folders.truncate(last.unwrap_or(0) + 1);
    folders
}

/// The first of these files that exists in a `node_modules` of this folder's project.
///
/// # Errors
/// [`Untrusted`], if somebody else could have put it there.
pub fn program(folder: &Path, files: &[&str]) -> Result<Option<PathBuf>, Untrusted> {
    let modules = folders(folder)
        .into_iter()
        .map(|it| it.join("node_modules"));
    let mut found = modules.flat_map(|dir| files.iter().map(move |file| dir.join(file)));
    let Some(found) = found.find(|file| file.is_file()) else {
        return Ok(None);
    };
    ownership::check(&found)?;
    Ok(Some(found))
}

/// Files above a crate's folder that cargo reads and obeys: they choose the compiler and the workspace.
const OBEYED: [&str; 5] = [
    ".cargo/config.toml",
    ".cargo/config",
    "rust-toolchain.toml",
    "rust-toolchain",
    "Cargo.toml",
];

/// Makes sure that cargo obeys nothing above a crate's folder that was written by anyone but the crate's owner, root
/// or this process's user.
///
/// # Errors
/// [`Untrusted`], with the file or the folder.
pub fn obeyed_by_cargo(source: &Path) -> Result<(), Untrusted> {
    let source = dunce::canonicalize(source).unwrap_or_else(|_| source.to_owned());
    let above = source.ancestors().skip(1);
    let files = above.flat_map(|folder| OBEYED.iter().map(move |file| folder.join(file)));
    files
        .filter(|file| file.symlink_metadata().is_ok())
        .try_for_each(|file| ownership::check_beside(&file, &source))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::private_dir::PrivateDir;
    use std::{fs, os::unix::fs::PermissionsExt};

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_project_ends_where_it_begins() {
        let dir = PrivateDir::create("valor-test-").unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let deep = dir.join("repo/apps/site");
        fs::create_dir_all(&deep).unwrap();
        let top = || folders(&deep).last().unwrap().clone();
        assert_eq!(top(), deep, "nothing is marked");
        for (file, highest) in [
            ("repo/apps/site/plugins.json", "repo/apps/site"),
            ("repo/package.json", "repo"),
            ("package.json", ""),
        ] {
            fs::write(dir.join(file), "{}").unwrap();
            assert_eq!(
                top(),
                dir.join(highest).components().collect::<PathBuf>(),
                "{file}"
            );
        }
        fs::create_dir(dir.join("repo/.git")).unwrap();
        assert_eq!(top(), dir.join("repo"));
        // Below a folder that others may write to.
        chmod(&dir.join("repo"), 0o1777);
        assert_eq!(top(), deep);
        chmod(&dir.join("repo"), 0o755);

        let bin = dir.join("repo/node_modules/.bin");
        fs::create_dir_all(&bin).unwrap();
        assert_eq!(program(&deep, &[".bin/it"]), Ok(None));
        fs::write(bin.join("it"), "").unwrap();
        assert_eq!(program(&deep, &[".bin/it"]), Ok(Some(bin.join("it"))));
        chmod(&bin, 0o777);
        assert!(program(&deep, &[".bin/it"]).is_err());

        assert_eq!(obeyed_by_cargo(&deep), Ok(()));
        let config = dir.join("repo/rust-toolchain");
        fs::write(&config, "").unwrap();
        assert_eq!(obeyed_by_cargo(&deep), Ok(()));
        chmod(&config, 0o666);
        let said = obeyed_by_cargo(&deep).unwrap_err().to_string();
        assert!(
            said.starts_with(&format!("{} may be", config.display())),
            "{said}"
        );
    }
}
