//! Code that is compiled ahead: in packages, and in the cache.

use crate::support::{
    Finished, Folder, Server, component, components, finish, module, run, valor_cli, workspace,
};
use serde_json::json;
use std::{fs, path::Path};
use valor_runtime::{
    loader::compiler,
    package::{Code, Package, WASM_TARGET},
    versions::this_target,
};

/// Another target of this machine's architecture. Code for it stays as it is when code for this host is replaced.
const MAC: &str = if cfg!(target_arch = "aarch64") {
    "aarch64-apple-darwin"
} else {
    "x86_64-apple-darwin"
};

/// A folder with a key, an empty folder for the cache, and `p.json` that mounts `it.vlugin` as this type.
fn folder(kind: &str) -> Folder {
    let folder = Folder::new("");
    assert_eq!(run(&["keygen", &folder.file("a.key")]).code, Some(0));
    let entry = json!({ "type": kind, "name": "it", "path": "it.vlugin", "config": "Alice" });
    folder.write("p.json", json!({ "plugins": [entry] }).to_string());
    folder
}

/// The program with a cache of its own below this folder.
fn with_cache(folder: &Folder, args: &[&str]) -> Finished {
    let mut command = valor_cli();
    command
        .args(args)
        .env("XDG_CACHE_HOME", folder.file("cache"));
    finish(command)
}

/// How many modules the cache has.
fn kept(folder: &Folder) -> usize {
    let below = Path::new(&folder.file("cache")).join("valor/modules/modules");
    let Ok(versions) = fs::read_dir(below) else {
        return 0;
    };
    let files = versions.flat_map(|it| fs::read_dir(it.unwrap().path()).unwrap());
    let names = files.map(|it| it.unwrap().file_name());
    names
        .filter(|it| !it.to_string_lossy().contains('.'))
        .count()
}

/// Packages with code, signs, and says what it printed.
fn package(folder: &Folder, args: &[&str]) -> Finished {
    let (file, key) = (folder.file("it.vlugin"), folder.file("a.key"));
    let packed = run(&[&["package", "-o", &file, "--sign", &key], args].concat());
    assert_eq!((packed.code, &*packed.err), (Some(0), ""), "{packed:?}");
    packed
}

fn trusted(folder: &Folder) -> [String; 4] {
    let key = folder.file("a.key.pub");
    ["-p".into(), folder.file("p.json"), "--trust".into(), key]
}

fn checked(folder: &Folder, args: &[String], more: &[&str]) -> Finished {
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let checked = with_cache(folder, &[&["check"], &*args, more].concat());
    assert_eq!(checked.code, Some(0), "{checked:?}");
    checked
}

/// What the vlugin answers under these options.
fn answer(args: &[String], more: &[&str]) -> String {
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let server = Server::start(&[&*args, more].concat());
    server.get("/it?who=Zoe").body
}

#[test]
fn a_trusted_package_brings_its_code_for_modules_and_components() {
    let files = [
        ("wasm", module()),
        ("wasi", component()),
        ("wasi", &*components()[1]),
    ];
    for (kind, file) in files {
        let folder = folder(kind);
        let packed = package(&folder, &["--precompile", file.to_str().unwrap()]);
        let line = format!("compiled for {}, ", this_target());
        assert!(packed.out.contains(&line), "{}", packed.out);
        assert!(
            packed.out.contains("format   package 3\n"),
            "{}",
            packed.out
        );
        let inspected = run(&["inspect", &folder.file("it.vlugin")]);
        assert!(inspected.out.contains(&line), "{}", inspected.out);

        let all = trusted(&folder);
        let loaded = checked(&folder, &all, &[]);
        assert!(loaded.out.contains("ready"), "{loaded:?}");
        assert!(!loaded.err.contains("compiled"), "{loaded:?}");
        assert_eq!(kept(&folder), 0, "{kind} was compiled");
        checked(&folder, &all, &["--compile-all"]);
        assert!(kept(&folder) > 0, "{kind} was not compiled");

        let untrusted = checked(&folder, &all[..2], &[]);
        let why =
            "the compiled code in it is not used: only a trusted signature (`--trust`) lets it run";
        assert!(untrusted.err.contains(why), "{untrusted:?}");
    }
}

/// The example `with_state` as a module.
fn with_state() -> String {
    let source = workspace().join("examples/with_state");
    let entry = json!({ "type": "wasm", "name": "other", "source": source, "config": "Alice" });
    let folder = Folder::new(&json!({ "plugins": [entry] }).to_string());
    let file = folder.file("plugins.json");
    let built = run(&["check", "--build", "--log-format", "json", "-p", &file]);
    assert_eq!(built.code, Some(0), "{built:?}");
    let mut records = built.err.lines().map(|line| {
        serde_json::from_str::<serde_json::Value>(line).expect("a line of the log is JSON")
    });
    let file = records.find_map(|it| it["file"].as_str().map(str::to_owned));
    let here = std::env::current_dir().unwrap();
    here.join(file.expect("it is mounted"))
        .display()
        .to_string()
}

/// A package of the module `hello_plugin` whose code is another vlugin's: what answers shows which of them ran.
#[test]
fn nothing_but_a_trusted_signature_lets_the_code_run() {
    let folder = folder("wasm");
    package(&folder, &["--precompile", &with_state()]);
    let theirs = fs::read(folder.file("it.vlugin")).unwrap();
    let theirs = Package::read(Path::new("it.vlugin"), &theirs).unwrap();
    let (_, code) = theirs.compiled().next().unwrap();

    let ours = fs::read(module()).unwrap();
    let swap = |compiler: &str, code: &[u8]| {
        package(&folder, &[module().to_str().unwrap()]);
        let plain = fs::read(folder.file("it.vlugin")).unwrap();
        let plain = Package::read(Path::new("it.vlugin"), &plain).unwrap();
        let code = Code {
            of: WASM_TARGET,
            target: this_target(),
            compiler,
            bytes: code,
        };
        let libraries = vec![(WASM_TARGET, &*ours)];
        let swapped = Package::write_compiled(plain.manifest().clone(), libraries, vec![code]);
        folder.write("it.vlugin", swapped.unwrap());
    };
    let sign = || {
        let file = folder.file("it.vlugin");
        let other = format!("--precompile={MAC}");
        package(&folder, &[&other, &file]);
    };
    let all = trusted(&folder);
    let (mine, theirs) = ("OK response from a plugin", "Alice says hello Zoe!");

    swap(&compiler(), code);
    let refused = with_cache(&folder, &["check", "-p", &all[1], "--trust", &all[3]]);
    assert_eq!(refused.code, Some(1), "it is not what was signed");
    assert_eq!(answer(&all[..2], &[]), mine);
    sign();
    assert_eq!(answer(&all, &[]), theirs);
    assert_eq!(answer(&all, &["--compile-all"]), mine);

    // What does not run here is compiled, and the log says why.
    for (compiler, code, why) in [
        ("wasmtime-1.0.0", code, format!("this is {}", compiler())),
        (&compiler(), b"no code".as_slice(), "failed to parse".into()),
    ] {
        swap(compiler, code);
        sign();
        let loaded = checked(&folder, &all, &[]);
        let line = format!(
            "compiled by {compiler}, does not run here, so the vlugin is compiled now: {why}"
        );
        assert!(loaded.err.contains(&line), "{loaded:?}");
        assert_eq!(answer(&all, &[]), mine);
    }
}

#[test]
fn code_for_other_hosts_is_added_to_a_package() {
    let folder = folder("wasm");
    let other = format!("--precompile={MAC}");
    package(&folder, &[&other, module().to_str().unwrap()]);
    let loaded = checked(&folder, &trusted(&folder), &[]);
    let line = format!("it is for {MAC}, and this host is {}", this_target());
    assert!(loaded.err.contains(&line), "{loaded:?}");

    let file = folder.file("it.vlugin");
    let both = package(&folder, &["--precompile", &file]);
    for target in [MAC, this_target()] {
        let line = format!("compiled for {target}, ");
        assert!(both.out.contains(&line), "{}", both.out);
    }
    // The same code twice gives the same package.
    let before = fs::read(&file).unwrap();
    package(&folder, &["--precompile", &file]);
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn what_cannot_be_compiled_ahead_is_refused_with_a_line() {
    let folder = folder("wasm");
    let module = module().to_str().unwrap();
    let library = crate::packaging::library("hello_plugin");
    let library = library.to_str().unwrap();
    let file = folder.file("it.vlugin");
    package(&folder, &[module]);
    let cases: [(&[&str], &str); 5] = [
        (
            &["--precompile=nonsense", module],
            "no code can be compiled for nonsense here (",
        ),
        (
            &["--precompile=s390x-unknown-linux-gnu", module],
            "or add the code with `--precompile` on a machine like that",
        ),
        (
            &["--precompile", library],
            "there is nothing to compile in the package, which holds libraries alone: leave `--precompile` out",
        ),
        (
            &["--precompile", "--license", "MIT", &file],
            "--license is for a new package, and ",
        ),
        (
            &[&file],
            "is a package: give the libraries that go into one",
        ),
    ];
    for (args, line) in cases {
        let to = folder.file("new.vlugin");
        let refused = run(&[&["package", "-o", &to], args].concat());
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.err.contains(line), "{}", refused.err);
        assert!(!Path::new(&to).exists());
    }
}

#[test]
fn compile_fills_the_cache_and_runs_nothing() {
    let folder = folder("wasm");
    let plugins = json!({ "plugins": [
        { "type": "wasm", "name": "module", "path": module() },
        { "type": "wasi", "name": "component", "path": component() },
        // It says so when it is created.
        { "type": "wasm", "name": "state", "path": with_state(), "config": 1 },
        { "type": "files", "name": "site", "path": "." },
    ] });
    folder.write("p.json", plugins.to_string());
    let file = folder.file("p.json");
    assert_eq!(kept(&folder), 0);
    let compiled = with_cache(&folder, &["compile", "-p", &file]);
    assert_eq!(compiled.code, Some(0), "{compiled:?}");
    for line in [
        "module     wasm   compiled",
        "component  wasi   compiled",
        "site       files  nothing to compile",
    ] {
        assert!(compiled.out.contains(line), "{}", compiled.out);
    }
    let all = kept(&folder);
    assert!(all >= 3, "{all}");
    let json = ["compile", "-p", &file, "--log-format", "json"];
    let compiled = with_cache(&folder, &json);
    assert_eq!(
        (compiled.code, &*compiled.out),
        (Some(0), ""),
        "{compiled:?}"
    );
    let records = compiled.err.lines();
    let records = records.map(|it| serde_json::from_str::<serde_json::Value>(it).expect(it));
    let mut records = records.filter(|it| it["message"] == "compiled ahead");
    assert!(records.any(|it| it["name"] == "site" && it["state"] == "nothing to compile"));
    let checked = with_cache(&folder, &["check", "-p", &file]);
    for (ran, is_created) in [(&compiled, false), (&checked, true)] {
        assert_eq!(ran.err.contains("does not fit"), is_created, "{ran:?}");
    }
    assert_eq!(kept(&folder), all, "something was compiled again");

    folder.write(
        "p.json",
        r#"{ "plugins": [{ "type": "wasm", "name": "gone" }] }"#,
    );
    let gone = with_cache(&folder, &["compile", "-p", &file]);
    assert_eq!(gone.code, Some(1));
    assert!(gone.err.contains("p.json:1:"), "{}", gone.err);
}

#[cfg(unix)]
#[test]
fn compile_fails_if_nothing_can_be_kept() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder("wasm");
    let plugins = json!({ "plugins": [{ "type": "wasm", "name": "it", "path": module() }] });
    folder.write("p.json", plugins.to_string());
    let cache = folder.file("cache");
    fs::create_dir(&cache).unwrap();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
    let compiled = with_cache(&folder, &["compile", "-p", &folder.file("p.json")]);
    assert_eq!(compiled.code, Some(1), "{compiled:?}");
    assert!(
        compiled.err.contains("the compiled code is not kept"),
        "{}",
        compiled.err
    );
}
