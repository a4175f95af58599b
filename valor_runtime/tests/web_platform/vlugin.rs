//! A file of web-platform tests as a vlugin: one module with the test and the scripts that it includes, written for a
//! run into a separate folder. main.rs loads them. The original files stay unchanged. The code runs as the body of a
//! function that is made from text. Such a function is not strict, like scripts and unlike modules.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    path::{Path, PathBuf},
};

/// The folder with the web-platform tests.
pub fn wpt() -> PathBuf {
    let folder = std::env::var_os("VALOR_WPT").map(PathBuf::from);
    let folder = folder.filter(|it| it.join("resources/testharness.js").is_file());
    folder.unwrap_or_else(|| {
        panic!(
            "this needs the web-platform tests: VALOR_WPT=…/tools/wpt, where `.ci/tools` puts them"
        )
    })
}

/// The name of a file's vlugin.
pub fn name(file: &str) -> String {
    let name = file.strip_suffix(".any.js").expect("a file of tests");
    name.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
}

/// Writes the file that all of the vlugins import, and returns its path.
pub fn write_harness(wpt: &Path, folder: &Path) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web_platform/play.js");
    let text = format!(
        "{}\nfunction testharness(self, location) {{\n{}\n}}\n",
        read(&own),
        read(&wpt.join("resources/testharness.js"))
    );
    let file = folder.join("play.js");
    std::fs::write(&file, text).expect("written");
    file
}

/// Writes the vlugin of a file of tests, and returns its path.
pub fn write(wpt: &Path, file: &str, folder: &Path) -> PathBuf {
    let test = read(&wpt.join(file));
    let mut scripts = String::new();
    for script in test
        .lines()
        .filter_map(|line| line.strip_prefix("// META: script="))
    {
        if script.starts_with("/resources/testharness") {
            continue;
        }
        let script = beside(wpt, file, script.trim());
        let _ = writeln!(scripts, "{}", read(&script));
    }
    let harness = exposed(&read(&wpt.join("resources/testharness.js")));
    let scripts = serde_json::Value::from(format!("{scripts}\n{test}"));
    let text = format!(
        "import {{ play }} from \"./play.js\";\n\
         const names = {harness};\n\
         const run = () => new Function(...names, \"self\", \"location\", \"fetch\", {scripts});\n\
         export default {{ fetch: async (_, env) => Response.json(await play({file:?}, env.config, names, run)) }};\n"
    );
    let path = folder.join(format!("{}.js", name(file)));
    std::fs::write(&path, text).expect("written");
    path
}

/// A script that a test includes, which WPT's server has under that path.
fn beside(wpt: &Path, file: &str, script: &str) -> PathBuf {
    match script.strip_prefix('/') {
        Some("resources/WebIDLParser.js") => wpt.join("resources/webidl2/lib/webidl2.js"),
        Some(script) => wpt.join(script),
        None => wpt.join(file).with_file_name("").join(script),
    }
}

/// The names that testharness.js gives to scripts, as a JavaScript list: each is the last argument of its `expose` and
/// `expose_assert`.
fn exposed(harness: &str) -> String {
    let mut names = BTreeSet::new();
    for line in harness.lines() {
        let Some(call) = line.trim().strip_prefix("expose") else {
            continue;
        };
        let name = call.split(['"', '\'']).nth(1);
        names.extend(name.filter(|_| call.contains('(')));
    }
    serde_json::json!(names).to_string()
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
