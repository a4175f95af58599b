//! Files that are found but are not vlugins for this host.

use super::*;

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
            "write `\"type\": \"wasm\"`, or build it as `cdylib` for this host's own target",
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
    // Every process has mapped at least one library, which is that of C. If there is a libz, take that.
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
    // A library checks for the additions of a newer minor version before it uses them.
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
    let ours = valor_abi_wire::metadata::Metadata::this_target();
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
    let right = right.unwrap().sha256.unwrap();
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
    let this = valor_abi_wire::metadata::Metadata::this_rustc();
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
        "what it exports is not the header of a root module",
    );
    refused_as(
        "valor_module_no_layout__",
        "it does not contain the layout of its types",
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
    // This is known before any of its code runs.
    let shown = valor_runtime::inspect(&file).unwrap();
    assert!(matches!(
        shown.verdict,
        Err(LoadError::Native {
            error: NativeError::NoSymbol { .. },
            ..
        })
    ));
}
