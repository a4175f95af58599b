//! The house has floors, and no import runs up. `docs/src/architecture.md` lists the rooms of each crate by floor.
//! Every import of every source file has to follow that list, even through facades. No two files import each other in
//! a circle, however long. `kinds` looks for code that belongs in the table of kinds.

mod imports;
mod kinds;

use imports::{Crate, Import, Module};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The rooms of a crate, each with its floor. `loader/js` is a room inside another.
fn floors(krate: &str) -> BTreeMap<Module, u32> {
    let page = fs::read_to_string(root().join("docs/src/architecture.md")).unwrap();
    let (_, part) = page
        .split_once(&format!("\n### {krate}\n"))
        .expect("a part on this crate");
    let part = part.split("\n#").next().unwrap();
    let mut floors = BTreeMap::new();
    for row in part.lines().filter(|line| line.starts_with("| ")) {
        let mut cells = row.trim_matches('|').split(" | ");
        let Ok(floor) = cells.next().unwrap().trim().parse() else {
            continue;
        };
        let rooms = cells.next().expect("a cell with rooms");
        for room in rooms.split('`').skip(1).step_by(2) {
            let room = room.split('/').map(str::to_owned).collect();
            assert!(
                floors.insert(room, floor).is_none(),
                "twice in the list: {row}"
            );
        }
    }
    assert!(!floors.is_empty(), "no floors of {krate} are listed");
    floors
}

/// The innermost room of a module.
fn room<'f>(floors: &'f BTreeMap<Module, u32>, module: &Module) -> Option<(&'f Module, u32)> {
    let rooms = floors.iter().filter(|(room, _)| module.starts_with(room));
    let (room, floor) = rooms.max_by_key(|(room, _)| room.len())?;
    Some((room, *floor))
}

/// The faults in the imports of a crate.
fn faults(krate: &Crate, floors: &BTreeMap<Module, u32>) -> BTreeSet<String> {
    let mut faults = BTreeSet::new();
    let listed: BTreeSet<_> = floors.keys().map(|room| &*room[0]).collect();
    for name in krate.rooms().difference(&listed) {
        faults.insert(format!("`{name}` is on no floor"));
    }
    for name in listed.difference(&krate.rooms()) {
        faults.insert(format!("`{name}` is on a floor, but there is no such room"));
    }
    for Import { from, to, written } in krate.imports() {
        let (Some((room_of, floor)), Some((other, below))) =
            (room(floors, &from), room(floors, &to))
        else {
            continue;
        };
        if room_of != other && below >= floor {
            faults.insert(format!(
                "`{}` in the room `{}` on floor {floor} takes {written} from `{}` on floor {below}",
                from.join("::"),
                room_of.join("/"),
                other.join("/"),
            ));
        }
    }
    faults
}

/// The circles: files that import each other, in order.
fn circles(krate: &Crate) -> Vec<String> {
    let mut next: BTreeMap<Module, BTreeMap<Module, String>> = BTreeMap::new();
    for Import { from, to, written } in krate.imports() {
        next.entry(from).or_default().entry(to).or_insert(written);
    }
    let reaches = |start: &Module| {
        let mut seen = BTreeSet::new();
        let mut open = vec![start];
        while let Some(at) = open.pop() {
            for to in next.get(at).into_iter().flat_map(BTreeMap::keys) {
                if seen.insert(to) {
                    open.push(to);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<_, _> = next
        .keys()
        .map(|module| (module, reaches(module)))
        .collect();
    let mut circles = BTreeMap::<BTreeSet<&Module>, Vec<String>>::new();
    for (module, seen) in &reached {
        if !seen.contains(module) {
            continue;
        }
        let members = seen
            .iter()
            .copied()
            .filter(|it| reached.get(it).is_some_and(|back| back.contains(module)));
        let members: BTreeSet<_> = members.collect();
        let ties = next[*module].iter().filter(|(to, _)| members.contains(to));
        let ties = ties.map(|(to, written)| {
            format!("  {} -> {}: {written}", module.join("::"), to.join("::"))
        });
        let ties: Vec<_> = ties.collect();
        circles.entry(members).or_default().extend(ties);
    }
    circles.into_values().map(|ties| ties.join("\n")).collect()
}

/// The crates of the house that have rooms.
const CRATES: [&str; 7] = [
    "valor_abi/wire",
    "valor_abi/native",
    "valor_abi/guest",
    "valor_abi/http",
    "valor_abi",
    "valor_runtime",
    "valor_cli",
];

fn src(folder: &str) -> PathBuf {
    root().join(folder).join("src")
}

#[test]
fn no_import_runs_up() {
    for folder in CRATES {
        let krate = Crate::read(&src(folder));
        let faults: Vec<_> = faults(&krate, &floors(folder)).into_iter().collect();
        assert!(faults.is_empty(), "{folder}:\n{}", faults.join("\n"));
    }
}

/// Files whose circle is another crate's: `surf::guest` has surf's names and signatures, by which a request holds
/// middleware, and middleware takes a request and a client.
const ELSEWHERE: [&str; 1] = ["surf::guest::builder"];

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut left: BTreeSet<_> = ELSEWHERE.into_iter().collect();
    for folder in CRATES {
        for circle in circles(&Crate::read(&src(folder))) {
            let room = circle.trim_start().split(" -> ").next().unwrap_or_default();
            assert!(ELSEWHERE.contains(&room), "{folder}:\n{circle}");
            left.remove(room);
        }
    }
    assert!(
        left.is_empty(),
        "no circle any more: take {left:?} off the list"
    );
}

/// The table of kinds, and the folders of the kinds.
const OF_KINDS: [&str; 6] = [
    "loader/table.rs",
    "loader/native/",
    "loader/wasm/",
    "loader/wasi/",
    "loader/js/",
    "loader/files/",
];

/// Files that make a definition themselves, and of what.
const MAKE_DEFINITIONS: [(&str, &str); 1] = [
    // The folder that `valor_cli web --serve` serves.
    ("web/serve.rs", "Files"),
];

#[test]
fn a_kind_is_named_in_the_table_and_in_its_folder_alone() {
    let mut made = MAKE_DEFINITIONS.to_vec();
    for folder in ["valor_runtime", "valor_cli"] {
        for (file, found) in kinds::found(&src(folder)) {
            if OF_KINDS.iter().any(|it| file.starts_with(it)) {
                continue;
            }
            for kind in found.kinds {
                let is_made = made.iter().position(|it| *it == (&*file, &*kind));
                let told = is_made.map(|at| made.remove(at));
                assert!(
                    told.is_some(),
                    "{folder}/src/{file} names `Kind::{kind}`: say in the row of loader/table.rs what depends on the \
                     kind"
                );
            }
        }
    }
    assert!(
        made.is_empty(),
        "these make no definition any more: {made:?}"
    );
}

/// A room with several files is a folder with a `mod.rs`, everywhere: there is one way to find the beginning.
#[test]
fn a_room_has_its_first_file_inside() {
    fn walk(folder: &Path, beside: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if path.with_extension("rs").is_file() {
                    beside.push(path.with_extension("rs"));
                }
                walk(&path, beside);
            }
        }
    }
    let mut beside = Vec::new();
    for krate in ["valor_abi", "valor_runtime", "valor_cli"] {
        walk(&root().join(krate).join("src"), &mut beside);
    }
    assert!(
        beside.is_empty(),
        "move each to mod.rs in its folder: {beside:?}"
    );
}

/// The map at the beginning of the page leads somewhere: each file that it names exists.
#[test]
fn the_map_names_files_that_exist() {
    fn files(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name.starts_with('.') || ["target", "node_modules", "archive"].contains(&name) {
                continue;
            }
            match path.is_dir() {
                true => files(&path, found),
                false => found.push(path.to_str().unwrap().replace('\\', "/")),
            }
        }
    }
    let mut found = Vec::new();
    files(&root(), &mut found);
    let page = fs::read_to_string(root().join("docs/src/architecture.md")).unwrap();
    let (_, map) = page.split_once("\n## Where to go\n").expect("a map");
    let (map, _) = map.split_once("\n## ").expect("what comes behind it");
    // Line breaks do not end a name: none has a space in it.
    let names = map.split('`').skip(1).step_by(2);
    let is_file = |name: &&str| {
        let ends = [".rs", ".js", ".json", ".txt", ".toml"];
        ends.iter().any(|end| name.ends_with(end)) && !name.contains("NAME") && !name.contains(' ')
    };
    let names: BTreeSet<_> = names.filter(is_file).collect();
    assert!(names.len() > 40, "the map names {} files", names.len());
    let is_missing = |name: &&&str| !found.iter().any(|file| file.ends_with(&format!("/{name}")));
    let missing: Vec<_> = names.iter().filter(is_missing).collect();
    assert!(
        missing.is_empty(),
        "the map names files that do not exist: {missing:?}"
    );
}

#[test]
fn the_feature_wasm_is_asked_for_in_the_table_and_in_its_folders_alone() {
    let asks = kinds::found(&src("valor_runtime")).into_iter();
    let asks = asks.filter(|(_, found)| found.asks_for_wasm);
    let asks: Vec<_> = asks.map(|(file, _)| file).collect();
    let folders = ["loader/wasm/", "loader/wasi/", "loader/engine/"];
    let stands = |file: &&String| {
        *file == "loader/table.rs" || folders.iter().any(|folder| file.starts_with(folder))
    };
    let others: Vec<_> = asks.iter().filter(|file| !stands(file)).collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(asks.len() > 1, "the search finds nothing: {asks:?}");
}

#[test]
fn the_headers_of_valor_are_named_in_one_file() {
    let files = kinds::found(&src("valor_runtime"));
    let named = files.iter().find(|(file, _)| file == "in_band.rs");
    let named = &named.expect("a file that names them").1.headers;
    assert!(named.contains("x-request-id"), "{named:?}");
    for (file, found) in files.iter().filter(|(file, _)| file != "in_band.rs") {
        let again: Vec<_> = found.headers.intersection(named).collect();
        assert!(
            again.is_empty(),
            "{file} names {again:?}: take it from in_band.rs"
        );
    }
}

#[test]
fn the_host_has_one_timer() {
    let files = kinds::found(&src("valor_runtime")).into_iter();
    let others = files.filter(|(_, found)| found.takes_smols_timer);
    let others: Vec<_> = others.map(|(file, _)| file).collect();
    assert!(others.is_empty(), "take `crate::timer::Timer`: {others:?}");
}
