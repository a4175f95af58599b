//! [`Imports`]: what a script may import, and which files it may read.
//!
//! `js` asks before a script runs, and `valor_cli web` before one goes into a page: a file that is a vlugin on one is a
//! vlugin on the other. Code is imported from the script's project, of which it is a part. Data is read, however that
//! is written, so it has to be in what the definition's `files` names. A path is judged for where its links lead, also
//! in an installed package.

use super::{LoadError, ScriptError, code, links, npm, paths};
use crate::{Definition, project};
use std::path::{Path, PathBuf};

/// What one script may import and read.
#[derive(Debug, Clone)]
pub struct Imports {
    /// The script, its links resolved.
    file: PathBuf,
    /// The folder that what it imports is in.
    project: PathBuf,
    /// The plugin directories that it has to be in as well, if the definition came over the network.
    dirs: Option<Vec<PathBuf>>,
    /// What `files` names, as absolute paths.
    files: Vec<PathBuf>,
    /// Whether it imports packages from npm, with all that is in them.
    packages: bool,
}

impl Imports {
    /// Of the script in this file, with the definition that names it. `base` is the folder of plugins.json, and what is
    /// below it is of one project.
    ///
    /// # Errors
    /// [`ScriptError::NoFile`] if `files` names something that does not exist, and [`ScriptError::Failed`] if it names
    /// a link that leads out of the script's folder.
    pub fn of(file: &Path, definition: &Definition, base: &Path) -> Result<Self, LoadError> {
        Self::inside(file, definition, base, None)
    }

    /// The same; with `dirs`, all of it lies inside one of these directories.
    ///
    /// # Errors
    /// Also [`LoadError::Outside`].
    pub(super) fn inside(
        file: &Path,
        definition: &Definition,
        base: &Path,
        dirs: Option<&[PathBuf]>,
    ) -> Result<Self, LoadError> {
        let real = dunce::canonicalize(file);
        let file = real.as_deref().unwrap_or(file);
        let folder = file.parent().unwrap_or(Path::new("/"));
        let files = definition.files.iter().map(|named| {
            let path = match &**named {
                "." => folder.to_owned(),
                named => folder.join(named),
            };
            if let Some(dirs) = dirs {
                paths::inside(dirs, path.clone())?;
            }
            match dunce::canonicalize(&path) {
                Ok(real) if !real.starts_with(folder) => Err(ScriptError::Failed {
                    message: format!(
                        "`files` names a link that leads out of the script's folder {}; name a file or a folder that \
                         is in it",
                        folder.display()
                    ),
                    file: path,
                }
                .into()),
                Err(error) if paths::is_absent(&error) => Err(ScriptError::NoFile {
                    named: named.clone(),
                    folder: folder.to_owned(),
                }
                .into()),
                _ => Ok(path),
            }
        });
        Ok(Self {
            files: files.collect::<Result<_, LoadError>>()?,
            project: project_of(folder, base),
            dirs: dirs.map(<[_]>::to_owned),
            packages: npm::may_import(file, dirs),
            file: file.to_owned(),
        })
    }

    /// What the script may read.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The script, its links resolved.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The folder that what it imports is in.
    pub(super) fn project(&self) -> &Path {
        &self.project
    }

    /// Whether it imports packages from npm.
    pub fn packages(&self) -> bool {
        self.packages
    }

    /// Why a script that can import packages may not be started, if a link in those beside it or above leads out of
    /// them: names that it puts together as it runs are not seen by [`Self::refusal`].
    pub(super) fn stray(&self) -> Option<String> {
        let bounds = links::Bounds {
            project: &self.project,
            dirs: self.dirs.as_deref(),
        };
        links::stray(self.file.parent()?, &bounds)
    }

    /// Why the script may not import this file, if it may not, and what to do about it. A missing file is
    /// for its reader to report.
    pub fn refusal(&self, imported: &Path) -> Option<String> {
        let real = dunce::canonicalize(imported);
        let real = real.as_deref().unwrap_or(imported);
        let shown = imported.display();
        if let Some(dirs) = &self.dirs
            && paths::inside(dirs, imported.to_owned()).is_err()
        {
            return Some(format!(
                "it imports {shown}, which is not inside a plugin directory; all files of a script that is registered \
                 over HTTP must be: put that file into the script's folder"
            ));
        }
        // Deno's own rules say which.
        if self.packages && npm::is_installed(real) {
            return None;
        }
        if !real.starts_with(&self.project) {
            let (file, project) = (self.file.display(), self.project.display());
            return Some(format!(
                "it imports {shown}, which is outside of its project {project} (a project reaches up to a .git, or \
                 else to the highest plugins.json, package.json or deno.json): move that file into the project, or \
                 make one file of the script and what it imports (`esbuild {file} --bundle --format=esm \
                 --outfile=FILE`)"
            ));
        }
        if real.is_file()
            && let Some(misnamed) = code::misnamed(real)
        {
            return Some(misnamed);
        }
        let is_granted = |path: &Path| self.files.iter().any(|it| path.starts_with(it));
        if code::is_code(real) || !real.is_file() || is_granted(imported) || is_granted(real) {
            return None;
        }
        let folder = self.file.parent()?;
        let inside = imported.strip_prefix(folder);
        Some(match inside.or_else(|_| real.strip_prefix(folder)) {
            Ok(inside) => {
                let inside = inside.display().to_string().replace('\\', "/");
                format!(
                    "it imports `{inside}`, which is not code: to read it, its definition must name it, \"files\": \
                     [\"{inside}\"]"
                )
            }
            Err(_) => format!(
                "it imports {shown}, which is not code and outside of its folder {}: move that file into the folder, \
                 and name it in its definition's `files`",
                folder.display()
            ),
        })
    }
}

/// The folder of plugins.json, if it is the script's or above it and not inside the project; else the project.
fn project_of(folder: &Path, base: &Path) -> PathBuf {
    let top = project::folders(folder).pop();
    let top = top.unwrap_or_else(|| folder.to_owned());
    match dunce::canonicalize(base) {
        Ok(base) if top.starts_with(&base) => base,
        _ => top,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::{Kind, private_dir::PrivateDir};
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn code_is_of_the_project_and_data_of_files() {
        let dir = PrivateDir::create("valor-test-").unwrap();
        let dir = dir.path().canonicalize().unwrap();
        for name in [
            "app/plugins.json",
            "app/lib/code.ts",
            "app/lib/data.json",
            "app/js/it.js",
            "app/js/near.js",
            "app/js/.env",
            "app/js/granted/words.txt",
            "app/node_modules/x/data.json",
            "other.js",
        ] {
            let file = dir.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "{}").unwrap();
        }
        symlink("../../other.js", dir.join("app/js/leads_out.js")).unwrap();
        symlink(".env", dir.join("app/js/data.js")).unwrap();
        let file = dir.join("app/js/it.js");
        let mut definition = Definition::new(Kind::Js, "it");
        definition.files = vec!["granted".into()];
        let base = dir.join("app");
        let imports = Imports::of(&file, &definition, &base).unwrap();
        let refusal = |name: &str| imports.refusal(&dir.join("app").join(name));
        for allowed in [
            "js/near.js",
            "lib/code.ts",
            "js/granted/words.txt",
            "js/not_there.txt",
        ] {
            assert_eq!(refusal(allowed), None, "{allowed}");
        }
        for (refused, part) in [
            ("../other.js", "which is outside of its project "),
            ("js/leads_out.js", "which is outside of its project "),
            (
                "js/.env",
                "it imports `.env`, which is not code: to read it, its definition must name it, \"files\": \
                 [\".env\"]",
            ),
            ("js/data.js", "it imports `data.js`, which is not code"),
            (
                "lib/data.json",
                "which is not code and outside of its folder ",
            ),
            (
                "node_modules/x/data.json",
                "which is not code and outside of its folder ",
            ),
        ] {
            let line = refusal(refused).unwrap_or_default();
            assert!(line.contains(part), "{refused}: {line}");
        }
        // Of packages, if it has any.
        let manifest = dir.join("app/package.json");
        fs::write(&manifest, r#"{ "dependencies": { "x": "1" } }"#).unwrap();
        let with_packages = Imports::of(&file, &definition, &base).unwrap();
        let data = base.join("node_modules/x/data.json");
        assert_eq!(with_packages.refusal(&data), None);
        // Not by links in them.
        for (link, target, part) in [
            (
                "out.js",
                "../../../other.js",
                "which is outside of its project ",
            ),
            (
                "env.json",
                "../../js/.env",
                "it imports `.env`, which is not code",
            ),
        ] {
            let link = base.join("node_modules/x").join(link);
            symlink(target, &link).unwrap();
            let line = with_packages.refusal(&link).unwrap_or_default();
            assert!(line.contains(part), "{line}");
            fs::remove_file(link).unwrap();
        }
        // One that came over the network has those in plugin directories.
        for (plugins, packages, refused) in
            [(&base, true, false), (&dir.join("app/js"), false, true)]
        {
            let dirs = std::slice::from_ref(plugins);
            let registered = Imports::inside(&file, &definition, &base, Some(dirs)).unwrap();
            assert_eq!(registered.packages(), packages);
            let line = registered.refusal(&data).unwrap_or_default();
            let part = "which is not inside a plugin directory";
            assert_eq!(line.contains(part), refused, "{line}");
        }
        fs::remove_file(manifest).unwrap();
        // The folder of a file that is not called plugins.json is of the project as well.
        fs::remove_file(dir.join("app/plugins.json")).unwrap();
        let code = dir.join("app/lib/code.ts");
        let of = |base: &Path| Imports::of(&file, &definition, base).unwrap();
        assert_eq!(of(&base).refusal(&code), None);
        assert!(of(&dir.join("app/lib")).refusal(&code).is_some());

        definition.files = vec!["nope".into()];
        let error = Imports::of(&file, &definition, &base).unwrap_err();
        let folder = dir.join("app/js");
        assert_eq!(
            error.to_string(),
            format!(
                "`files` names `nope`, which is not in the script's folder {}: create it, or correct `files`",
                folder.display()
            )
        );
    }
}
