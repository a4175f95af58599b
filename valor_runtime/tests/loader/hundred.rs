//! More than a hundred bad files. Each is a good library or package with one change, or something else entirely. All
//! go through the loader of one process, and each gives one line.
#![cfg(target_os = "linux")] // What is damaged are the fields of ELF.

use super::*;
use object::{elf, pod};
use sha2::{Digest, Sha256};
use std::{collections::HashSet, os::unix::fs::symlink};
use valor_abi_wire::metadata::Metadata;
use valor_runtime::package::{Manifest, Package};

/// Beyond the end of any file.
const FAR: u64 = 1 << 40;

/// Bad files. Each is added, loaded, and then removed.
struct Bad {
    dir: TempDir,
    loader: NativeLoader,
    seen: HashSet<[u8; 32]>,
    count: usize,
    wrong: Vec<String>,
}

impl Bad {
    fn add(&mut self, name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
        let file = self.dir.path().join(name);
        fs::write(&file, &bytes).unwrap();
        let new = self.seen.insert(Sha256::digest(&bytes).into());
        assert!(new, "{} is the same as another one", file.display());
        self.load(&file);
        fs::remove_file(&file).unwrap();
    }

    /// A copy of `good` with `field` written over what is at `at`.
    fn with(&mut self, name: impl AsRef<Path>, good: &[u8], at: usize, field: &[u8]) {
        let mut bytes = good.to_vec();
        bytes[at..][..field.len()].copy_from_slice(field);
        self.add(name, bytes);
    }

    fn link(&mut self, name: &str, target: &str) {
        let file = self.dir.path().join(name);
        symlink(target, &file).unwrap();
        self.load(&file);
    }

    fn load(&mut self, file: &Path) {
        self.count += 1;
        let line = match load(&self.loader, &definition_of(file)) {
            Ok(_) => return self.wrong.push(format!("{} is loaded", file.display())),
            Err(error) => error.to_string(),
        };
        // The fault, after the name of its file.
        let told = line.strip_prefix(&*file.to_string_lossy()).unwrap_or("");
        let sound = (20..500).contains(&told.len())
            && told.starts_with(' ')
            && !line.contains(char::is_control)
            && !line.contains("panicked");
        if !sound {
            self.wrong.push(format!("{}: {line}", file.display()));
        }
    }
}

#[test]
fn a_hundred_bad_files_are_one_line_each_and_the_process_lives() {
    let library = fs::read(hello_plugin()).unwrap();
    let dir = temp();
    let mut bad = Bad {
        loader: loader_in(dir.path()),
        dir,
        seen: HashSet::new(),
        count: 0,
        wrong: Vec::new(),
    };
    cut_off(&mut bad, &library);
    headers(&mut bad, &library);
    tables(&mut bad, &library);
    metadata(&mut bad);
    something_else(&mut bad);
    packages(&mut bad, &library);
    let missing = bad.dir.path().join("not-there.so");
    bad.load(&missing);
    bad.link("dangling.so", "nowhere.so");
    bad.link("circle.so", "circle.so");
    bad.link("device.so", "/dev/null");
    bad.link("folder.so", ".");
    assert!(bad.wrong.is_empty(), "{}", bad.wrong.join("\n"));
    assert!(bad.count >= 100, "there are only {}", bad.count);
    println!("{} bad files were refused", bad.count);

    let good = load(&bad.loader, &definition_of(hello_plugin())).unwrap();
    assert_eq!(text(&good.vlugin, "/"), "OK response from a plugin");
}

fn cut_off(bad: &mut Bad, library: &[u8]) {
    let len = library.len();
    let short = [
        0, 1, 2, 3, 4, 5, 16, 19, 40, 63, 64, 65, 119, 120, 1000, 4096,
    ];
    let parts = (1..8).map(|part| len * part / 8);
    for len in short.into_iter().chain(parts).chain([len - 64, len - 1]) {
        bad.add(format!("cut-{len}.so"), &library[..len]);
    }
}

/// The header of the file, field by field.
fn headers(bad: &mut Bad, library: &[u8]) {
    for (name, at, field) in [
        ("32-bit", 4, &[elf::ELFCLASS32][..]),
        ("no-class", 4, &[0]),
        ("big-endian", 5, &[elf::ELFDATA2MSB]),
        ("no-endian", 5, &[7]),
        ("of-no-version", 6, &[9]),
        ("no-segments", 0x38, &0u16.to_le_bytes()),
        ("segments-far", 0x20, &FAR.to_le_bytes()),
        ("segments-nowhere", 0x20, &u64::MAX.to_le_bytes()),
        ("segments-many", 0x38, &0xfffe_u16.to_le_bytes()),
        ("segments-narrow", 0x36, &1u16.to_le_bytes()),
        ("sections-far", 0x28, &FAR.to_le_bytes()),
        ("sections-nowhere", 0x28, &u64::MAX.to_le_bytes()),
        ("sections-many", 0x3c, &0xfeff_u16.to_le_bytes()),
        ("sections-narrow", 0x3a, &1u16.to_le_bytes()),
        ("sections-nameless", 0x3e, &0xfeff_u16.to_le_bytes()),
    ] {
        bad.with(format!("header-{name}.so"), library, at, field);
    }
    for kind in [
        elf::ET_NONE,
        elf::ET_REL,
        elf::ET_EXEC,
        elf::ET_CORE,
        0xff00,
    ] {
        let name = format!("type-{kind}.so");
        bad.with(name, library, 0x10, &kind.to_le_bytes());
    }
    for machine in [
        elf::EM_NONE,
        elf::EM_386,
        elf::EM_ARM,
        elf::EM_AARCH64,
        elf::EM_RISCV,
        elf::EM_PPC64,
        elf::EM_S390,
        elf::EM_LOONGARCH,
        elf::EM_MIPS,
        0xabcd,
    ] {
        // This host's own machine would be a good one.
        if machine != library_machine(library) {
            let name = format!("machine-{machine}.so");
            bad.with(name, library, 0x12, &machine.to_le_bytes());
        }
    }
}

fn library_machine(library: &[u8]) -> u16 {
    u16::from_le_bytes(library[0x12..0x14].try_into().unwrap())
}

/// The entries of the tables of segments and sections, one by one.
fn tables(bad: &mut Bad, library: &[u8]) {
    type Header = elf::FileHeader64<object::LittleEndian>;
    type Segment = elf::ProgramHeader64<object::LittleEndian>;
    type Section = elf::SectionHeader64<object::LittleEndian>;
    let le = object::LittleEndian;
    let (header, _) = pod::from_bytes::<Header>(library).unwrap();

    let at = header.e_phoff.get(le) as usize;
    let count = header.e_phnum.get(le).into();
    let (segments, _) = pod::slice_from_bytes::<Segment>(&library[at..], count).unwrap();
    for (index, segment) in segments.iter().enumerate() {
        let at = at + index * size_of::<Segment>();
        let mut with = |what: &str, at, value: u64| {
            let name = format!("segment-{index}-{what}.so");
            bad.with(name, library, at, &value.to_le_bytes());
        };
        with("far", at + 8, FAR);
        with("long", at + 32, FAR);
        match segment.p_type.get(le) {
            elf::PT_LOAD if segment.p_filesz.get(le) > 0 => with("small", at + 40, 0),
            elf::PT_DYNAMIC => with("unmapped", at + 16, FAR),
            _ => {}
        }
    }

    let at = header.e_shoff.get(le) as usize;
    let count = header.e_shnum.get(le).into();
    let (sections, _) = pod::slice_from_bytes::<Section>(&library[at..], count).unwrap();
    for (index, section) in sections.iter().enumerate() {
        let at = at + index * size_of::<Section>();
        let kind = section.sh_type.get(le);
        if kind != elf::SHT_NULL && kind != elf::SHT_NOBITS {
            let far = format!("section-{index}-far.so");
            bad.with(far, library, at + 24, &FAR.to_le_bytes());
            let long = format!("section-{index}-long.so");
            bad.with(long, library, at + 32, &u64::MAX.to_le_bytes());
        }
    }
}

/// The library's metadata, field by field.
fn metadata(bad: &mut Bad) {
    let long = [b'x'; 128];
    for (name, at, field) in [
        ("magic", 0, &b"valor.metadat?"[..]),
        ("line-ends", 14, b"\n\n"),
        ("no-size", SIZE, &[0; 4]),
        ("small", SIZE, &383u32.to_le_bytes()),
        ("large", SIZE, &u32::MAX.to_le_bytes()),
        ("abi-0", ABI_MAJOR, &[0, 0]),
        ("abi-2", ABI_MAJOR, &[2, 0]),
        ("abi-max", ABI_MAJOR, &[0xff; 4]),
        ("abort", 24, &[0]),
        ("unwind-2", 24, &[2]),
        ("name", 32, b"\xff"),
        ("version", 96, b"\xff"),
        ("rustc", 128, b"\xff"),
        ("target", TARGET, b"\xff"),
        ("no-target", TARGET, &[0]),
        ("target-lines", TARGET, b"one\ntwo\x1b[31m\0"),
        ("target-long", TARGET, &long[..64]),
        ("symbol", SYMBOL, b"\xff"),
        ("no-symbol", SYMBOL, &[0]),
        ("symbol-lines", SYMBOL, b"one\ntwo\x1b[31m\0"),
        ("symbol-long", SYMBOL, &long),
        ("symbol-of-others", SYMBOL, b"malloc\0"),
    ] {
        bad.add(
            format!("said-{name}.so"),
            patched(hello_plugin(), at, field),
        );
    }
    bad.add("abort.so", fs::read(misbehaving_abort()).unwrap());
}

/// Files that people pass by mistake.
fn something_else(bad: &mut Bad) {
    let pe = |machine: u16, characteristics: u16| {
        let mut bytes = vec![0; 0x200];
        bytes[..2].copy_from_slice(b"MZ");
        bytes[0x3c] = 0x40;
        bytes[0x40..0x44].copy_from_slice(b"PE\0\0");
        bytes[0x44..0x46].copy_from_slice(&machine.to_le_bytes());
        bytes[0x56..0x58].copy_from_slice(&characteristics.to_le_bytes());
        bytes
    };
    let mach = |processor: u32, kind: u32| {
        let words = [0xfeed_facf, processor, 0, kind, 0, 0, 0, 0_u32];
        words.map(u32::to_le_bytes).concat()
    };
    for (name, bytes) in [
        ("windows.dll", pe(0x8664, 0x2022)),
        ("windows-32.dll", pe(0x14c, 0x2102)),
        ("windows-arm.dll", pe(0xaa64, 0x2022)),
        ("windows.exe", pe(0x8664, 0x22)),
        ("dos.exe", [b"MZ", &[0; 100][..]].concat()),
        ("mac.dylib", mach(0x0100_000c, 6)),
        ("mac-intel.dylib", mach(0x0100_0007, 6)),
        ("mac-program", mach(0x0100_000c, 2)),
        ("universal", b"\xca\xfe\xba\xbe\0\0\0\x02rest".to_vec()),
        ("Some.class", b"\xca\xfe\xba\xbe\0\0\0\x34".to_vec()),
        ("module.so", b"\0asm\x01\0\0\0".to_vec()),
        ("component.so", b"\0asm\x0d\0\x01\0".to_vec()),
        ("static.a", b"!<arch>\n".to_vec()),
        ("object.obj", b"\x64\x86\x01\0".to_vec()),
        ("archive.zip", b"PK\x03\x04".to_vec()),
        ("archive.gz", b"\x1f\x8b\x08".to_vec()),
        ("archive.xz", b"\xfd7zXZ\0".to_vec()),
        ("archive.zst", b"\x28\xb5\x2f\xfd".to_vec()),
        ("script", b"#!/bin/sh\n".to_vec()),
        (
            "pointer",
            b"version https://git-lfs.github.com/spec/v1".to_vec(),
        ),
        ("page.html", b"<!doctype html><title>404</title>".to_vec()),
        ("lib.rs", b"use valor::*;\n".to_vec()),
        ("picture.png", b"\x89PNG\r\n\x1a\n".to_vec()),
        ("zeros", vec![0; 4096]),
        ("noise", vec![0xa5; 4096]),
    ] {
        bad.add(name, bytes);
    }
}

/// Packages of the library: the archive, its manifest, and its contents.
fn packages(bad: &mut Bad, library: &[u8]) {
    let this = Metadata::this_target();
    let said = |name: &str| Manifest::new(name, env!("CARGO_PKG_VERSION"), "1.0");
    let write = |name: &str, target: &str, bytes: &[u8]| {
        Package::write(said(name), vec![(target, bytes)]).unwrap()
    };
    let good = write("hello_plugin", this, library);
    let second = good.len() - 1024 - library.len().next_multiple_of(512) - 512;
    let with = |header: usize, at: usize, field: &[u8]| {
        let mut bytes = good.clone();
        let header = &mut bytes[header..][..512];
        header[at..][..field.len()].copy_from_slice(field);
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        bytes
    };
    let (name, size, kind) = (0, 124, 156);
    let manifest = |old: &str, new: &str| {
        let found = good.windows(old.len()).position(|w| w == old.as_bytes());
        let mut bytes = good.clone();
        bytes[found.unwrap()..][..new.len()].copy_from_slice(new.as_bytes());
        bytes
    };
    let digest = valor_runtime::inspect(hello_plugin()).unwrap().sha256;
    for (name, bytes) in [
        ("not-tar", b"<!doctype html>".to_vec()),
        ("zip", [b"PK\x03\x04", &[0; 600][..]].concat()),
        ("gzip", [b"\x1f\x8b\x08", &[0; 600][..]].concat()),
        ("plain-library", library.to_vec()),
        ("half", good[..good.len() / 2].to_vec()),
        ("in-the-manifest", good[..600].to_vec()),
        ("without-library", good[..second].to_vec()),
        ("without-end", good[..good.len() - 1024].to_vec()),
        ("with-more", [&good[..], &[1; 512]].concat()),
        ("twice", [&good[..good.len() - 1024], &good].concat()),
        ("checksum", {
            let mut bytes = good.clone();
            bytes[148] ^= 1;
            bytes
        }),
        ("up", with(second, name, b"../../etc/cron.d/job\0")),
        ("absolute", with(second, name, b"/etc/passwd\0")),
        ("backslash", with(second, name, b"..\\..\\boot.ini\0")),
        ("escape", with(second, name, b"\x1b[31mred\nline\0")),
        ("other-name", with(second, name, b"other.so\0")),
        ("first-name", with(0, name, b"manifest.xml\0")),
        ("hard-link", with(second, kind, b"1")),
        ("link", with(second, kind, b"2")),
        ("device-node", with(second, kind, b"3")),
        ("sparse", with(second, kind, b"S")),
        ("extended", with(second, kind, b"x")),
        ("bomb", with(second, size, b"77777777777\0")),
        (
            "bomb-binary",
            with(second, size, b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"),
        ),
        ("size-of-letters", with(second, size, b"abcdefghijk\0")),
        ("format", manifest("\"format\": 1", "\"format\": 9")),
        ("json", manifest("{", "[")),
        ("key", manifest("\"name\"", "\"nome\"")),
        ("hash", manifest(&digest, &"0".repeat(64))),
        ("length", manifest("\"size\": ", "\"size\": 9")),
        ("unnamed", manifest("hello_plugin", "../../plugin")),
        (
            "others",
            write("hello_plugin", "riscv64-unknown-none", b"\x7fELF"),
        ),
        ("renamed", write("other", this, library)),
        ("of-text", write("hello_plugin", this, b"just some text\n")),
        ("of-nothing", write("hello_plugin", this, b"")),
        ("of-a-half", write("hello_plugin", this, &library[..5000])),
    ] {
        bad.add(format!("{name}.vlugin"), bytes);
    }
}
