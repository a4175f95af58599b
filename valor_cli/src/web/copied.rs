//! What a `files` vlugin serves, as files of the folder: below its prefix, where a static server gives the same
//! answers. What Valor does not serve (hidden names, links that lead out, anything but regular files) is not copied
//! either.

use super::{contents::Contents, folder::is_name};
use percent_encoding::percent_decode_str;
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use valor_runtime::{
    Definition,
    definition::{FilesConfig, is_served},
};

/// What is wrong with a definition, and the key of the fault.
pub struct Fault {
    pub key: &'static str,
    pub line: String,
    /// Whether something is not installed here, so that the definition may be right.
    pub is_missing: bool,
    /// The end of the line, if others have it in common.
    pub shared: Option<String>,
}

impl Fault {
    pub fn new(key: &'static str, line: String) -> Self {
        Self {
            key,
            line,
            is_missing: false,
            shared: None,
        }
    }
}

/// Notes the files of a folder for copying, and returns the definition that names the copy. `output` is left out if it
/// lies inside.
pub fn copy(
    definition: &Definition,
    from: &Path,
    output: &Path,
    contents: &mut Contents,
) -> Result<Definition, Fault> {
    let fault = Fault::new;
    let unreadable = |error: &io::Error| {
        let shown = from.display();
        fault(
            "path",
            format!("the folder {shown} cannot be read: {error}"),
        )
    };
    let root = fs::canonicalize(from).map_err(|error| unreadable(&error))?;
    if !root.is_dir() {
        let shown = from.display();
        return Err(fault(
            "path",
            format!("{shown} is not a folder; a `files` vlugin serves one"),
        ));
    }
    let prefix = names(&definition.prefix()).ok_or_else(|| {
        let line = format!(
            "{} cannot be the name of a folder; choose another prefix",
            definition.prefix()
        );
        fault("prefix", line)
    })?;
    let mut walk = Walk {
        output: fs::canonicalize(output).ok(),
        above: Vec::new(),
        found: Vec::new(),
        root,
    };
    let top = walk.root.clone();
    walk.through(&top, &prefix)
        .map_err(|error| unreadable(&error))?;
    let of = format!("of the files of `{}`", definition.name);
    for (path, file) in walk.found {
        contents.copy(&path, file, &of);
    }
    let config: FilesConfig = serde_json::from_value(definition.config.clone()).unwrap_or_default();
    if config != FilesConfig::default() {
        log::warn!(
            target: "valor", vlugin = definition.name.as_str();
            "the `config` of `{}` is not known to a static server: its `index`, `fallback` and `cache_control` \
             are what that server says", definition.name
        );
    }
    Ok(Definition {
        path: Some(PathBuf::from(if prefix.is_empty() { "." } else { &prefix })),
        ..definition.clone()
    })
}

/// A prefix as the path of a folder, without the leading slash.
fn names(prefix: &str) -> Option<String> {
    let names = prefix.split('/').filter(|name| !name.is_empty());
    let names = names.map(|name| {
        let name = percent_decode_str(name).decode_utf8().ok()?;
        is_name(&name).then(|| name.into_owned())
    });
    Some(names.collect::<Option<Vec<_>>>()?.join("/"))
}

struct Walk {
    root: PathBuf,
    output: Option<PathBuf>,
    /// The folders on the way here: a link to one of them would be a cycle.
    above: Vec<PathBuf>,
    /// Paths of copies, and their originals.
    found: Vec<(String, PathBuf)>,
}

impl Walk {
    fn through(&mut self, dir: &Path, path: &str) -> io::Result<()> {
        self.above.push(dir.to_owned());
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| is_served(name.as_bytes())) else {
                continue;
            };
            // Links that lead nowhere, or out.
            let Ok(real) = fs::canonicalize(entry.path()) else {
                continue;
            };
            if !real.starts_with(&self.root) || self.output.as_ref() == Some(&real) {
                continue;
            }
            let path = match path {
                "" => name.to_owned(),
                path => format!("{path}/{name}"),
            };
            let kind = real.metadata()?;
            if kind.is_file() {
                self.found.push((path, real));
            } else if kind.is_dir() && !self.above.contains(&real) {
                self.through(&real, &path)?;
            }
        }
        self.above.pop();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn prefixes_as_folders() {
        for (prefix, path) in [
            ("/", Some("")),
            ("/site", Some("site")),
            ("/a/b%20c", Some("a/b c")),
            ("/.well-known", Some(".well-known")),
            ("/a%00", None),
            ("/%ff", None),
        ] {
            assert_eq!(names(prefix).as_deref(), path, "{prefix}");
        }
    }
}
