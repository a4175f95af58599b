//! The known results of each file on each host, in `expected.json`: how many of its tests pass, and which do not.

use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
};

/// The results by file.
pub type Results = BTreeMap<String, Found>;

/// What is known about a host.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfHost {
    /// The host and its version. Another version may pass other tests.
    pub version: String,
    pub files: Results,
}

/// The results of a file's tests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    passed: usize,
    /// The names of the tests that did not pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    failed: Vec<String>,
    /// Their messages, beside their names.
    #[serde(skip)]
    messages: Vec<String>,
}

/// A test's result, as a vlugin reports it.
#[derive(Deserialize)]
struct Told {
    name: String,
    /// 0 if it passed.
    status: u8,
    message: Option<String>,
}

impl Found {
    /// Reads a vlugin's answer.
    pub fn of(body: &[u8]) -> Option<Self> {
        let told: Vec<Told> = serde_json::from_slice(body).ok()?;
        let mut failed: Vec<_> = told.iter().filter(|it| it.status != 0).collect();
        failed.sort_by(|a, b| a.name.cmp(&b.name));
        Some(Self {
            passed: told.len() - failed.len(),
            failed: failed.iter().map(|it| it.name.clone()).collect(),
            messages: failed
                .iter()
                .map(|it| it.message.clone().unwrap_or_default())
                .collect(),
        })
    }

    /// The result if there is no readable answer.
    pub fn nothing(why: &str) -> Self {
        Self {
            passed: 0,
            failed: vec!["(no answer)".into()],
            messages: vec![why.into()],
        }
    }

    pub fn passed(&self) -> usize {
        self.passed
    }

    pub fn failed(&self) -> usize {
        self.failed.len()
    }

    /// How this differs from the known result.
    fn differs_from(&self, known: &Self) -> String {
        let mut text = String::new();
        let mut left = known.failed.clone();
        for (name, message) in self.failed.iter().zip(&self.messages) {
            match left.iter().position(|it| it == name) {
                Some(index) => drop(left.remove(index)),
                None => {
                    let _ = writeln!(text, "  fails now: {name}: {message}");
                }
            }
        }
        for name in left {
            let _ = writeln!(text, "  fails no longer: {name}");
        }
        if self.passed != known.passed {
            let _ = writeln!(text, "  {} passed, and not {}", self.passed, known.passed);
        }
        text
    }
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web_platform/expected.json")
}

/// Compares the results with the known ones. If `VALOR_WPT_UPDATE` is set, writes them to the file instead.
pub fn compare(found: &BTreeMap<&str, OfHost>, is_all: bool) {
    if std::env::var_os("VALOR_WPT_UPDATE").is_some() {
        assert!(
            is_all,
            "VALOR_WPT_UPDATE is for a run of all files, without WPT_FILES"
        );
        let text = serde_json::to_string_pretty(found).expect("JSON");
        std::fs::write(file(), text + "\n").expect("written");
        return;
    }
    let text = std::fs::read_to_string(file()).expect("expected.json");
    let mut known: BTreeMap<String, OfHost> = serde_json::from_str(&text).expect("expected.json");
    let mut differ = String::new();
    for (host, found) in found {
        let known = known.remove(*host).unwrap_or_default();
        let before = differ.len();
        for (file, found) in &found.files {
            let difference = match known.files.get(file) {
                Some(known) => found.differs_from(known),
                None => "  is not known\n".into(),
            };
            if !difference.is_empty() {
                let _ = writeln!(differ, "{file}, {host}:\n{difference}");
            }
        }
        let gone = known
            .files
            .keys()
            .filter(|it| !found.files.contains_key(*it));
        for file in gone.filter(|_| is_all) {
            let _ = writeln!(differ, "{file}, {host}: is not played any more");
        }
        if differ.len() > before && found.version != known.version {
            let (this, other) = (&found.version, &known.version);
            let _ = writeln!(differ, "this is {this}; what is known is of {other}\n");
        }
    }
    assert!(
        differ.is_empty(),
        "\n{differ}\nwhere this is how it should be, VALOR_WPT_UPDATE=1 writes it to {}\n",
        file().display()
    );
}
