//! Bytes that are no package, or almost one. Each is refused with one line.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

/// A member of an archive: its name, its type and its content.
type Part<'a> = (&'a str, u8, &'a [u8]);

/// A tar archive of these members, with any names and types.
fn tar(parts: &[Part<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, kind, content) in parts {
        bytes.extend(header(name, *kind, &format!("{:011o}\0", content.len())));
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fn header(name: &str, kind: u8, size: &str) -> [u8; 512] {
    header_of(name.as_bytes(), kind, size.as_bytes())
}

fn header_of(name: &[u8], kind: u8, size: &[u8]) -> [u8; 512] {
    let mut header = [0; 512];
    let mut put = |at: usize, field: &[u8]| header[at..][..field.len()].copy_from_slice(field);
    put(0, name);
    put(124, size);
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// A manifest of one library with the content `a`, after `change`.
fn manifest_with(change: impl Fn(&mut Value)) -> Vec<u8> {
    let mut manifest = json!({
        "format": 1, "name": "a", "version": "1.0.0", "abi": "1.0",
        "libraries": [{
            "target": "t", "file": "t/liba.so", "size": 1,
            "sha256": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
        }],
    });
    change(&mut manifest);
    serde_json::to_vec(&manifest).unwrap()
}

const LIBRARY: Part<'_> = ("t/liba.so", b'0', b"a");

fn good() -> Vec<u8> {
    tar(&[("manifest.json", b'0', &manifest_with(|_| ())), LIBRARY])
}

#[test]
fn a_package_that_another_program_wrote_is_taken() {
    let bytes = good();
    assert!(Package::read(Path::new("x.vlugin"), &bytes).is_ok());
    // GNU tar fills its last record with zeros.
    let filled = [&*bytes, &[0; 7168]].concat();
    assert!(Package::read(Path::new("x.vlugin"), &filled).is_ok());
}

#[test]
fn what_is_no_tar_archive_is_told_by_what_it_is() {
    for (bytes, reason) in [
        (&b""[..], "it has 0 bytes, too few for one"),
        (b"PK\x03\x04rest", "it is a zip archive and not tar"),
        (
            b"\x1f\x8b\x08",
            "it is compressed with gzip; packages are plain tar",
        ),
        (&[b'x'; 4096], "it is not a tar archive"),
    ] {
        assert_eq!(refusal(bytes), unsound(reason));
    }
}

#[test]
fn wherever_it_is_cut_off_it_is_refused() {
    let bytes = good();
    for len in 0..bytes.len() {
        refusal(&bytes[..len]);
    }
    assert_eq!(
        refusal(&bytes[..bytes.len() - 512]),
        unsound("it is cut off at its end")
    );
}

#[test]
fn whichever_byte_is_changed_no_library_is() {
    let good = good();
    let mut taken = 0;
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x15;
        // Bytes that nothing depends on, such as a letter of the version, may have changed.
        if let Ok(package) = Package::read(Path::new("x.vlugin"), &bytes) {
            let libraries: Vec<_> = package.libraries().map(|(_, bytes)| bytes).collect();
            assert_eq!(libraries, [b"a"], "byte {at}");
            taken += 1;
        }
    }
    assert!(taken < 20, "{taken} bytes may be changed");
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let manifest = manifest_with(|_| ());
    for (name, shown) in [
        ("../liba.so", "../liba.so"),
        ("/t/liba.so", "/t/liba.so"),
        ("t/../../liba.so", "t/../../liba.so"),
        ("t\\liba.so", "t\\\\liba.so"),
        ("C:liba.so", "C:liba.so"),
        ("t/./liba.so", "t/./liba.so"),
        ("t/liba\n.so", "t/liba\\n.so"),
    ] {
        let bytes = tar(&[("manifest.json", b'0', &manifest), (name, b'0', b"a")]);
        assert_eq!(
            refusal(&bytes),
            unsound(&format!(
                "it holds the name `{shown}`; names are letters, digits, `_`, `.` and `-`, with \
                 single slashes between, and none is `.` or `..`"
            ))
        );
    }
}

#[test]
fn what_is_no_regular_file_is_refused() {
    let manifest = manifest_with(|_| ());
    // Links, devices, folders, pipes, sparse files, and headers that change others.
    for kind in *b"1234567SLKxgVMD" {
        let odd = ("odd", kind, &b"12 path=../a\n"[..]);
        for parts in [
            [odd, ("manifest.json", b'0', &manifest), LIBRARY],
            [("manifest.json", b'0', &manifest), odd, LIBRARY],
        ] {
            assert_eq!(
                refusal(&tar(&parts)),
                unsound("`odd` in it is not a regular file"),
                "{}",
                kind as char
            );
        }
    }
}

#[test]
fn members_are_those_of_the_manifest() {
    let manifest = manifest_with(|_| ());
    let manifest = ("manifest.json", b'0', &*manifest);
    for (parts, reason) in [
        (
            vec![manifest, LIBRARY, LIBRARY],
            "it holds `t/liba.so` twice",
        ),
        (
            vec![manifest, LIBRARY, manifest],
            "it holds `manifest.json` twice",
        ),
        (
            vec![manifest, LIBRARY, ("more", b'0', b"")],
            "it holds `more`, which its manifest does not name",
        ),
        (
            vec![manifest],
            "its manifest names `t/liba.so`, which is not in it",
        ),
        (
            vec![LIBRARY, manifest],
            "`manifest.json` is not its first member",
        ),
        (vec![LIBRARY], "`manifest.json` is not its first member"),
    ] {
        assert_eq!(refusal(&tar(&parts)), unsound(reason));
    }
    let names: Vec<_> = (0..1000).map(|number| format!("m{number}")).collect();
    let many: Vec<_> = names.iter().map(|name| (&**name, b'0', &b""[..])).collect();
    assert_eq!(
        refusal(&tar(&many)),
        unsound("it holds more than 129 files")
    );
}

#[test]
fn sizes_beyond_the_file_are_refused() {
    let huge = [b"\x80\0\0\0", &[0xff; 8][..]].concat();
    let (big, bad): (&[u8], &[u8]) = (b"77777777777\0", b"9999999999\0\0");
    for (size, reason) in [
        (big, "it is cut off within `manifest.json`"),
        (&*huge, "its tar headers cannot be read (size overflow)"),
        (bad, "its tar headers cannot be read"),
    ] {
        let mut bytes = header_of(b"manifest.json", b'0', size).to_vec();
        bytes.resize(4096, b' ');
        let line = refusal(&bytes);
        let expected = unsound(reason);
        let start = expected.split(';').next().unwrap();
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn nothing_hides_behind_the_end() {
    let bytes = [good(), good()].concat();
    assert_eq!(refusal(&bytes), unsound("there is something after its end"));
}

#[test]
fn manifests_that_lie_are_refused() {
    let zeros = "0".repeat(64);
    let sha = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
    type Change = fn(&mut Value);
    let cases: [(Change, String); 12] = [
        (
            |it| it["libraries"][0]["sha256"] = "0".repeat(64).into(),
            format!("`t/liba.so` has the SHA-256 {sha}, but its manifest says {zeros}"),
        ),
        (
            |it| it["libraries"][0]["size"] = 2.into(),
            "`t/liba.so` has 1 bytes, but its manifest says 2".into(),
        ),
        (
            |it| it["libraries"][0]["file"] = "../liba.so".into(),
            "its library for t is `../liba.so` and not `t/liba.so`".into(),
        ),
        (
            |it| it["libraries"][0]["sha256"] = "xyz".into(),
            "the SHA-256 of its library for t is not 64 lower-case hexadecimal digits".into(),
        ),
        (
            |it| it["libraries"] = json!([it["libraries"][0], it["libraries"][0]]),
            "it has two libraries for t".into(),
        ),
        (
            |it| it["libraries"] = json!([]),
            "it has 0 libraries, and not 1 to 64".into(),
        ),
        (
            |it| it["name"] = "a\u{1b}[31m".into(),
            "its `name` is `a\\u{1b}[31m`, which is not 1 to 64 letters, digits, `_`, `.`, `+` and `-`"
                .into(),
        ),
        (
            |it| it["config_schema"] = json!([]),
            "its `config_schema` is not a JSON Schema".into(),
        ),
        (
            |it| *it = json!({ "format": 4, "anything": true }),
            "it is of package format 4, and this host reads 1, 2 and 3".into(),
        ),
        (
            |it| it["format"] = json!(2),
            "it is of package format 2: one of format 2 holds one script and nothing else, the others none".into(),
        ),
        (
            |it| it["libraries"][0]["target"] = json!("javascript"),
            "it is of package format 1: one of format 2 holds one script and nothing else, the others none".into(),
        ),
        (
            |it| it["extra\n"] = json!(1),
            "`manifest.json` cannot be read (unknown field `extra\\n`, expected one of `format`, `name`, \
             `version`, `abi`, `license`, `config_schema`, `libraries`, `compiled` at line 1 column 22)"
                .into(),
        ),
    ];
    for (change, reason) in cases {
        let manifest = manifest_with(change);
        let bytes = tar(&[("manifest.json", b'0', &manifest), LIBRARY]);
        assert_eq!(refusal(&bytes), unsound(&reason));
    }
    let large = vec![b' '; (1 << 20) + 1];
    assert_eq!(
        refusal(&tar(&[("manifest.json", b'0', &large), LIBRARY])),
        unsound("`manifest.json` has more than 1048576 bytes")
    );
}

/// A manifest of one module with the content `a`, and of code with the content `b`, after `change`.
fn compiled_with(change: impl Fn(&mut Value)) -> Vec<u8> {
    manifest_with(|it| {
        let library = &mut it["libraries"][0];
        library["target"] = json!("wasm32-unknown-unknown");
        library["file"] = json!("wasm32-unknown-unknown/a.wasm");
        it["format"] = json!(3);
        it["compiled"] = json!([{
            "of": "wasm32-unknown-unknown", "target": "t", "compiler": "wasmtime-1.0.0",
            "file": "compiled/t/wasm32-unknown-unknown.cwasm", "size": 1,
            "sha256": "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d",
        }]);
        change(it);
    })
}

#[test]
fn compiled_code_belongs_to_a_module_of_the_package() {
    let module: Part<'_> = ("wasm32-unknown-unknown/a.wasm", b'0', b"a");
    let code: Part<'_> = ("compiled/t/wasm32-unknown-unknown.cwasm", b'0', b"b");
    let with = |change: fn(&mut Value)| {
        tar(&[
            ("manifest.json", b'0', &compiled_with(change)),
            module,
            code,
        ])
    };
    let bytes = with(|_| ());
    let package = Package::read(Path::new("x.vlugin"), &bytes).unwrap();
    let [(told, b"b")] = package.compiled().collect::<Vec<_>>()[..] else {
        panic!("{:?}", package.manifest());
    };
    assert_eq!((&*told.target, &*told.compiler), ("t", "wasmtime-1.0.0"));

    type Change = fn(&mut Value);
    let cases: [(Change, &str); 10] = [
        (
            |it| it["format"] = json!(1),
            "it is of package format 1: one of format 3 has compiled code, the others none",
        ),
        (
            |it| it["compiled"] = json!([]),
            "it is of package format 3: one of format 3 has compiled code, the others none",
        ),
        (
            |it| it["compiled"][0]["of"] = json!("wasm32-wasip2"),
            "its code for t was compiled from its library for `wasm32-wasip2`, and it has no module or component for \
             that",
        ),
        (
            |it| it["compiled"][0]["of"] = json!("t"),
            "its code for t was compiled from its library for `t`, and it has no module or component for that",
        ),
        (
            |it| it["compiled"] = json!([it["compiled"][0], it["compiled"][0]]),
            "it has code for t twice",
        ),
        (
            |it| it["compiled"][0]["file"] = json!("../t"),
            "its code for t is `../t` and not `compiled/t/wasm32-unknown-unknown.cwasm`",
        ),
        (
            |it| it["compiled"][0]["sha256"] = json!("xyz"),
            "the SHA-256 of its code for t is not 64 lower-case hexadecimal digits",
        ),
        (
            |it| it["compiled"][0]["size"] = json!(2),
            "`compiled/t/wasm32-unknown-unknown.cwasm` has 1 bytes, but its manifest says 2",
        ),
        (
            |it| it["compiled"][0]["compiler"] = json!("a\u{1b}b"),
            "its `compiler` is `a\\u{1b}b`, which is not 1 to 64 letters, digits, `_`, `.`, `+` and `-`",
        ),
        (
            |it| it["compiled"] = vec![it["compiled"][0].clone(); 65].into(),
            "it has code for 65 targets, and at most 64 are possible",
        ),
    ];
    for (change, reason) in cases {
        assert_eq!(refusal(&with(change)), unsound(reason));
    }
    let manifest = compiled_with(|_| ());
    let without = tar(&[("manifest.json", b'0', &manifest), module]);
    let name = code.0;
    assert_eq!(
        refusal(&without),
        unsound(&format!("its manifest names `{name}`, which is not in it"))
    );
}

proptest! {
    #[test]
    fn no_damage_makes_it_panic(
        damage in prop::collection::vec((0..4096usize, any::<u8>()), 1..8),
        cut in prop::option::weighted(0.2, 0..4096usize),
        mend in any::<bool>(),
    ) {
        let mut bytes = good();
        for (at, value) in damage {
            let len = bytes.len();
            bytes[at % len] = value;
        }
        if mend {
            // So that the damage is also found behind the checksum.
            let sum = bytes[..512].iter().enumerate();
            let sum = sum.map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) });
            let sum: u32 = sum.sum();
            bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        bytes.truncate(cut.unwrap_or(usize::MAX));
        if let Err(error) = Package::read(Path::new("x.vlugin"), &bytes) {
            prop_assert!(!error.to_string().contains('\n'), "{}", error);
        }
    }
}
