//! The loader against real libraries: good ones, and every kind of bad one. That the process
//! lives is asserted by each test that ends.

mod fixture;

#[cfg(target_os = "linux")]
use fixture::beside;
use fixture::{TestHost, definition, file_name, get, hello_plugin, misbehaving, misbehaving_abort};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use valor::native::metadata::MAGIC;
use valor_runtime::{
    Definition, Vlugin,
    loader::{LoadError, Loaded, NativeLoader, images_mapped},
};

fn temp() -> TempDir {
    tempfile::Builder::new()
        .prefix("loader-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .unwrap()
}

fn load(loader: &NativeLoader, definition: &Definition) -> Result<Loaded, LoadError> {
    let host = TestHost::new(&definition.name);
    smol::block_on(loader.load(definition, false, host))
}

/// A loader that looks into no folder but this one.
fn loader_in(dir: &Path) -> NativeLoader {
    NativeLoader::new(dir).library_path::<&Path>([])
}

/// The line that this file is refused with, `DIR` in the place of its folder; and a good
/// vlugin is loaded and answers afterwards.
#[track_caller]
fn refused(dir: &Path, definition: &Definition) -> String {
    let error = load(&loader_in(dir), definition).unwrap_err();
    let line = error.to_string();
    assert!(!line.contains('\n'), "{line}");
    let good = load(&loader_in(dir), &definition_of(hello_plugin())).unwrap();
    assert_eq!(text(&good.vlugin, "/"), "OK response from a plugin");
    line.replace(&*dir.to_string_lossy(), "DIR")
}

fn definition_of(path: &Path) -> Definition {
    definition("tested", path)
}

#[track_caller]
fn text(vlugin: &Arc<dyn Vlugin>, target: &str) -> String {
    smol::block_on(get(vlugin, target)).unwrap().1
}

/// A misbehaving vlugin that is created with this config.
fn misbehaving_with(config: &str) -> Definition {
    Definition {
        config: Value::from(config),
        ..definition("tested", misbehaving())
    }
}

/// Writes `bytes` as a library of this name.
fn write(dir: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let file = dir.path().join(file_name(name));
    fs::write(&file, bytes).unwrap();
    file
}

/// The bytes of a library with some of its metadata block written over.
fn patched(library: &Path, at: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = fs::read(library).unwrap();
    // The block stands in a section of its own; the reader of blocks has the magic as well.
    let mut patches = 0;
    for block in 0..bytes.len() - 384 {
        if bytes[block..].starts_with(&MAGIC) && bytes[block + 16..][..4] == 384u32.to_le_bytes() {
            bytes[block + at..][..with.len()].copy_from_slice(with);
            patches += 1;
        }
    }
    assert_eq!(patches, 1, "one block is in {}", library.display());
    bytes
}

const ABI_MAJOR: usize = 20;
const ABI_MINOR: usize = 22;
const SIZE: usize = 16;
const TARGET: usize = 192;
const SYMBOL: usize = 256;

/// Runs one test of this file again in a process of its own, with a changed environment.
#[track_caller]
fn in_a_process_of_its_own(test: &str, change: (&str, &Path)) -> bool {
    const CHILD: &str = "VALOR_TEST_CHILD";
    if std::env::var_os(CHILD).is_some_and(|child| child == test) {
        return true;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, test)
        .env(change.0, change.1)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
    false
}

#[test]
fn a_library_is_created_and_answers() {
    let loaded = load(&loader_in(Path::new("")), &definition_of(hello_plugin())).unwrap();
    assert_eq!(loaded.metadata.name, "hello_plugin");
    assert_eq!(loaded.file, hello_plugin());
    assert_eq!(loaded.sha256.len(), 64);
    assert_eq!(
        text(&loaded.vlugin, "/any/path"),
        "OK response from a plugin"
    );
}

#[test]
fn a_bare_name_is_looked_for_in_plugin_dirs_then_beside_then_on_the_library_path() {
    let [first, second, beside, system] = [temp(), temp(), temp(), temp()];
    let loader = NativeLoader::new(beside.path())
        .plugin_dirs([first.path(), second.path()])
        .library_path([system.path()]);
    let by_name = Definition {
        path: None,
        ..definition("the-name", "")
    };
    let by_path = definition("anything", "the-name");

    let line = load(&loader, &by_name).unwrap_err().to_string();
    assert_eq!(
        line,
        format!(
            "no library for `the-name` was found: {} or {} is not in {}, {}, {} or {}; build it \
             (`--build`), name its folder with --plugin-dir, or give its file in `path`",
            file_name("the-name"),
            file_name("the_name"),
            first.path().display(),
            second.path().display(),
            beside.path().display(),
            system.path().display(),
        )
    );
    for dir in [&system, &beside, &second, &first] {
        let file = dir.path().join(file_name("the_name"));
        fs::copy(hello_plugin(), &file).unwrap();
        for definition in [&by_name, &by_path] {
            assert_eq!(loader.locate(definition, false).unwrap(), file);
        }
    }
    assert_eq!(
        text(&load(&loader, &by_name).unwrap().vlugin, "/"),
        "OK response from a plugin"
    );
}

#[test]
fn a_bare_name_is_found_on_the_library_path_of_the_environment() {
    let variable = if cfg!(windows) {
        "PATH"
    } else if cfg!(target_vendor = "apple") {
        "DYLD_LIBRARY_PATH"
    } else {
        "LD_LIBRARY_PATH"
    };
    let dir = hello_plugin().parent().unwrap();
    let test = "a_bare_name_is_found_on_the_library_path_of_the_environment";
    if in_a_process_of_its_own(test, (variable, dir)) {
        let elsewhere = temp();
        let loader = NativeLoader::new(elsewhere.path());
        let loaded = load(&loader, &definition("x", "hello_plugin")).unwrap();
        assert_eq!(loaded.file, hello_plugin());
        assert_eq!(text(&loaded.vlugin, "/"), "OK response from a plugin");
    }
}

#[test]
fn a_path_is_relative_to_the_folder_of_plugins_json() {
    let dir = temp();
    fs::create_dir(dir.path().join("sub")).unwrap();
    let file = dir.path().join("sub").join(file_name("moved"));
    fs::copy(hello_plugin(), &file).unwrap();
    let loader = loader_in(dir.path());
    let relative = definition("x", Path::new("sub").join(file_name("moved")));
    assert_eq!(load(&loader, &relative).unwrap().file, file);
    assert_eq!(load(&loader, &definition("x", &file)).unwrap().file, file);
}

#[test]
fn one_image_serves_several_mounts_and_leaves_no_file_behind() {
    let tmpdir = temp();
    let test = "one_image_serves_several_mounts_and_leaves_no_file_behind";
    if !in_a_process_of_its_own(test, ("TMPDIR", tmpdir.path())) {
        return;
    }
    let loader = loader_in(Path::new(""));
    let before = images_mapped();
    let alice = load(&loader, &misbehaving_with("Alice")).unwrap();
    let bob = load(&loader, &misbehaving_with("Bob")).unwrap();
    assert_eq!(text(&alice.vlugin, "/config"), "Alice");
    assert_eq!(text(&bob.vlugin, "/config"), "Bob");
    assert_eq!(images_mapped() - before, 1);

    // Not in the temporary folder, which is looked into at the end.
    let elsewhere = temp();
    let copied = write(&elsewhere, "copied", &fs::read(misbehaving()).unwrap());
    load(&loader, &definition_of(&copied)).unwrap();
    assert_eq!(images_mapped() - before, 1, "the same bytes elsewhere");
    load(&loader, &definition_of(hello_plugin())).unwrap();
    assert_eq!(images_mapped() - before, 2, "other bytes");
    let odd = patched(misbehaving(), SYMBOL, b"valor_module_other_shape");
    let odd = write(&elsewhere, "odd", &odd);
    for _ in 0..2 {
        load(&loader, &definition_of(&odd)).unwrap_err();
        assert_eq!(
            images_mapped() - before,
            3,
            "what does not fit is mapped once"
        );
    }
    if cfg!(unix) {
        let left: Vec<_> = fs::read_dir(std::env::temp_dir()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_file_that_is_overwritten_or_replaced_while_it_is_loaded_is_loaded_anew() {
    let dir = temp();
    let file = write(&dir, "changing", &fs::read(hello_plugin()).unwrap());
    let loader = loader_in(dir.path());
    let old = load(&loader, &definition_of(&file)).unwrap();
    assert_eq!(text(&old.vlugin, "/config"), "OK response from a plugin");

    // In place: the same inode has other bytes, and fewer of them.
    fs::write(&file, b"gone").unwrap();
    assert_eq!(text(&old.vlugin, "/config"), "OK response from a plugin");
    fs::write(&file, fs::read(misbehaving()).unwrap()).unwrap();
    let new = load(&loader, &definition_of(&file)).unwrap();
    assert_eq!(text(&new.vlugin, "/"), "fine");
    assert_eq!(text(&old.vlugin, "/"), "OK response from a plugin");

    // By rename: the same path is another file.
    let other = dir.path().join("other");
    fs::copy(hello_plugin(), &other).unwrap();
    fs::rename(&other, &file).unwrap();
    let newest = load(&loader, &definition_of(&file)).unwrap();
    assert_eq!(text(&newest.vlugin, "/"), "OK response from a plugin");
    assert_eq!(text(&new.vlugin, "/"), "fine");
}

#[test]
fn what_is_not_a_readable_file_is_refused() {
    let dir = temp();
    let line = |path: &str| refused(dir.path(), &definition("tested", path));
    assert_eq!(
        line("missing.so"),
        "DIR/missing.so does not exist: build it (`--build`), or correct `path`"
    );
    assert_eq!(
        line("hello_plugin"),
        format!(
            "no library for `hello_plugin` was found: {} is not in DIR; build it (`--build`), \
             name its folder with --plugin-dir, or give its file in `path`",
            file_name("hello_plugin")
        )
    );
    fs::create_dir(dir.path().join("folder.so")).unwrap();
    assert_eq!(
        line("folder.so"),
        "DIR/folder.so is a directory: give the library's file in `path`"
    );
    fs::write(dir.path().join("file"), "").unwrap();
    assert_eq!(
        line("file/below.so"),
        "DIR/file/below.so does not exist: build it (`--build`), or correct `path`"
    );
}

#[cfg(unix)]
#[test]
fn a_device_and_a_pipe_are_not_waited_for() {
    let dir = temp();
    let pipe = dir.path().join("pipe.so");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    assert_eq!(
        refused(dir.path(), &definition_of(&pipe)),
        "DIR/pipe.so is not a regular file: give the library's file in `path`"
    );
    assert_eq!(
        refused(dir.path(), &definition_of(Path::new("/dev/null"))),
        "/dev/null is not a regular file: give the library's file in `path`"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn what_the_system_does_not_let_be_read_is_refused_in_its_words() {
    let dir = temp();
    std::os::unix::fs::symlink("loop.so", dir.path().join("loop.so")).unwrap();
    assert_eq!(
        refused(dir.path(), &definition("tested", "loop.so")),
        "DIR/loop.so cannot be read: Too many levels of symbolic links (os error 40); see that \
         the user of this process may read it"
    );
}

#[cfg(unix)]
#[test]
fn a_restricted_load_stays_inside_the_plugin_directories() {
    use std::os::unix::fs::symlink;
    let [base, plugins, more] = [temp(), temp(), temp()];
    let loader = NativeLoader::new(base.path())
        .plugin_dirs([plugins.path(), more.path()])
        .library_path([base.path()]);
    let load = |path: &Path| {
        let definition = definition("tested", path);
        let loading = loader.load(&definition, true, TestHost::new("tested"));
        smol::block_on(loading)
    };
    let outside = write(&base, "outside", &fs::read(hello_plugin()).unwrap());
    let inside = write(&more, "inside", &fs::read(hello_plugin()).unwrap());
    let alias = plugins.path().join("alias.so");
    symlink(&inside, &alias).unwrap();
    let escape = plugins.path().join("escape.so");
    symlink(&outside, &escape).unwrap();
    let folder = plugins.path().join("folder");
    symlink(base.path(), &folder).unwrap();

    // By name, by path, and through a link from one plugin directory to another.
    for path in [Path::new("inside"), &inside, &alias] {
        assert_eq!(load(path).unwrap().file, inside);
    }
    let out_and_back = base
        .path()
        .join("nowhere/../..")
        .join(inside.strip_prefix("/").unwrap());
    let existing = [&outside, &escape, &folder.join(file_name("outside"))];
    let missing = [
        Path::new("/etc/valor/missing.so"),
        &base.path().join("missing.so"),
        &plugins.path().join("../missing.so"),
        &out_and_back,
    ];
    for path in existing.into_iter().map(PathBuf::as_path).chain(missing) {
        assert_eq!(
            load(path).unwrap_err().to_string(),
            format!(
                "{} is not inside one of the plugin directories {} or {} once its symbolic links \
                 are resolved: put the file there, or name its folder with --plugin-dir when the \
                 host starts",
                path.display(),
                plugins.path().display(),
                more.path().display()
            )
        );
    }
    let missing = plugins.path().join("missing.so");
    assert_eq!(
        load(&missing).unwrap_err().to_string(),
        format!(
            "{} does not exist: build it (`--build`), or correct `path`",
            missing.display()
        )
    );
    let line = load(Path::new("outside")).unwrap_err().to_string();
    assert!(
        line.starts_with("no library for `outside` was found"),
        "{line}"
    );

    let loader = NativeLoader::new(base.path());
    let loading = loader.locate(&definition("tested", &inside), true);
    assert_eq!(
        loading.unwrap_err().to_string(),
        format!(
            "{} is not inside a plugin directory (none is set) once its symbolic links are \
             resolved: put the file there, or name its folder with --plugin-dir when the host \
             starts",
            inside.display()
        )
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_library_finds_what_stands_beside_it() {
    let dir = temp();
    let file = write(&dir, "beside", &fs::read(beside()).unwrap());
    assert_eq!(
        refused(dir.path(), &definition_of(&file)),
        "DIR/libbeside.so is refused by the system's loader: libbeside_dependency.so: cannot open \
         shared object file: No such file or directory; see that what it depends on is installed"
    );
    let dependency = "libbeside_dependency.so";
    fs::copy(
        beside().with_file_name(dependency),
        dir.path().join(dependency),
    )
    .unwrap();
    let loaded = load(&loader_in(dir.path()), &definition_of(&file)).unwrap();
    assert_eq!(text(&loaded.vlugin, "/"), "the answer beside is 42");
    // The copy that was loaded is gone.
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn a_folder_that_cannot_be_written_to_is_named() {
    let missing = temp().path().join("missing");
    let test = "a_folder_that_cannot_be_written_to_is_named";
    let variable = if cfg!(windows) { "TMP" } else { "TMPDIR" };
    if !in_a_process_of_its_own(test, (variable, &missing)) {
        return;
    }
    let line = load(&loader_in(Path::new("")), &definition_of(hello_plugin())).unwrap_err();
    let line = line.to_string();
    assert!(
        line.starts_with(&format!(
            "{} cannot be copied to {}, from where it is loaded: ",
            hello_plugin().display(),
            std::env::temp_dir().display()
        )),
        "{line}"
    );
    assert!(
        line.ends_with(&format!(
            "; set {variable} to a folder that can be written to and has room"
        )),
        "{line}"
    );
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let dir = temp();
    let file = dir.path().join("large.so");
    // Sparse: it takes no room.
    fs::File::create(&file)
        .unwrap()
        .set_len((1 << 30) + 1)
        .unwrap();
    assert_eq!(
        refused(dir.path(), &definition_of(&file)),
        "DIR/large.so has more than 1073741824 bytes, which no library needs: strip its debug \
         information"
    );
}

#[test]
fn what_is_no_library_is_refused_by_what_it_is() {
    let dir = temp();
    for (content, found, remedy) in [
        (&b""[..], "an empty file", "build it again"),
        (
            b"This is not a library.\n",
            "a text file",
            "give the file that cargo builds for `crate-type = [\"cdylib\"]`",
        ),
        (
            b"\0asm\x01\0\0\0",
            "a WebAssembly module",
            "build it as `cdylib` for this host's own target",
        ),
    ] {
        let file = write(&dir, "odd", content);
        assert_eq!(
            refused(dir.path(), &definition_of(&file)),
            format!(
                "DIR/{} is not a library but {found}: {remedy}",
                file_name("odd")
            )
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_library_that_is_no_vlugin_is_refused() {
    // Every process has one mapped at least: that of C. Where there is a libz, that one.
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let libc = maps
        .lines()
        .find_map(|line| {
            line.split_whitespace()
                .last()
                .filter(|f| f.contains("libc"))
        })
        .expect("a library of C");
    let libz = Path::new(libc).with_file_name("libz.so.1");
    for library in [Path::new(libc), &libz] {
        if library.exists() {
            let dir = temp();
            assert_eq!(
                refused(dir.path(), &definition_of(library)),
                format!(
                    "{} is not a vlugin: it has no Valor metadata; was it built with #[vlugin]?",
                    library.display()
                )
            );
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_is_refused() {
    let dir = temp();
    let program = std::env::current_exe().unwrap();
    assert_eq!(
        refused(dir.path(), &definition_of(&program)),
        format!(
            "{} is an executable program and not a dynamic library: set `crate-type = \
             [\"cdylib\"]` in its Cargo.toml",
            program.display()
        )
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_library_that_was_cut_off_is_refused() {
    let dir = temp();
    let whole = fs::read(hello_plugin()).unwrap();
    for len in [1_000, 20_000, 300_000, whole.len() - 1] {
        let file = write(&dir, "cut", &whole[..len]);
        assert_eq!(
            refused(dir.path(), &definition_of(&file)),
            format!(
                "DIR/libcut.so is damaged: it has {len} bytes, but its table of sections would \
                 end at byte {}; build it or copy it again",
                whole.len()
            )
        );
    }
    let file = write(&dir, "cut", &whole[..20]);
    assert_eq!(
        refused(dir.path(), &definition_of(&file)),
        "DIR/libcut.so is damaged: it has 20 bytes and ends within its ELF header; build it or \
         copy it again"
    );
}

#[test]
fn another_version_of_the_abi_is_refused() {
    let dir = temp();
    let other = patched(hello_plugin(), ABI_MAJOR, &[2, 0, 7, 0]);
    let file = write(&dir, "other", &other);
    assert_eq!(
        refused(dir.path(), &definition_of(&file)),
        format!(
            "DIR/{} speaks version 2.7 of Valor's ABI, but this host speaks 1.0: build it again \
             with valor_abi {}, or run it in a host that speaks 2.7",
            file_name("other"),
            env!("CARGO_PKG_VERSION")
        )
    );
    // What a newer minor version adds is asked for before it is used.
    let newer = patched(hello_plugin(), ABI_MINOR, &[9, 0]);
    let file = write(&dir, "newer", &newer);
    let loaded = load(&loader_in(dir.path()), &definition_of(&file)).unwrap();
    assert_eq!(text(&loaded.vlugin, "/"), "OK response from a plugin");
}

#[test]
fn metadata_that_cannot_be_read_is_refused() {
    let dir = temp();
    let file = write(&dir, "odd", &patched(hello_plugin(), 0, b"VALOR"));
    assert_eq!(
        refused(dir.path(), &definition_of(&file)),
        format!(
            "DIR/{} has Valor metadata that cannot be read: its section has no block in it; \
             build it again with valor_abi {}",
            file_name("odd"),
            env!("CARGO_PKG_VERSION")
        )
    );
    let file = write(&dir, "odd", &patched(hello_plugin(), SIZE, &[0xff; 4]));
    assert!(refused(dir.path(), &definition_of(&file)).contains("its block is cut off"));
}

#[test]
fn a_library_whose_panics_abort_is_refused() {
    let dir = temp();
    assert_eq!(
        refused(dir.path(), &definition_of(misbehaving_abort())),
        format!(
            "{} was built with panic = \"abort\", and a panic in it would end this host: build \
             it with panic = \"unwind\", which is the default",
            misbehaving_abort().display()
        )
    );
}

#[test]
fn a_library_for_another_target_is_refused() {
    let dir = temp();
    let other = patched(hello_plugin(), TARGET, b"riscv64gc-unknown-linux-musl\0");
    let file = write(&dir, "other", &other);
    let ours = valor::native::Metadata::this_target();
    assert_eq!(
        refused(dir.path(), &definition_of(&file)),
        format!(
            "DIR/{} was built for riscv64gc-unknown-linux-musl, but this host for {ours}: build \
             it with `--target {ours}`",
            file_name("other"),
        )
    );
}

#[test]
fn another_sha256_is_refused() {
    let dir = temp();
    let right = load(&loader_in(dir.path()), &definition_of(hello_plugin()));
    let right = right.unwrap().sha256;
    let with = |sha256: &str| Definition {
        sha256: Some(sha256.into()),
        ..definition_of(hello_plugin())
    };
    load(&loader_in(dir.path()), &with(&right.to_uppercase())).unwrap();
    let wrong = "ab".repeat(32);
    assert_eq!(
        refused(dir.path(), &with(&wrong)),
        format!(
            "{} has the SHA-256 {right}, but its definition says {wrong}: bring back the file \
             that was meant, or correct `sha256`",
            hello_plugin().display()
        )
    );
    for invalid in ["abc", &"g".repeat(64), &"é".repeat(32)] {
        assert_eq!(
            refused(dir.path(), &with(invalid)),
            format!(
                "`sha256` of vlugin `tested` is `{invalid}`, which is not 64 hexadecimal \
                 digits: write what `sha256sum FILE` prints"
            )
        );
    }
}

#[test]
fn a_root_module_that_does_not_fit_is_refused() {
    let dir = temp();
    let this = valor::native::Metadata::this_rustc();
    let refused_as = |symbol: &str, mismatch: &str| {
        let bytes = patched(misbehaving(), SYMBOL, symbol.as_bytes());
        let file = write(&dir, "unfit", &bytes);
        assert_eq!(
            refused(dir.path(), &definition_of(&file)),
            format!(
                "DIR/{} does not fit this host: {mismatch}; it was built by rustc {this}, this \
                 host by rustc {this}: build it again with valor_abi {}",
                file_name("unfit"),
                env!("CARGO_PKG_VERSION")
            )
        );
    };
    refused_as(
        "valor_module_other_shape",
        "mismatched type of `OtherModule` (this host has ValorModule, the library OtherModule)",
    );
    refused_as(
        "valor_module_other_abi_s",
        "it was built with version 0.12 of abi_stable, this host with 0.11",
    );
    refused_as(
        "valor_module_no_header__",
        "what it exports is no header of a root module",
    );
    refused_as(
        "valor_module_panicking__",
        "its root module could not be made",
    );
}

#[test]
fn a_symbol_that_is_not_exported_is_refused() {
    let dir = temp();
    let bytes = patched(misbehaving(), SYMBOL, b"valor_module_not_there__");
    let file = write(&dir, "unfit", &bytes);
    assert_eq!(
        refused(dir.path(), &definition_of(&file)),
        format!(
            "DIR/{} does not export `valor_module_not_there__`, which its metadata names: build \
             it again, with its exported symbols left in",
            file_name("unfit")
        )
    );
    // That is known before any of its code runs.
    let shown = valor_runtime::inspect(&file).unwrap();
    assert!(matches!(shown.verdict, Err(LoadError::NoSymbol { .. })));
}

#[test]
fn a_creation_that_fails_or_panics_is_refused() {
    let dir = temp();
    assert_eq!(
        refused(dir.path(), &misbehaving_with("fail")),
        "vlugin `tested` could not be created: no such table: users"
    );
    for config in ["panic", "panic later"] {
        let line = refused(dir.path(), &misbehaving_with(config));
        let place = line
            .strip_prefix("vlugin `tested` panicked as it was created: created for trouble at ")
            .unwrap_or_else(|| panic!("{line}"));
        assert!(place.starts_with("misbehaving/src/lib.rs:"), "{place}");
    }
    let number = Definition {
        config: Value::from(1),
        ..misbehaving_with("")
    };
    assert_eq!(
        refused(dir.path(), &number),
        "vlugin `tested` could not be created: `config` does not fit: invalid type: integer \
         `1`, expected a string"
    );
}

#[test]
fn a_creation_that_never_ends_is_given_up() {
    let dir = temp();
    let loader = loader_in(dir.path()).create_timeout(Duration::from_secs(2));
    let line = |config| {
        load(&loader, &misbehaving_with(config))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        line("hang"),
        "vlugin `tested` was not created within 2 s: its `on_create` waits for something that \
         does not come"
    );
    assert_eq!(
        line("block"),
        "vlugin `tested` was not created within 2 s: its `on_create` blocks its thread; let it \
         wait with `.await` and `valor::sleep`"
    );
    // Others are served all the while, from the same library too.
    assert_eq!(
        text(
            &load(&loader, &misbehaving_with("slow")).unwrap().vlugin,
            "/"
        ),
        "fine"
    );
}

#[test]
fn a_load_that_nobody_waits_for_is_given_up() {
    let loader = loader_in(Path::new(""));
    // The first host of a library is kept, for code outside of any vlugin's scope.
    load(&loader, &misbehaving_with("fine")).unwrap();
    let host = TestHost::new("given up");
    let kept: Weak<TestHost> = Arc::downgrade(&host);
    let definition = misbehaving_with("hang");
    let mut loading = Box::pin(loader.load(&definition, false, host));
    smol::block_on(async {
        let is_waiting = || {
            let host = kept.upgrade();
            host.is_some_and(|host| !host.log.lock().unwrap().is_empty())
        };
        while !is_waiting() {
            assert!(
                futures_lite::future::poll_once(&mut loading)
                    .await
                    .is_none()
            );
            smol::Timer::after(Duration::from_millis(5)).await;
        }
    });
    drop(loading);
    let start = Instant::now();
    while kept.strong_count() > 0 {
        assert!(start.elapsed() < Duration::from_secs(20), "it goes on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_vlugin_that_panics_as_it_is_dropped_is_logged() {
    let host = TestHost::new("dropped");
    let loader = loader_in(Path::new(""));
    let definition = misbehaving_with("drop");
    drop(smol::block_on(loader.load(&definition, false, host.clone())).unwrap());
    let log = host.log.lock().unwrap().join("\n");
    assert!(
        log.starts_with("ERROR dropped for trouble at misbehaving/src/lib.rs:"),
        "{log}"
    );
}
