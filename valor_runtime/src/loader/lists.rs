//! Files and folders in a sentence: how the errors of loaders list them.

use std::{
    ffi::OsStr,
    fmt,
    path::{Path, PathBuf},
};

/// `a, b or c`.
pub(super) struct Any<'a, T>(pub(super) &'a [T]);

impl<T: AsRef<OsStr>> fmt::Display for Any<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, item) in self.0.iter().enumerate() {
            let between = match at {
                0 => "",
                _ if at + 1 == self.0.len() => " or ",
                _ => ", ",
            };
            write!(f, "{between}{}", item.as_ref().display())?;
        }
        match self.0 {
            [] => f.write_str("any place"),
            _ => Ok(()),
        }
    }
}

pub(super) struct PluginDirs<'a>(pub(super) &'a [PathBuf]);

impl fmt::Display for PluginDirs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("a plugin directory (none is set)"),
            [dir] => write!(f, "the plugin directory {}", dir.display()),
            dirs => write!(f, "one of the plugin directories {}", Any(dirs)),
        }
    }
}

/// That a file is not in a plugin directory, and which one is.
pub(super) struct Outside<'a> {
    pub(super) file: &'a Path,
    pub(super) dirs: &'a [PathBuf],
    pub(super) is_link: bool,
    pub(super) meant: &'a Option<PathBuf>,
}

impl fmt::Display for Outside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.file.file_name();
        write!(
            f,
            "{} is not inside {}",
            self.file.display(),
            PluginDirs(self.dirs)
        )?;
        match (self.meant, self.dirs) {
            _ if self.is_link => f.write_str(" once its symbolic links are resolved"),
            (Some(meant), _) => write!(f, "; did you mean {}?", meant.display()),
            (None, []) => Ok(()),
            (None, dirs) => {
                let them = if dirs.len() == 1 { "that" } else { "them" };
                match name {
                    Some(name) => write!(f, ", and there is no `{}` in {them}", name.display()),
                    // It is a root, or ends in `..`.
                    None => write!(f, "; give a path in {them}"),
                }
            }
        }
    }
}
