//! [`Said`]: what esbuild says is wrong with a script, in lines of Valor's: columns from 1, and what to do about it.
//!
//! `bundle` reads it. esbuild counts columns in bytes, from 0, and advises to use its own options.

use std::{
    fs,
    path::{Path, PathBuf},
};
use valor_runtime::loader::{ScriptError, code};

/// What esbuild has written to its standard error.
pub struct Said<'a> {
    /// The folder that its paths are relative to, which is the script's.
    folder: &'a Path,
    errors: Vec<Error<'a>>,
    /// All of it, if that is in no form that is known.
    text: &'a str,
}

struct Error<'a> {
    message: &'a str,
    /// `PATH:LINE:COLUMN:`, on a line of its own.
    place: Option<&'a str>,
    /// What stands behind it until the next one.
    notes: String,
}

impl<'a> Said<'a> {
    pub fn of(folder: &'a Path, text: &'a str) -> Self {
        let mut errors: Vec<Error> = Vec::new();
        for line in text.lines().map(str::trim) {
            if let Some((_, message)) = line.split_once("[ERROR] ") {
                errors.push(Error {
                    message,
                    place: None,
                    notes: String::new(),
                });
            } else if let Some(error) = errors.last_mut().filter(|_| !line.is_empty()) {
                match error.place {
                    None if error.notes.is_empty() && line.ends_with(':') => {
                        error.place = Some(line);
                    }
                    _ => error.notes += line,
                }
            }
        }
        Self {
            folder,
            errors,
            text: text.trim(),
        }
    }

    /// The first error, with its place and a remedy.
    pub fn line(&self, for_page: bool) -> String {
        let Some(error) = self.errors.first() else {
            return self.text.to_owned();
        };
        let file = self.importer();
        let misencoded = file.and_then(|it| code::misencoded(&it, &fs::read(&it).ok()?));
        if let Some(misencoded) = misencoded {
            return misencoded;
        }
        let place = error.place.map(|it| self.counted(it));
        let place = place.map_or(String::new(), |place| format!("{place}: "));
        place + &self.remedied(error, for_page)
    }

    /// The import that was not found, as it is written.
    pub fn unresolved(&self) -> Vec<String> {
        let specifiers = self.errors.iter().filter_map(Error::unresolved);
        specifiers.map(str::to_owned).collect()
    }

    /// The import that the first error did not find, unless it is a module of Node's.
    pub fn missing(&self) -> Option<&str> {
        let error = self.errors.first().filter(|it| !it.is_of_node())?;
        error.unresolved()
    }

    /// The package that is not there, if that is the first error.
    pub fn not_installed(&self) -> Option<ScriptError> {
        ScriptError::not_installed(&self.importer()?, self.missing()?)
    }

    /// The file of the first error.
    pub fn importer(&self) -> Option<PathBuf> {
        let (file, _, _) = parts(self.errors.first()?.place?)?;
        Some(self.folder.join(file))
    }

    /// The file that an import of another file leads to, of which the first error says that it is not there.
    pub fn absent(&self) -> Option<PathBuf> {
        let specifier = self.errors.first()?.unresolved()?;
        let is_relative = specifier.starts_with("./") || specifier.starts_with("../");
        let importer = self.importer()?;
        is_relative.then(|| importer.parent().map(|it| it.join(specifier)))?
    }

    /// A place with its column in characters, from 1.
    fn counted(&self, place: &str) -> String {
        let Some((file, line, column)) = parts(place) else {
            return place.trim_end_matches(':').to_owned();
        };
        let text = fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        let text = text.trim_start_matches('\u{feff}');
        let before = text
            .lines()
            .nth(line.saturating_sub(1))
            .and_then(|it| it.get(..column));
        let column = before.map_or(column, |it| it.chars().count());
        format!("{file}:{line}:{}", column + 1)
    }

    fn remedied(&self, error: &Error, for_page: bool) -> String {
        let message = error.message;
        let specifier = error.unresolved().unwrap_or_default();
        if error.is_of_node() && for_page {
            return format!(
                "it imports `{specifier}`, a module of Node's, which no page has: import it by `import()` where there \
                 is a `Deno`, or leave this vlugin out of the page's plugins.json"
            );
        }
        if error.is_of_node() {
            return format!(
                "it imports `{specifier}`, which is a module of Node's: write `node:{specifier}`"
            );
        }
        if message.contains("deferred imports") {
            return "it imports with `defer`, of which no one file can be made: import it without, or by `import()` \
                    when it is needed"
                .into();
        }
        if message.starts_with("Top-level await is not available") {
            return "Top-level await is not available in a page: await that in `create(env)`"
                .into();
        }
        // What has a name that esbuild takes for nothing.
        if let Some((_, file)) = message
            .strip_prefix("No loader is configured for ")
            .and_then(|it| it.split_once(" files: "))
        {
            let path = self.folder.join(file);
            let refusal = code::misnamed(&path);
            let refusal = refusal.or_else(|| code::mistyped(file, None, Some(&path)));
            return refusal.unwrap_or_else(|| message.to_owned());
        }
        match specifier {
            "" => message.to_owned(),
            _ => format!("{message}: put that file there, or correct the name"),
        }
    }
}

impl Error<'_> {
    fn unresolved(&self) -> Option<&str> {
        let specifier = self.message.strip_prefix("Could not resolve \"")?;
        specifier.strip_suffix('"')
    }

    fn is_of_node(&self) -> bool {
        self.notes
            .contains("wasn't found on the file system but is built into node")
    }
}

/// The file, the line and the column of a place.
fn parts(place: &str) -> Option<(&str, usize, usize)> {
    let mut parts = place.trim_end_matches(':').rsplitn(3, ':');
    let column = parts.next()?.parse().ok()?;
    let line = parts.next()?.parse().ok()?;
    Some((parts.next()?, line, column))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_esbuild_says() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.ts"), "import \"none\";\nconst é = (;").unwrap();
        let line = |said: &str, for_page| Said::of(dir.path(), said).line(for_page);
        let said =
            "✘ [ERROR] Could not resolve \"./none\"\n\n    a.ts:1:7:\n      1 │ import \"none\"\n";
        assert_eq!(
            line(said, true),
            "a.ts:1:8: Could not resolve \"./none\": put that file there, or correct the name"
        );
        assert_eq!(Said::of(dir.path(), said).unresolved(), ["./none"]);
        assert_eq!(
            line("✘ [ERROR] Unexpected \";\"\n\n    a.ts:2:12:\n", true),
            "a.ts:2:12: Unexpected \";\""
        );
        let node = "✘ [ERROR] Could not resolve \"fs\"\n\n    a.ts:1:7:\n\n  The package \"fs\" wasn't found on the \
                    file system but is built into node. Are you\n";
        assert!(line(node, true).contains("which no page has: import it by `import()`"));
        assert!(line(node, false).ends_with("write `node:fs`"));
        assert_eq!(line("it broke\n", true), "it broke");
    }
}
