//! Folders served as `files` vlugins, over a real socket: what is served, under which conditions, in which parts, and
//! what never is served.

mod asking;
mod escaping;
mod loading;
mod parts;
#[path = "../socket/mod.rs"]
mod socket;

use socket::{Answer, Connection, Serving, serve};
use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};
use valor_runtime::{Definition, Runtime, RuntimeError};

/// A folder of files, served at `/site`.
struct Site {
    dir: tempfile::TempDir,
    serving: Serving,
}

impl Site {
    fn new(files: &[(&str, &[u8])]) -> Self {
        Self::with("", files)
    }

    /// A site with more keys in its definition.
    fn with(keys: &str, files: &[(&str, &[u8])]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("public");
        fs::create_dir(&folder).unwrap();
        for (file, bytes) in files {
            write(&folder.join(file), bytes);
        }
        let runtime = load(dir.path(), keys).unwrap();
        Self {
            serving: serve(runtime),
            dir,
        }
    }

    fn folder(&self) -> std::path::PathBuf {
        self.dir.path().join("public")
    }

    fn get(&self, target: &str) -> Answer {
        self.serving.get(target)
    }

    fn ask(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        let mut connection = self.serving.connect();
        connection.send("GET", target, headers, b"").unwrap()
    }

    /// The answer to a `HEAD`. Checks that the next request on the connection works.
    fn head(&self, target: &str) -> Answer {
        let mut connection = self.serving.connect();
        let head = format!("HEAD {target} HTTP/1.1\r\nhost: a\r\n\r\n");
        connection.write(head.as_bytes()).unwrap();
        let answer = connection.read_head().unwrap();
        assert_eq!(connection.get("/_health/live").unwrap().status, 200);
        answer
    }
}

/// A runtime with the folder `public` of `dir` as its vlugin `site`.
fn load(dir: &Path, keys: &str) -> Result<Arc<Runtime>, RuntimeError> {
    let text = format!(r#"{{ "type": "files", "name": "site", "path": "public" {keys} }}"#);
    let definition = Definition::from_json(&text).unwrap();
    let runtime = Runtime::builder().base_dir(dir).build()?;
    smol::block_on(runtime.load(&definition))?;
    Ok(runtime)
}

/// Writes a file that has not changed for a day.
fn write(file: &Path, bytes: &[u8]) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, bytes).unwrap();
    changed(file, SystemTime::now() - Duration::from_secs(86_400));
}

fn changed(file: &Path, at: SystemTime) {
    let file = fs::File::options().write(true).open(file).unwrap();
    file.set_modified(at).unwrap();
}

/// Bytes that do not repeat.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}
