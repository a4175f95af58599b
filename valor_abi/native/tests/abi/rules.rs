//! The rules of docs/src/abi.md, "Versions", applied to two layouts as `layout` prints them: which version a change
//! requires, and whether it was raised.

use std::collections::BTreeMap;

/// Major and minor.
pub type Version = (u16, u16);

/// The version that a change requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Raise {
    Minor,
    Major,
}

/// The differences, one line each, and what they require.
pub fn changes(before: &str, after: &str) -> Vec<(Raise, String)> {
    let (before, after) = (blocks(before), blocks(after));
    let mut changes = Vec::new();
    for (name, old) in &before {
        match after.get(name) {
            Some(new) if new == old => {}
            Some(new) => changes.push(change(name, old, new)),
            None => changes.push((Raise::Major, format!("{name} does not cross any more"))),
        }
    }
    for name in after.keys().filter(|name| !before.contains_key(*name)) {
        changes.push((Raise::Minor, format!("{name} crosses now")));
    }
    changes
}

/// The blocks of a layout, by the text before the size.
fn blocks(layout: &str) -> BTreeMap<&str, Vec<&str>> {
    let blocks = layout.trim().split("\n\n").map(|block| {
        let mut lines = block.lines();
        let head = lines.next().unwrap_or_default();
        let (name, size) = head.split_once(": ").unwrap_or((head, ""));
        (
            name,
            [size].into_iter().chain(lines.map(str::trim)).collect(),
        )
    });
    blocks.collect()
}

fn change(name: &str, old: &[&str], new: &[&str]) -> (Raise, String) {
    let may_grow = name.ends_with("(prefix type)") || name.ends_with("(numbers)");
    if may_grow && new.starts_with(old) {
        let added = new[old.len()..].join("`, `");
        return (
            Raise::Minor,
            format!("at the end of {name} stands `{added}`"),
        );
    }
    let len = old.len().max(new.len());
    let line = |lines: &[&str], at| lines.get(at).map_or("nothing", |line| *line).to_owned();
    let at = (0..len).find(|&at| old.get(at) != new.get(at)).unwrap_or(0);
    let (was, is) = (line(old, at), line(new, at));
    (Raise::Major, format!("{name} had `{was}`, and has `{is}`"))
}

/// Whether `layout` may be that of version `current`, given the layouts that are `frozen`.
///
/// # Errors
/// What is wrong and what to do.
pub fn check(
    frozen: &BTreeMap<Version, String>,
    current: Version,
    layout: &str,
) -> Result<(), String> {
    let (major, minor) = current;
    if let Some((newer, _)) = frozen.range((major, minor + 1)..).next() {
        return Err(format!(
            "abi/{}.{}.txt is there, but this is ABI {major}.{minor}: a version that was frozen \
             stays. Raise the version of valor_abi_native up to it",
            newer.0, newer.1
        ));
    }
    let Some((&base, before)) = frozen.range(..=current).next_back() else {
        return Err(not_frozen(current));
    };
    let changes = changes(before, layout);
    let needed = changes.iter().map(|(raise, _)| *raise).max();
    let is_raised = match needed {
        None => true,
        Some(Raise::Minor) => base < current,
        Some(Raise::Major) => base.0 < major,
    };
    if is_raised && base == current {
        return Ok(());
    }
    if is_raised {
        return Err(not_frozen(current));
    }
    let (rule, next) = match needed {
        Some(Raise::Minor) => (
            "a field at the end of a prefix type makes a new minor version",
            (base.0, base.1 + 1),
        ),
        _ => (
            "what is anything but a field at the end of a prefix type makes a new major version",
            (base.0 + 1, 0),
        ),
    };
    let lines: Vec<_> = changes
        .iter()
        .map(|(_, line)| format!("  {line}\n"))
        .collect();
    Err(format!(
        "what crosses the boundary is not what ABI {}.{} is (abi/{0}.{1}.txt):\n{}\
         The rule (docs/src/abi.md, Versions): {rule}. Take the change back, or set \
         the version of valor_abi_native to {}.{}.0",
        base.0,
        base.1,
        lines.concat(),
        next.0,
        next.1,
    ))
}

fn not_frozen((major, minor): Version) -> String {
    format!(
        "abi/{major}.{minor}.txt is not there: once this is what ABI {major}.{minor} is to be for \
         good, write it with `VALOR_FREEZE_ABI=1 cargo test -p valor_abi_native --test abi`"
    )
}
