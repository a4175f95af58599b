//! Which files of the web-platform tests are played: all in the folders that `files.json` names, by area, except those
//! that it leaves out by name, each with the reason.

use serde::Deserialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Area {
    pub area: String,
    /// Where its files are.
    folders: Vec<String>,
    /// The files that are played: all that exist, except those left out.
    #[serde(skip)]
    pub files: Vec<String>,
    /// The files that are not played, and why.
    left_out: BTreeMap<String, String>,
}

impl Area {
    pub fn named(area: &str, files: Vec<String>) -> Self {
        Self {
            area: area.to_owned(),
            folders: Vec::new(),
            files,
            left_out: BTreeMap::new(),
        }
    }
}

/// All areas, with their files.
pub fn areas(wpt: &Path) -> Vec<Area> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web_platform/files.json");
    let text = std::fs::read_to_string(file).expect("files.json");
    let mut areas: Vec<Area> = serde_json::from_str(&text).expect("files.json");
    for area in &mut areas {
        let mut files = Vec::new();
        for folder in &area.folders {
            gather(wpt, &wpt.join(folder), &mut files);
        }
        files.sort();
        for left_out in area.left_out.keys() {
            let count = files.len();
            files.retain(|file| file != left_out);
            assert!(
                files.len() < count,
                "{left_out} is left out, and is not there"
            );
        }
        area.files = files;
    }
    areas
}

/// The tests for any kind of global in a folder and below it.
fn gather(wpt: &Path, folder: &Path, files: &mut Vec<String>) {
    let entries =
        std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path: PathBuf = entry.expect("an entry").path();
        if path.is_dir() {
            gather(wpt, &path, files);
        } else if path.to_string_lossy().ends_with(".any.js") {
            let file = path.strip_prefix(wpt).expect("it is below");
            files.push(file.to_string_lossy().replace('\\', "/"));
        }
    }
}
