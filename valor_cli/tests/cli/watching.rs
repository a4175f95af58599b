//! `run --watch`: files are replaced, broken and fixed while the program serves and clients send requests.

use crate::{
    packaging::library,
    support::{Folder, Server, converse, run, wait_for},
};
use std::{
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

pub const DONE: &str = "is served as it is now";

/// The program, and the folder that it watches.
pub struct Watching {
    pub folder: Folder,
    pub server: Server,
}

pub fn plugins(entries: &[&str]) -> String {
    format!(r#"{{ "plugins": [{}] }}"#, entries.join(", "))
}

/// A vlugin of the library `it.lib`, and one with its own state next to it.
const IT: &str = r#"{ "type": "native", "name": "it", "path": "lib/it.lib", "config": "Alice" }"#;
const BOB: &str = r#"{ "type": "native", "name": "bob", "path": "bob.lib", "config": "Bob" }"#;

impl Watching {
    fn start(entries: &[&str], args: &[&str]) -> Self {
        let folder = Folder::new(&plugins(entries));
        folder.write("lib/it.lib", fs::read(library("hello_plugin")).unwrap());
        folder.write("bob.lib", fs::read(library("with_state")).unwrap());
        let (file, dir) = (folder.file("plugins.json"), folder.file(""));
        let own = ["-p", &file, "--watch", "-w", "--plugin-dir", &dir];
        let server = Server::start(&[&own, args].concat());
        Self { folder, server }
    }

    /// Does something to the files, and waits until the log contains this once more.
    pub fn when(&self, change: impl FnOnce(), part: &str) {
        let before = self.server.err().matches(part).count();
        change();
        self.server.wait_until(part, before + 1);
    }

    /// Replaces `it.lib` by its name, as a compiler does.
    fn replace(&self, with: &Path) {
        let new = self.folder.path().join("lib/new");
        fs::copy(with, &new).unwrap();
        fs::rename(new, self.folder.path().join("lib/it.lib")).unwrap();
    }

    fn shown(&self, name: &str) -> serde_json::Value {
        let shown = self.server.get(&format!("/_plugins/{name}")).body;
        serde_json::from_str(&shown).unwrap()
    }

    pub fn get(&self, target: &str) -> String {
        self.server.get(target).body
    }

    fn register(&self, method: &str, target: &str, definition: &str) {
        let json = [("content-type", "application/json")];
        let answer = self.server.send(method, target, &json, definition);
        assert!(answer.status < 300, "{answer:?}");
    }
}

/// A client that sends requests without a pause.
pub struct Busy {
    enough: Arc<AtomicBool>,
    /// The answers that it got, each once as long as it stayed the same.
    answers: Arc<Mutex<Vec<String>>>,
    asking: JoinHandle<()>,
}

impl Busy {
    pub fn ask(server: &Server, target: &'static str) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let answers = Arc::new(Mutex::new(Vec::<String>::new()));
        let addr = server.addrs[0].clone();
        let asking = {
            let (enough, answers) = (enough.clone(), answers.clone());
            std::thread::spawn(move || {
                while !enough.load(Ordering::Relaxed) {
                    let stream = std::net::TcpStream::connect(&addr).unwrap();
                    let answer = converse(stream, "GET", target, &[], "");
                    assert_eq!(answer.status, 200, "{answer:?}");
                    let mut answers = answers.lock().unwrap();
                    if answers.last() != Some(&answer.body) {
                        answers.push(answer.body);
                    }
                }
            })
        };
        Self {
            enough,
            answers,
            asking,
        }
    }

    /// Waits until it gets this answer.
    pub fn hears(&self, answer: &str) {
        let last = || self.answers.lock().unwrap().last().cloned();
        wait_for(answer, || {
            assert!(!self.asking.is_finished(), "a request has failed");
            last().as_deref() == Some(answer)
        });
    }

    /// Ends it, and returns the answers that it got.
    pub fn answers(self) -> Vec<String> {
        self.enough.store(true, Ordering::Relaxed);
        self.asking.join().unwrap();
        self.answers.lock().unwrap().clone()
    }
}

const HELLO: &str = "OK response from a plugin";
const ALICE: &str = "Alice says hello Zoe!";

#[test]
fn a_library_is_replaced_under_requests_and_others_go_on() {
    let it = Watching::start(&[IT, BOB], &[]);
    let later = r#"{ "type": "native", "name": "later", "path": "lib/it.lib" }"#;
    it.register("POST", "/_plugins", later);
    let before = [it.shown("bob"), it.shown("later")];
    let busy = Busy::ask(&it.server, "/it?who=Zoe");
    busy.hears(HELLO);
    for (name, answer) in [
        ("with_state", ALICE),
        ("hello_plugin", HELLO),
        ("with_state", ALICE),
    ] {
        it.when(|| it.replace(&library(name)), "the vlugin `it` is replaced");
        busy.hears(answer);
    }
    assert_eq!(busy.answers(), [HELLO, ALICE, HELLO, ALICE]);
    assert_eq!([it.shown("bob"), it.shown("later")], before);
    let err = it.server.err();
    let file = it.folder.path().join("lib/it.lib");
    assert!(
        err.contains(&format!("{} has changed\n", file.display())),
        "{err}"
    );
    assert!(
        err.contains("is served as it is now: 1 changed in "),
        "{err}"
    );
}

#[test]
fn a_broken_library_leaves_the_old_one_serving_until_it_is_mended() {
    let it = Watching::start(&[IT, BOB], &[]);
    let file = it.folder.path().join("lib/it.lib");
    let busy = Busy::ask(&it.server, "/it?who=Zoe");
    busy.hears(HELLO);
    let said = "the vlugin `it` stays as it was: ";
    let stays = |change: &dyn Fn(), why: &str| {
        it.when(change, DONE);
        let err = it.server.err();
        let line = err.lines().rfind(|line| line.contains(said));
        assert!(
            line.is_some_and(|line| line.contains(why)),
            "{why} is not in {err}"
        );
        assert!(
            err.contains("is served as it is now but for `it`: 0 changed"),
            "{err}"
        );
    };
    stays(
        &|| fs::write(&file, "no library").unwrap(),
        "is not a library but a text file",
    );
    stays(&|| fs::remove_file(&file).unwrap(), "does not exist");
    // Written slowly: at first there is only a part.
    let whole = fs::read(library("with_state")).unwrap();
    let (half, _) = whole.split_at(whole.len() / 2);
    stays(&|| fs::write(&file, half).unwrap(), "is damaged");
    assert_eq!(it.get("/it?who=Zoe"), HELLO);
    it.when(
        || fs::write(&file, &whole).unwrap(),
        "the vlugin `it` is replaced",
    );
    busy.hears(ALICE);
    assert_eq!(busy.answers(), [HELLO, ALICE]);
}

#[test]
fn what_changes_in_plugins_json_is_applied_and_a_broken_one_changes_nothing() {
    let it = Watching::start(&[IT, BOB], &[]);
    let write = |text: String| it.folder.write("plugins.json", text);
    let before = it.shown("bob");
    let carol = r#"{ "type": "native", "name": "carol", "path": "bob.lib", "config": "Carol" }"#;
    it.when(|| write(plugins(&[carol, BOB])), DONE);
    assert_eq!(it.get("/carol?who=Zoe"), "Carol says hello Zoe!");
    assert_eq!(it.server.get("/it").status, 404);

    let broken = || write(plugins(&[r#"{ "type": "natve", "name": "it" }"#]));
    it.when(broken, "has faults, and nothing is changed");
    assert!(
        it.server.err().contains("did you mean `native`?"),
        "{}",
        it.server.err()
    );
    // Further changes take effect when it is fixed, also by an editor that renames.
    it.when(
        || {
            fs::copy(library("hello_plugin"), it.folder.path().join("bob.lib"))
                .map(drop)
                .unwrap()
        },
        "has faults, and nothing is changed",
    );
    assert_eq!(it.get("/carol?who=Zoe"), "Carol says hello Zoe!");
    assert_eq!(it.shown("bob"), before);
    let mended = || {
        let new = it.folder.path().join(".plugins.json.new");
        fs::write(&new, plugins(&[IT, BOB])).unwrap();
        fs::rename(new, it.folder.path().join("plugins.json")).unwrap();
    };
    it.when(mended, DONE);
    assert_eq!(it.get("/it"), HELLO);
    assert_eq!(it.get("/bob"), HELLO);
    assert_eq!(it.server.get("/carol").status, 404);
}

#[test]
fn what_was_done_over_http_stays_until_its_file_changes() {
    let it = Watching::start(&[IT, BOB], &[]);
    let other = r#"{ "type": "native", "name": "bob", "path": "lib/it.lib" }"#;
    it.register("PUT", "/_plugins/bob", other);
    let before = it.shown("bob");
    let replace = || it.replace(&library("with_state"));
    it.when(replace, "the vlugin `it` is replaced");
    assert_eq!(it.shown("bob"), before);
    assert_eq!(it.get("/bob"), HELLO);

    assert_eq!(
        it.server.send("DELETE", "/_plugins/bob", &[], "").status,
        204
    );
    let replace = || it.replace(&library("hello_plugin"));
    it.when(replace, DONE);
    assert_eq!(it.server.get("/bob").status, 404);
}

#[test]
fn a_file_that_comes_to_be_where_a_bare_name_is_looked_for() {
    use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
    let bare = r#"{ "type": "native", "name": "late", "path": "late" }"#;
    let it = Watching::start(
        &[IT, bare],
        &["--keep-going", "--plugin-dir", "nowhere/at/all"],
    );
    assert_eq!(it.server.get("/late").status, 503);
    // A client cannot change the command line.
    let shown = it.shown("late");
    let reason = shown["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("no library for `late` was found: ") && !reason.contains("--"),
        "{reason}"
    );
    let absent = r#"{ "type": "native", "name": "absent", "path": "lib/absent.lib" }"#;
    let json = [("content-type", "application/json")];
    let refused = it.server.send("POST", "/_plugins", &json, absent);
    assert_eq!(refused.status, 422);
    assert!(
        refused
            .body
            .contains("does not exist: put it there, or correct `path`"),
        "{refused:?}"
    );
    let file = it
        .folder
        .path()
        .join(format!("{DLL_PREFIX}late{DLL_SUFFIX}"));
    let comes = || fs::copy(library("hello_plugin"), &file).map(drop).unwrap();
    it.when(comes, "the vlugin `late` is replaced");
    assert_eq!(it.get("/late"), HELLO);
}

/// As a deployment does it: a link is pointed to another folder, and the old one is removed. The log has what was
/// changed, and nothing about watches that end with their folder.
#[cfg(unix)]
#[test]
fn a_folder_that_is_replaced_is_one_change() {
    let it = Watching::start(&[IT, BOB], &[]);
    let path = |name: &str| it.folder.path().join(name);
    fs::rename(path("lib"), path("release0")).unwrap();
    std::os::unix::fs::symlink("release0", path("lib")).unwrap();
    for (round, name) in ["with_state", "hello_plugin", "with_state"]
        .iter()
        .enumerate()
    {
        let (old, new) = (format!("release{round}"), format!("release{}", round + 1));
        fs::create_dir(path(&new)).unwrap();
        fs::copy(library(name), path(&new).join("it.lib")).unwrap();
        let replace = || {
            std::os::unix::fs::symlink(&new, path("next")).unwrap();
            fs::rename(path("next"), path("lib")).unwrap();
            fs::remove_dir_all(path(&old)).unwrap();
        };
        it.when(replace, "the vlugin `it` is replaced");
    }
    assert_eq!(it.get("/it?who=Zoe"), ALICE);
    let err = it.server.err();
    assert!(!err.contains("notify"), "{err}");
    assert_eq!(err.matches("is replaced").count(), 3, "{err}");
    assert_eq!(err.matches("stays as it was").count(), 0, "{err}");
}

#[test]
fn with_trust_a_new_library_waits_for_its_signature() {
    let folder = Folder::new(&plugins(&[
        r#"{ "type": "native", "name": "it", "path": "it.vlugin", "config": "Alice" }"#,
    ]));
    let key = folder.file("a.key");
    assert_eq!(run(&["keygen", &key]).code, Some(0));
    let package = |to: &str, name: &str| {
        let (to, from) = (folder.file(to), library(name).display().to_string());
        let made = run(&["package", "-o", &to, "--sign", &key, &from]);
        assert_eq!(made.code, Some(0), "{}", made.err);
    };
    package("it.vlugin", "hello_plugin");
    fs::create_dir(folder.path().join("new")).unwrap();
    package("new/it.vlugin", "with_state");
    let (file, key) = (folder.file("plugins.json"), [&*key, ".pub"].concat());
    let server = Server::start(&["-p", &file, "--watch", "--trust", &key]);
    let it = Watching { folder, server };
    let comes = |name: &str| {
        let new = it.folder.path().join("new").join(name);
        fs::rename(new, it.folder.path().join(name)).unwrap();
    };
    it.when(|| comes("it.vlugin"), "the vlugin `it` stays as it was: ");
    let err = it.server.err();
    assert!(
        err.contains("it.vlugin is not what was signed with "),
        "{err}"
    );
    assert_eq!(it.get("/it"), HELLO);
    it.when(|| comes("it.vlugin.minisig"), "the vlugin `it` is replaced");
    assert_eq!(it.get("/it?who=Zoe"), ALICE);
}
