//! From a package to a vlugin that answers, and which packages this host refuses.

use super::*;
use fixture::{TestHost, get};
use serde_json::json;
use valor_runtime::loader::{LoadError, Loaded, NativeLoader};

fn load(file: &Path, sha256: Option<&str>) -> Result<Loaded, LoadError> {
    let mut definition = definition("hello", file);
    definition.sha256 = sha256.map(Into::into);
    let loader = NativeLoader::new(file.parent().unwrap()).library_path::<&Path>([]);
    smol::block_on(loader.load(&definition, false, TestHost::new("hello")))
}

/// The line that refuses a file, with `FILE` in its place.
#[track_caller]
fn refused(file: &Path) -> String {
    let line = load(file, None).unwrap_err().to_string();
    assert!(!line.contains('\n'), "{line}");
    line.replace(&*file.to_string_lossy(), "FILE")
}

#[test]
fn the_library_for_this_host_is_loaded() {
    let dir = temp();
    let file = write(&dir, &packed(&[(WINDOWS, b"MZ")]));
    let loaded = load(&file, None).unwrap();
    let (_, body) = smol::block_on(get(&loaded.vlugin, "/")).unwrap();
    assert_eq!(body, "OK response from a plugin");
    assert_eq!(loaded.file, file);

    // plugins.json pins the file, by the same hash that `sha256sum` prints.
    assert!(load(&file, loaded.sha256.as_deref()).is_ok());
    let other = load(&file, Some(&"0".repeat(64))).unwrap_err();
    assert!(matches!(other, LoadError::Sha256 { .. }), "{other}");
}

#[test]
fn a_package_without_a_library_for_this_host_says_what_it_has() {
    let dir = temp();
    let others = vec![
        ("riscv64gc-unknown-none", &b"\x7fELF"[..]),
        ("aarch64-apple-nothing", b"\xcf\xfa\xed\xfe"),
    ];
    let file = write(&dir, &Package::write(manifest(), others).unwrap());
    let this = Metadata::this_target();
    assert_eq!(
        refused(&file),
        format!(
            "FILE has no library for {this}, but for aarch64-apple-nothing, riscv64gc-unknown-none: \
             build the vlugin with `--target {this}` and package it with the others"
        )
    );
}

#[test]
fn a_packed_library_goes_through_the_checks_of_a_plain_one() {
    let dir = temp();
    let library = fs::read(hello_plugin()).unwrap();
    for (bytes, part) in [
        (
            &b"just some text\n"[..],
            "FILE is not a library but a text file",
        ),
        (&library[..library.len() / 2], "FILE is damaged: "),
    ] {
        let libraries = vec![(Metadata::this_target(), bytes)];
        let file = write(&dir, &Package::write(manifest(), libraries).unwrap());
        let line = refused(&file);
        assert!(line.starts_with(part), "{line}");
    }
}

#[test]
fn a_library_that_is_not_what_its_package_says_is_refused() {
    let dir = temp();
    let library = fs::read(hello_plugin()).unwrap();
    let this = Metadata::this_target();
    let version = env!("CARGO_PKG_VERSION");
    for (manifest, key, told, found) in [
        (
            Manifest::new("other", version, "1.0"),
            "name",
            "other",
            "hello_plugin",
        ),
        (
            Manifest::new("hello_plugin", "9.9.9", "1.0"),
            "version",
            "9.9.9",
            version,
        ),
        (
            Manifest::new("hello_plugin", version, "1.9"),
            "abi",
            "1.9",
            "1.0",
        ),
    ] {
        let bytes = Package::write(manifest, vec![(this, &*library)]).unwrap();
        assert_eq!(
            refused(&write(&dir, &bytes)),
            format!(
                "FILE says that its library for {this} is of {key} `{told}`, but that says `{found}` \
                 itself: make the package again"
            )
        );
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let (a, b) = (("a-linux", &b"a"[..]), ("b-linux", &b"b"[..]));
    let one = Package::write(manifest(), vec![a, b]).unwrap();
    assert_eq!(one, Package::write(manifest(), vec![b, a]).unwrap());
}

#[test]
fn what_is_written_is_read() {
    let mut manifest = manifest();
    manifest.license = Some("MIT OR Apache-2.0".into());
    manifest.config_schema = Some(json!({ "type": "string" }));
    let libraries = vec![(WINDOWS, &b"MZ"[..]), ("x86_64-apple-darwin", b"")];
    let bytes = Package::write(manifest.clone(), libraries).unwrap();
    let package = Package::read(Path::new("x.vlugin"), &bytes).unwrap();
    let read: Vec<_> = package
        .libraries()
        .map(|(library, bytes)| (&*library.file, bytes))
        .collect();
    assert_eq!(
        read,
        [
            ("x86_64-apple-darwin/libhello_plugin.dylib", &b""[..]),
            ("x86_64-pc-windows-gnu/hello_plugin.dll", b"MZ"),
        ]
    );
    manifest.libraries = package.manifest().libraries.clone();
    assert_eq!(*package.manifest(), manifest);
}

#[test]
fn what_would_not_be_read_is_not_written() {
    let line = |manifest: Manifest, libraries| {
        let written = Package::write(manifest, libraries);
        written.unwrap_err().to_string()
    };
    let one = || vec![("a", &b"a"[..])];
    let start = "no package can be made of this: its ";
    let mut blank = manifest();
    blank.license = Some("a\nb".into());
    for (line, reason) in [
        (line(manifest(), vec![]), "has 0 libraries"),
        (
            line(manifest(), [one(), one()].concat()),
            "has two libraries for a",
        ),
        (line(manifest(), vec![("../a", b"")]), "`target` is `../a`"),
        (
            line(Manifest::new("..", "1", "1.0"), one()),
            "`name` is `..`",
        ),
        (line(blank, one()), "`license` is not one line"),
    ] {
        assert!(
            line.replace("this: it has", "this: its has")
                .starts_with(&[start, reason].concat()),
            "{line}"
        );
    }
}
