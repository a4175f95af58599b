//! The guest boundary stays what it is. `valor_abi/abi/guest-VERSION.txt` has its table of exports and imports, and is
//! written once and never changed. The tests compare it with the tables that modules are checked against and with
//! those of docs/src/guest-abi.md. So neither a host nor a reader of the page knows another boundary.
//!
//! If `VALOR_FREEZE_ABI` is set, the file of a new version is written.

use super::module::{EXPORTS, IMPORTS};
use std::{fs, path::PathBuf};
use valor_abi_guest::GUEST_ABI;
use wasmtime::ValType;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The table as this host has it, one line for each entry.
fn table() -> String {
    let list = |types: &[ValType]| {
        let types: Vec<_> = types.iter().map(ValType::to_string).collect();
        types.join(", ")
    };
    let line = |kind: &str, name: &str, params: &[ValType], result: &Option<ValType>| {
        format!(
            "{kind} {name}: ({}) -> ({})\n",
            list(params),
            list(result.as_slice())
        )
    };
    let exports = EXPORTS.iter().map(|(name, params, returns)| {
        let params = vec![ValType::I32; *params];
        line("export", name, &params, &returns.then_some(ValType::I32))
    });
    let imports = IMPORTS
        .iter()
        .map(|(name, params, result)| line("import", name, params, result));
    exports.chain(imports).collect()
}

/// The table as the page has it: rows like ``| `name` | `(len: i32) -> i32` | … |``.
fn of_the_page() -> String {
    let page = fs::read_to_string(folder().join("docs/src/guest-abi.md")).unwrap();
    let mut kind = "";
    let mut table = String::new();
    for line in page.lines() {
        match line {
            "## Exports" => kind = "export",
            "## Imports" => kind = "import",
            _ if line.starts_with("## ") => kind = "",
            _ => {}
        }
        let row: Vec<_> = line.split('`').collect();
        let (Some(name), Some(shape)) = (row.get(1), row.get(3)) else {
            continue;
        };
        if kind.is_empty() || !line.starts_with("| ") {
            continue;
        }
        let (params, result) = shape.split_once(" -> ").unwrap_or((shape, ""));
        let types: Vec<_> = params
            .trim_matches(['(', ')'])
            .split(", ")
            .filter_map(|param| param.split_once(": ").map(|(_, ty)| ty))
            .collect();
        table += &format!("{kind} {name}: ({}) -> ({result})\n", types.join(", "));
    }
    table
}

/// The first line in which two tables differ, and what to do about it.
fn difference(frozen: &str, now: &str) -> Option<String> {
    let (mut frozen, mut now) = (frozen.lines(), now.lines());
    let (was, is) = loop {
        match (frozen.next(), now.next()) {
            (None, None) => return None,
            (was, is) if was == is => {}
            (was, is) => break (was.unwrap_or("nothing"), is.unwrap_or("nothing")),
        }
    };
    Some(format!(
        "abi/guest-{GUEST_ABI}.txt has `{was}`, and this is `{is}`: whatever is added to, taken from or \
         changed in the guest's exports and imports makes a new version of the guest ABI; set GUEST_ABI \
         to {}, and freeze its table with VALOR_FREEZE_ABI=1",
        GUEST_ABI + 1
    ))
}

#[test]
fn the_table_is_that_of_the_version() {
    let file = folder().join(format!("valor_abi/abi/guest-{GUEST_ABI}.txt"));
    if std::env::var_os("VALOR_FREEZE_ABI").is_some() && !file.exists() {
        fs::write(&file, table()).unwrap();
    }
    let frozen = fs::read_to_string(&file).unwrap_or_else(|error| {
        panic!("{}: {error}; VALOR_FREEZE_ABI=1 writes it", file.display())
    });
    // Git may have written it with Windows line ends.
    if let Some(broken) = difference(&frozen.replace('\r', ""), &table()) {
        panic!("{broken}");
    }
}

#[test]
fn the_page_has_the_same_table() {
    assert_eq!(of_the_page(), table());
}

#[test]
fn each_change_asks_for_a_version() {
    let table = table();
    assert_eq!(difference(&table, &table), None);
    let (added, removed) = (
        format!("{table}import launch: () -> ()\n"),
        table.replace("import wake: () -> ()\n", ""),
    );
    let changed = table.replace("timer: (i32, f64)", "timer: (i32, i64)");
    for (now, part) in [
        (
            &added,
            "has `nothing`, and this is `import launch: () -> ()`",
        ),
        (
            &removed,
            "has `import wake: () -> ()`, and this is `import ready",
        ),
        (
            &changed,
            "has `import timer: (i32, f64) -> ()`, and this is `import timer: (i32, i64)",
        ),
    ] {
        let broken = difference(&table, now).unwrap();
        assert!(broken.contains(part), "{broken}");
        assert!(broken.contains("set GUEST_ABI to 2"), "{broken}");
    }
}
