//! `inspect`, on libraries of every platform, and on bytes that are nothing of the kind.

mod fixture;

use fixture::{hello_plugin, misbehaving_abort};
use proptest::prelude::*;
use std::{fs, path::Path, sync::OnceLock};
use valor_abi_wire::metadata::{MAGIC, Metadata};
use valor_runtime::{Inspection, inspect};

fn library() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| fs::read(hello_plugin()).unwrap())
}

/// Where the metadata block of the library is.
fn block_at() -> usize {
    static AT: OnceLock<usize> = OnceLock::new();
    *AT.get_or_init(|| {
        let is_block = |at: &usize| {
            library()[*at..].starts_with(&MAGIC)
                && library()[at + 16..][..4] == 384u32.to_le_bytes()
        };
        (0..library().len() - 384).find(is_block).unwrap()
    })
}

/// A metadata block for another target.
fn block(target: &str) -> Vec<u8> {
    let mut block = library()[block_at()..][..384].to_vec();
    block[192..256].fill(0);
    block[192..][..target.len()].copy_from_slice(target.as_bytes());
    block
}

fn of(bytes: &[u8]) -> Inspection {
    Inspection::of(Path::new("some.lib"), bytes).unwrap()
}

#[test]
fn a_vlugin_is_shown_with_all_that_it_says() {
    let shown = inspect(hello_plugin()).unwrap();
    let file = hello_plugin().display();
    let target = Metadata::this_target();
    let rustc = Metadata::this_rustc();
    let version = env!("CARGO_PKG_VERSION");
    let (format, architecture) = (shown.format, shown.architecture);
    let (size, sha256) = (library().len(), &shown.sha256);
    assert_eq!(
        shown.to_string(),
        format!(
            "file     {file}\n\
             format   {format} for {architecture}\n\
             size     {size} bytes\n\
             sha256   {sha256}\n\
             name     hello_plugin\n\
             version  {version}\n\
             abi      1.0 (this host speaks 1.0)\n\
             form     function\n\
             target   {target}\n\
             rustc    {rustc}\n\
             panic    unwind\n\
             loads    yes"
        )
    );
    assert_eq!(
        serde_json::to_value(&shown).unwrap(),
        serde_json::json!({
            "file": file.to_string(),
            "format": format,
            "architecture": std::env::consts::ARCH,
            "size": size,
            "sha256": sha256,
            "vlugin": {
                "name": "hello_plugin",
                "version": version,
                "abi": "1.0",
                "form": "function",
                "target": target,
                "rustc": rustc,
                "panic": "unwind",
            },
            "interfaces": null,
            "loads": true,
            "reason": null,
        })
    );
}

#[test]
fn what_would_not_load_is_shown_with_the_reason() {
    let shown = inspect(misbehaving_abort()).unwrap();
    let text = shown.to_string();
    assert!(text.contains("\npanic    abort\n"), "{text}");
    assert!(text.contains("\nform     typed\n"), "{text}");
    let reason = shown.verdict.clone().unwrap_err().to_string();
    assert!(
        text.ends_with(&format!("\nloads    no: {reason}")),
        "{text}"
    );
    let json = serde_json::to_value(&shown).unwrap();
    assert_eq!(json["loads"], false);
    assert_eq!(json["reason"], reason);
}

/// The smallest file that is a DLL: headers and one section.
fn dll(section: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 0x200];
    let mut put = |at: usize, field: &[u8]| bytes[at..][..field.len()].copy_from_slice(field);
    put(0, b"MZ");
    put(0x3c, &0x40u32.to_le_bytes());
    put(0x40, b"PE\0\0");
    put(0x44, &0x8664u16.to_le_bytes()); // x86_64
    put(0x46, &1u16.to_le_bytes()); // sections
    put(0x54, &240u16.to_le_bytes()); // size of the optional header
    put(0x56, &0x2022u16.to_le_bytes()); // a DLL
    put(0x58, &0x20bu16.to_le_bytes()); // 64 bits
    put(0x58 + 24, &0x1_8000_0000u64.to_le_bytes()); // image base
    put(0x58 + 32, &0x1000u32.to_le_bytes()); // alignment of sections
    put(0x58 + 36, &0x200u32.to_le_bytes()); // alignment in the file
    put(0x58 + 60, &0x200u32.to_le_bytes()); // size of the headers
    put(0x58 + 108, &16u32.to_le_bytes()); // data directories
    put(0x148, b".valor\0\0");
    put(0x150, &(section.len() as u32).to_le_bytes());
    put(0x154, &0x1000u32.to_le_bytes()); // address
    put(0x158, &0x200u32.to_le_bytes()); // size in the file
    put(0x15c, &0x200u32.to_le_bytes()); // offset in the file
    bytes.extend_from_slice(section);
    bytes.resize(0x400, 0);
    bytes
}

/// The smallest file that is a dylib for arm64: a segment with one section.
fn dylib(section: &[u8]) -> Vec<u8> {
    let name = |name: &str| {
        let mut field = [0; 16];
        field[..name.len()].copy_from_slice(name.as_bytes());
        field
    };
    let len = section.len() as u64;
    let mut bytes = Vec::new();
    for field in [0xfeed_facf, 0x0100_000c, 0, 6, 1, 152, 0, 0u32] {
        bytes.extend(field.to_le_bytes());
    }
    for field in [0x19, 152u32] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend(name("__DATA"));
    for field in [0x4000, len, 184, len] {
        bytes.extend(field.to_le_bytes());
    }
    for field in [3, 3, 1, 0u32] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend(name("__valor"));
    bytes.extend(name("__DATA"));
    for field in [0x4000, len] {
        bytes.extend(field.to_le_bytes());
    }
    for field in [184, 0, 0, 0, 0, 0, 0, 0u32] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend_from_slice(section);
    bytes
}

/// A universal file of one dylib.
fn universal(dylib: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in [0xcafe_babe, 1, 0x0100_000c, 0, 64, dylib.len() as u32, 3] {
        bytes.extend(field.to_be_bytes());
    }
    bytes.resize(64, 0);
    bytes.extend_from_slice(dylib);
    bytes
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn libraries_of_other_platforms_are_read_too() {
    let windows = "x86_64-pc-windows-msvc";
    let apple = "aarch64-apple-darwin";
    for (bytes, target, found) in [
        (dll(&block(windows)), windows, "PE for x86_64"),
        (dylib(&block(apple)), apple, "Mach-O for aarch64"),
        (
            universal(&dylib(&block(apple))),
            apple,
            "Mach-O for aarch64",
        ),
    ] {
        let shown = of(&bytes);
        let metadata = shown.metadata.as_ref().unwrap();
        assert_eq!(
            (&*metadata.name, &*metadata.target),
            ("hello_plugin", target)
        );
        let this = Metadata::this_target();
        assert_eq!(
            shown.verdict.unwrap_err().to_string(),
            format!("some.lib is {found}, but this host needs ELF for x86_64: build it for {this}")
        );
    }
}

#[cfg(not(windows))]
#[test]
fn a_dll_that_was_cut_off_has_no_metadata() {
    let bytes = dll(&block("x86_64-pc-windows-msvc"));
    assert!(of(&bytes[..0x300]).metadata.is_none());
    assert!(of(&bytes[..0x180]).metadata.is_none());
}

#[cfg(target_os = "linux")]
#[test]
fn each_header_field_that_points_out_of_the_file_is_noticed() {
    let len = library().len();
    let word = |at: usize| u64::from_le_bytes(library()[at..][..8].try_into().unwrap()) as usize;
    let (segments, sections) = (word(0x20), word(0x28));
    let damaged = |at: usize, what: &str| {
        let mut bytes = library().to_vec();
        bytes[at..][..8].copy_from_slice(&(len as u64 + 1).to_le_bytes());
        let line = of(&bytes).verdict.unwrap_err().to_string();
        let expected = format!("some.lib is damaged: it has {len} bytes, but its {what} would end");
        assert!(line.starts_with(&expected), "{line}");
    };
    damaged(0x20, "table of segments");
    damaged(0x28, "table of sections");
    // The second segment is the first that is mapped: its offset, and its size in the file.
    damaged(segments + 56 + 8, "segments");
    damaged(segments + 56 + 32, "segments");
    damaged(sections + 64 + 24, "sections");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Bytes are written anywhere over a library's headers and tables, and it is cut off anywhere.
    #[test]
    fn no_damage_makes_it_panic(
        cut in prop::option::weighted(0.2, 0..1usize << 22),
        damage in prop::collection::vec((0..6usize, any::<u16>(), any::<u64>(), 1..=8usize), 1..12),
    ) {
        let word = |at: usize| {
            u64::from_le_bytes(library()[at..][..8].try_into().unwrap()) as usize
        };
        // The places of structure: the headers, the segments, the sections, the metadata, the symbols and names behind
        // the headers; and any other place.
        let places = [
            (0, 64),
            (word(0x20), 56 * 12),
            (word(0x28), library().len() - word(0x28)),
            (block_at(), 384),
            (0x200, 0x1000),
            (0, library().len()),
        ];
        let mut bytes = library().to_vec();
        for (place, within, value, width) in damage {
            let (start, len) = places[place];
            let at = start + usize::from(within) * 7 % len;
            let end = (at + width).min(bytes.len());
            // Small numbers, as they are in headers, and large ones.
            let value = if within % 3 == 0 { value } else { value >> 48 };
            bytes[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
        }
        bytes.truncate(cut.unwrap_or(usize::MAX));
        let shown = Inspection::of(Path::new("damaged"), &bytes);
        let verdict = match &shown {
            Ok(shown) => { let _ = shown.to_string(); &shown.verdict }
            Err(error) => &Err(error.clone()),
        };
        if let Err(error) = verdict {
            prop_assert!(!error.to_string().contains("panicked"), "{}", error);
            prop_assert!(!error.to_string().contains('\n'), "{}", error);
        } else {
            prop_assert!(cut.is_none_or(|cut| cut >= library().len()), "cut off at {:?}", cut);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(
        kind in 0..6usize,
        tail in prop::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..600),
    ) {
        let heads: [&[u8]; 6] = [
            b"\x7fELF\x02\x01\x01", b"\x7fELF\x01\x02\x01", b"MZ",
            b"\xcf\xfa\xed\xfe", b"\xfe\xed\xfa\xce", b"\xca\xfe\xba\xbe\0\0\0",
        ];
        let bytes = [heads[kind], &tail].concat();
        let shown = Inspection::of(Path::new("odd"), &bytes).map(|shown| shown.verdict);
        let error = shown.and_then(|verdict| verdict).unwrap_err().to_string();
        prop_assert!(!error.contains("panicked"), "{}", error);
    }

    #[test]
    fn no_damage_to_libraries_of_other_platforms_makes_it_panic(
        kind in 0..3usize,
        damage in prop::collection::vec((0..400usize, any::<u8>()), 0..8),
        cut in prop::option::weighted(0.2, 0..1200usize),
    ) {
        let mut bytes = match kind {
            0 => dll(&block("x86_64-pc-windows-msvc")),
            1 => dylib(&block("aarch64-apple-darwin")),
            _ => universal(&dylib(&block("aarch64-apple-darwin"))),
        };
        for (at, value) in damage {
            bytes[at] = value;
        }
        bytes.truncate(cut.unwrap_or(usize::MAX));
        let shown = Inspection::of(Path::new("odd"), &bytes).map(|shown| shown.verdict);
        if let Err(error) = shown.and_then(|verdict| verdict) {
            prop_assert!(!error.to_string().contains("panicked"), "{}", error);
        }
    }
}
