//! [`Product`]: what a crate becomes, which the kind of the vlugin says. [`Recipe`]: how it is asked for, which the
//! crate's Cargo.toml says. `build_sources` builds crates of one recipe together, and reports whether a crate has one.

use cargo_metadata::{CrateType, Package, Target};
use serde_json::Value;
use valor_runtime::{
    Definition,
    package::{WASI_TARGET, WASM_TARGET},
};

/// What a crate is built to, in the order in which they are built: what is ready first comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Product {
    /// A library for this machine.
    Library,
    /// A WebAssembly module.
    Module,
    /// A WebAssembly component.
    Component,
}

impl Product {
    /// What the source of this definition is built to.
    pub fn of(definition: &Definition) -> Self {
        match definition.kind.target() {
            Some(WASM_TARGET) => Self::Module,
            Some(WASI_TARGET) => Self::Component,
            _ => Self::Library,
        }
    }

    /// The target to give to cargo, if it is not this machine.
    pub(super) fn target(self) -> Option<&'static str> {
        match self {
            Self::Library => None,
            Self::Module => Some(WASM_TARGET),
            Self::Component => Some(WASI_TARGET),
        }
    }

    /// Behind "building NAMES in FOLDER".
    pub(super) fn said(self) -> &'static str {
        match self {
            Self::Library => "",
            Self::Module => " for WebAssembly",
            Self::Component => " for WASI",
        }
    }

    /// The extension of its file.
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Library => std::env::consts::DLL_EXTENSION,
            Self::Module | Self::Component => "wasm",
        }
    }

    /// What a crate without the right target does not build.
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Library | Self::Module => "shared library",
            Self::Component => "component",
        }
    }
}

/// The part of a crate that becomes the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// Its library of the type `cdylib`.
    Library,
    /// Its only program. In a component, a program may export a handler besides its `main`.
    Program,
}

/// What builds a crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tool {
    Cargo,
    /// The program of crates with `[package.metadata.component]`: it generates their bindings, calls cargo for a target
    /// of WASI 0.1, and turns the module into a component afterwards.
    CargoComponent,
}

/// How a crate becomes its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Recipe {
    pub product: Product,
    pub part: Part,
    pub tool: Tool,
}

impl Recipe {
    /// How to build this of this crate. `None` if the crate has no part for it.
    pub fn of(product: Product, package: &Package) -> Option<Self> {
        let programs = package.targets.iter().filter(|it| it.is_bin()).count();
        let part = match package.targets.iter().any(is_cdylib) {
            true => Part::Library,
            false if product == Product::Component && programs == 1 => Part::Program,
            false => return None,
        };
        let is_for_the_tool = package
            .metadata
            .get("component")
            .is_some_and(Value::is_object);
        let tool = match product {
            Product::Component if is_for_the_tool => Tool::CargoComponent,
            _ => Tool::Cargo,
        };
        Some(Self {
            product,
            part,
            tool,
        })
    }

    /// Whether this target of a crate is the part.
    pub fn is_of(self, target: &Target) -> bool {
        match self.part {
            Part::Library => is_cdylib(target),
            Part::Program => target.is_bin(),
        }
    }
}

fn is_cdylib(target: &Target) -> bool {
    target.crate_types.contains(&CrateType::CDyLib)
}
