//! The interfaces of WASI that this host has, with the type of each function, from `interfaces/0.2.txt` and `0.3.txt`.
//! `world` asks what a component imports and exports; [`nearest`] finds what may have been meant.

use crate::definition;
use std::{collections::BTreeMap, sync::LazyLock};

/// One interface of one version.
#[derive(Debug)]
pub(super) struct Interface {
    /// `wasi:http/types`.
    pub name: &'static str,
    /// `0.2.12`.
    pub version: &'static str,
    /// The types of its functions, with `$name` for a type that has a name.
    functions: BTreeMap<&'static str, String>,
    resources: Vec<&'static str>,
    /// The types that have a name.
    types: BTreeMap<&'static str, String>,
}

/// An interface as a component names it: `wasi:http/types@0.2.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name<'a> {
    /// `wasi:http/types`.
    pub interface: &'a str,
    /// `0.2.0`; empty if it has none.
    pub version: &'a str,
}

impl<'a> Name<'a> {
    pub fn of(name: &'a str) -> Self {
        let (interface, version) = name.split_once('@').unwrap_or((name, ""));
        Self { interface, version }
    }

    /// `0.2` for each release of 0.2, which are compatible with each other. `None` for a pre-release: those are
    /// compatible with nothing. wasmtime's linker has the same rule.
    pub fn line(&self) -> Option<&'a str> {
        let version = self.version.split('+').next().unwrap_or_default();
        let mut parts = version.split('.');
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let numbers = parts.clone().count() == 3 && parts.all(is_number);
        numbers.then(|| &version[..version.rfind('.').unwrap_or_default()])
    }
}

static ALL: LazyLock<Vec<Interface>> = LazyLock::new(|| {
    let texts = [include_str!("0.2.txt"), include_str!("0.3.txt")];
    texts.into_iter().flat_map(parsed).collect()
});

/// The interfaces of a text, whose format its first lines describe.
fn parsed(text: &'static str) -> Vec<Interface> {
    let mut all: Vec<Interface> = Vec::new();
    // The definition that the next line may continue.
    let mut last: Option<(bool, &str)> = None;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix("interface ") {
            let Name { interface, version } = Name::of(name);
            all.push(Interface {
                name: interface,
                version,
                functions: BTreeMap::new(),
                resources: Vec::new(),
                types: BTreeMap::new(),
            });
            continue;
        }
        let Some(interface) = all.last_mut() else {
            continue;
        };
        if let Some(name) = line.strip_prefix("resource ") {
            interface.resources.push(name);
        } else if let Some((name, ty)) = line
            .strip_prefix("type ")
            .and_then(|it| it.split_once(" = "))
        {
            interface.types.insert(name, ty.to_owned());
            last = Some((true, name));
        } else if line.starts_with(' ')
            && let Some((is_type, name)) = last
        {
            let all = match is_type {
                true => &mut interface.types,
                false => &mut interface.functions,
            };
            if let Some(ty) = all.get_mut(name) {
                ty.push(' ');
                ty.push_str(line.trim_start());
            }
        } else if let Some((name, ty)) = line.split_once(": ") {
            interface.functions.insert(name, ty.to_owned());
            last = Some((false, name));
        }
    }
    all
}

/// The interfaces of this host that have this name, in any version.
pub(super) fn named(interface: &str) -> impl Iterator<Item = &'static Interface> {
    ALL.iter().filter(move |it| it.name == interface)
}

/// The interface that this host gives to a component that imports this one.
pub(super) fn found(name: Name<'_>) -> Option<&'static Interface> {
    named(name.interface).find(|it| {
        it.version == name.version
            || name
                .line()
                .is_some_and(|line| it.own().line() == Some(line))
    })
}

/// The interface whose name is nearest to this one.
pub(super) fn nearest(interface: &str) -> Option<&'static str> {
    definition::nearest(interface, ALL.iter().map(|it| it.name))
}

impl Interface {
    fn own(&self) -> Name<'static> {
        Name {
            interface: self.name,
            version: self.version,
        }
    }

    /// `wasi:http/types@0.2.12`.
    pub fn full(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// Whether it has this resource.
    pub fn has_resource(&self, name: &str) -> bool {
        self.resources.contains(&name)
    }

    /// The function or resource whose name is nearest to this one.
    pub fn nearest(&self, item: &str) -> Option<&'static str> {
        let functions = self.functions.keys().copied();
        definition::nearest(item, functions.chain(self.resources.iter().copied()))
    }

    /// The type of this function, written out.
    pub fn function(&self, name: &str) -> Option<String> {
        let ty = self.functions.get(name)?;
        let mut text = String::new();
        self.write(ty, &mut text);
        Some(text)
    }

    /// Writes a type with what its names stand for.
    fn write(&self, ty: &str, text: &mut String) {
        let mut rest = ty;
        while let Some((before, from)) = rest.split_once('$') {
            text.push_str(before);
            let end = from.find([',', ')', '>']).unwrap_or(from.len());
            let (name, after) = from.split_at(end);
            self.write_named(name, text);
            rest = after;
        }
        text.push_str(rest);
    }

    /// Writes what a name stands for: `method` of this interface, `http/types.method` of another one.
    fn write_named(&self, name: &str, text: &mut String) {
        let (interface, ty) = match name.rsplit_once('.') {
            None => (Some(self), name),
            Some((interface, ty)) => {
                let of_wasi = |it: &&Interface| it.name.strip_prefix("wasi:") == Some(interface);
                let mut others = ALL.iter().filter(of_wasi);
                (others.find(|it| it.own().line() == self.own().line()), ty)
            }
        };
        if let Some(interface) = interface
            && let Some(ty) = interface.types.get(ty)
        {
            interface.write(ty, text);
        }
    }
}

/// What `sockets` answers for, and tests make components from.
impl Interface {
    /// Its functions, with their types as the text has them.
    pub fn functions(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.functions.iter().map(|(name, ty)| (*name, &**ty))
    }

    pub fn resources(&self) -> impl Iterator<Item = &'static str> {
        self.resources.iter().copied()
    }
}

/// What tests make components from.
#[cfg(test)]
impl Interface {
    pub fn types(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.types.iter().map(|(name, ty)| (*name, &**ty))
    }

    /// The names of its types and resources.
    pub fn type_names(&self) -> impl Iterator<Item = &'static str> {
        self.resources().chain(self.types.keys().copied())
    }
}

/// All interfaces.
pub(super) fn all() -> impl Iterator<Item = &'static Interface> {
    ALL.iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_in_the_tables_stands_for_a_type() {
        assert_eq!(ALL.len(), 55);
        for interface in ALL.iter() {
            for name in interface.functions.keys() {
                let ty = interface.function(name).unwrap();
                let is_whole = ty.starts_with("func(") || ty.starts_with("async func(");
                assert!(is_whole && !ty.contains('$'), "{name}: {ty}");
                assert!(!ty.contains("<>") && !ty.contains("(,"), "{name}: {ty}");
                let count = |c: char| ty.matches(c).count();
                assert_eq!(count('('), count(')'), "{name}: {ty}");
                assert_eq!(
                    count('<'),
                    count('>') - ty.matches("->").count(),
                    "{name}: {ty}"
                );
            }
        }
        let method = found(Name::of("wasi:http/types@0.2.0")).unwrap();
        assert_eq!(
            method
                .function("[method]outgoing-request.set-method")
                .unwrap(),
            "func(borrow<http/types.outgoing-request>, variant(get, head, post, put, delete, connect, options, trace, \
             patch, other(string))) -> result"
        );
    }

    #[test]
    fn releases_of_a_line_are_one_and_a_pre_release_is_itself() {
        let version = |name: &str| found(Name::of(name)).map(|it| it.version);
        assert_eq!(version("wasi:io/streams@0.2.0"), Some("0.2.12"));
        assert_eq!(version("wasi:io/streams@0.2.99"), Some("0.2.12"));
        assert_eq!(version("wasi:cli/stdin@0.3.1+build"), Some("0.3.0"));
        assert_eq!(version("wasi:config/store@0.2.0-rc.1"), Some("0.2.0-rc.1"));
        for unknown in [
            "wasi:io/streams@0.2.0-rc-2023-11-10",
            "wasi:io/streams@0.4.0",
            "wasi:io/streams",
            "wasi:io/streams@",
            "wasi:io/streams@0.2",
            "wasi:config/store@0.2.0",
            "",
        ] {
            assert_eq!(version(unknown), None, "{unknown}");
        }
        assert_eq!(nearest("wasi:htp/type"), Some("wasi:http/types"));
    }
}
