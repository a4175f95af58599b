//! The file of a `js` vlugin, as a service worker can import it: one module, in JavaScript. What is that
//! already goes into the folder as it is; TypeScript, and what imports other files, is bundled by esbuild.

use super::{
    MODULES,
    contents::{Contents, sha256},
    copied::Fault,
};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};
use valor_runtime::{
    Definition, file, loader::ScriptError, ownership::Untrusted, project, web::Script,
};

/// The ends of the names of files that can be scripts, as the server has them.
const EXTENSIONS: [&str; 4] = ["js", "mjs", "ts", "mts"];

/// Where scripts and esbuild are looked for.
pub struct Scripts<'a> {
    /// The folder of plugins.json.
    pub base: &'a Path,
    pub plugin_dirs: &'a [PathBuf],
    /// The esbuild that was named.
    pub esbuild: Option<&'a Path>,
}

impl Scripts<'_> {
    /// Puts a script into the folder; gives the definition that names it there, and what imports it.
    ///
    /// # Errors
    /// That there is no such file, or that it cannot be bundled; for want of esbuild or of a package, it is missing.
    pub fn put(
        &self,
        definition: &Definition,
        contents: &mut Contents,
    ) -> Result<(Definition, Script), Fault> {
        let file = self.locate(definition)?;
        let fault = Fault::new;
        let shown = file.display();
        let source = file::read(&file, file::TEXT).map_err(|error| {
            let line = format!("{shown} cannot be read: {error}; give a file that may be read");
            fault("path", line)
        })?;
        let found = sha256(&source);
        let wanted = definition.sha256.as_ref();
        if let Some(wanted) = wanted.filter(|wanted| !wanted.eq_ignore_ascii_case(&found)) {
            let line = format!("{shown} has the SHA-256 {found}, and not {wanted}");
            return Err(fault("sha256", line));
        }
        let is_typed = file
            .extension()
            .is_some_and(|end| end == "ts" || end == "mts");
        let text = String::from_utf8_lossy(&source);
        let bytes = if is_typed || imports(&text) {
            self.bundle(&file, is_typed)?
        } else {
            source
        };
        let digest = sha256(&bytes);
        // One file may be mounted several times.
        let path = contents.named(&digest).unwrap_or_else(|| {
            let path = format!("{MODULES}/{}.js", definition.name);
            contents.module(&path, bytes, &digest);
            path
        });
        let script = Script {
            name: definition.name.clone(),
            path: path.clone(),
            sha256: digest.clone(),
        };
        let definition = Definition {
            path: Some(PathBuf::from(path)),
            sha256: Some(digest),
            ..definition.clone()
        };
        Ok((definition, script))
    }

    fn locate(&self, definition: &Definition) -> Result<PathBuf, Fault> {
        let name = match &definition.path {
            Some(path) => path.to_string_lossy().into_owned(),
            None => definition.name.clone(),
        };
        let is_bare = definition.path.is_none() || !name.contains(['/', '\\', '.']);
        if !is_bare {
            return Ok(self.base.join(name));
        }
        let dirs = self.plugin_dirs.iter().map(PathBuf::as_path);
        let files = dirs
            .chain([self.base])
            .flat_map(|dir| EXTENSIONS.map(|end| dir.join(format!("{name}.{end}"))));
        files.into_iter().find(|file| file.is_file()).ok_or_else(|| {
            let line = format!(
                "there is no {name}.js, .mjs, .ts or .mts in a --plugin-dir or beside plugins.json"
            );
            Fault::new("path", line)
        })
    }

    /// The script and all that it imports, as one module.
    fn bundle(&self, file: &Path, is_typed: bool) -> Result<Vec<u8>, Fault> {
        let shown = file.display();
        let why = match is_typed {
            true => "is TypeScript",
            false => "imports other files",
        };
        let fault = |line| Fault::new("path", line);
        let missing = |line| Fault {
            is_missing: true,
            ..fault(line)
        };
        let without = |reason: &str| {
            missing(format!(
                "{shown} {why}, which esbuild makes one JavaScript file of, and {reason}: \
                 `npm install esbuild` beside plugins.json, or name it with --esbuild or VALOR_ESBUILD"
            ))
        };
        let program = self.esbuild(file);
        let program = program.map_err(|error| {
            missing(format!(
                "esbuild is not run: {error}, or name it with --esbuild or VALOR_ESBUILD"
            ))
        })?;
        let program = program.ok_or_else(|| without("it is not found"))?;
        // Run in the file's folder: what it says of paths is then the same everywhere.
        let file = fs::canonicalize(file).map_err(|error| fault(format!("{shown}: {error}")))?;
        let (folder, name) = (file.parent(), file.file_name().unwrap_or_default());
        let mut command = Command::new(&program);
        command
            .current_dir(folder.unwrap_or(Path::new(".")))
            .arg(Path::new(".").join(name))
            .args(["--bundle", "--format=esm", "--platform=browser"])
            .args(["--conditions=worker", "--charset=utf8"])
            // A service worker has none at the top of a module; `create` is there for that.
            .args(["--supported:top-level-await=false"])
            .args(["--log-level=error", "--color=false"]);
        let output = command
            .output()
            .map_err(|error| without(&format!("{} cannot be run: {error}", program.display())))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let (place, message) = first(&said);
        if let Some(error) = not_installed(&file, place, message, &said) {
            return Err(missing(error.to_string()));
        }
        let place = place.map_or(String::new(), |place| format!("{place} "));
        Err(fault(format!(
            "{shown} cannot be bundled: {place}{message}"
        )))
    }

    /// The esbuild that was named, or else of the project of plugins.json, of the script's, or of the `PATH`.
    fn esbuild(&self, script: &Path) -> Result<Option<PathBuf>, Untrusted> {
        let variable = env::var_os("VALOR_ESBUILD").filter(|it| !it.is_empty());
        let named = self.esbuild.map(Path::to_owned);
        if let Some(named) = named.or_else(|| variable.map(PathBuf::from)) {
            return Ok(std::path::absolute(named).ok());
        }
        let names: &[&str] = match cfg!(windows) {
            true => &["esbuild.cmd", "esbuild.exe"],
            false => &["esbuild"],
        };
        let in_modules: &[&str] = match cfg!(windows) {
            true => &[".bin/esbuild.cmd", ".bin/esbuild.exe"],
            false => &[".bin/esbuild"],
        };
        for folder in [self.base, script.parent().unwrap_or(self.base)] {
            if let Some(found) = project::program(folder, in_modules)? {
                return Ok(Some(found));
            }
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let mut path =
            env::split_paths(&path).flat_map(|dir| names.iter().map(move |name| dir.join(name)));
        Ok(path.find(|file| file.is_file()))
    }
}

/// What esbuild says first: the place, which stands on a line of its own and ends in a colon, and a message.
fn first(said: &str) -> (Option<&str>, &str) {
    let mut lines = said.lines().map(str::trim);
    let message = lines.find_map(|line| line.split_once("[ERROR] "));
    let message = message.map_or(said.trim(), |(_, message)| message);
    let place = lines.find(|line| !line.is_empty());
    (place.filter(|place| place.ends_with(':')), message)
}

/// The package that is not there, where that is what esbuild says first.
fn not_installed(
    file: &Path,
    place: Option<&str>,
    message: &str,
    said: &str,
) -> Option<ScriptError> {
    let specifier = message
        .strip_prefix("Could not resolve \"")?
        .strip_suffix('"')?;
    // `PATH:LINE:COLUMN:`, relative to the script's folder.
    let importer = place.and_then(|place| place.rsplitn(4, ':').nth(3))?;
    let is_nodes_own = said.contains(&format!(
        "The package \"{specifier}\" wasn't found on the file system but is built into node"
    ));
    match is_nodes_own {
        true => None,
        false => ScriptError::not_installed(&file.with_file_name(importer), specifier),
    }
}

/// Whether a text may import other files, or re-export what is in them. It errs on the side of yes: what is
/// bundled in vain is the same module.
fn imports(text: &str) -> bool {
    text.lines().any(|line| {
        let start = line.trim_start();
        let comment = start.starts_with("//") || (start.starts_with('*') && !line.contains("*/"));
        !comment && (words(line, "import").any(begins_import) || words(line, "from").any(is_quoted))
    })
}

/// What follows a word, wherever it stands by itself.
fn words<'a>(line: &'a str, word: &'static str) -> impl Iterator<Item = &'a str> {
    let in_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '.' | '#');
    line.match_indices(word).filter_map(move |(at, _)| {
        let rest = &line[at + word.len()..];
        let alone = !line[..at].ends_with(in_name)
            && !rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '$'));
        alone.then(|| rest.trim_start())
    })
}

/// `import "x"`, `import x from`, `import { x }`, `import * as x` and `import("x")`, not `import.meta`.
fn begins_import(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(|c: char| c.is_alphabetic() || "\"'`{*($_/".contains(c))
}

fn is_quoted(rest: &str) -> bool {
    rest.starts_with(['"', '\''])
}

#[cfg(test)]
mod tests {
    use super::{first, imports};

    #[test]
    fn what_may_import() {
        for (text, may) in [
            ("import \"./a.js\"", true),
            ("import{a}from'./a.js'", true),
            ("  import * as a from './a.js'", true),
            ("let a; import b from './b.js'", true),
            ("const a = await import(\"./a.js\")", true),
            ("import\n  a from './a.js'", true),
            ("export { a } from \"./a.js\"", true),
            ("export * from './a.js'", true),
            ("/* a */ import './a.js'", true),
            (" */ import './a.js'", true),
            ("// import './a.js'", false),
            (" * import './a.js'", false),
            ("export default { fetch() {} }", false),
            ("new URL('a', import.meta.url)", false),
            ("Array.from('abc')", false),
            ("const important = 1, imports = from(1)", false),
        ] {
            assert_eq!(imports(text), may, "{text}");
        }
    }

    #[test]
    fn what_esbuild_says() {
        let said =
            "✘ [ERROR] Could not resolve \"none\"\n\n    a.ts:1:7:\n      1 │ import \"none\"\n";
        assert_eq!(
            first(said),
            (Some("a.ts:1:7:"), "Could not resolve \"none\"")
        );
        assert_eq!(first("it broke\n"), (None, "it broke"));
    }
}
