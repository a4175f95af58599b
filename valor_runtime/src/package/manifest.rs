//! [`Manifest`]: what a package declares about itself, as the JSON text that is its first member.
//! `docs/src/packages.md` describes it for people who write packages with other tools.
//!
//! A manifest that was read obeys every rule that can be checked without the libraries. Its words are short and
//! plain, so that they can appear in error lines and file names.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of the package format for libraries.
pub const FORMAT: u32 = 1;

/// The version of the package format for a script. Hosts that do not know it refuse the package by this number.
pub const SCRIPT_FORMAT: u32 = 2;

/// The version of the package format for libraries with code that was compiled from a module or a component among them.
pub const COMPILED_FORMAT: u32 = 3;

/// The target that WebAssembly modules are built for. Every host has it, in addition to its native one.
pub const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// The target that components are built for in Rust, and what a package calls any component.
pub const WASI_TARGET: &str = "wasm32-wasip2";

/// A script has this in place of a target.
pub const SCRIPT_TARGET: &str = "javascript";

/// The name of the manifest's member.
pub(super) const MEMBER: &str = "manifest.json";

/// The most libraries in one package.
pub(super) const MAX_LIBRARIES: usize = 64;

/// The most pieces of compiled code in one package.
pub(super) const MAX_COMPILED: usize = 64;

/// The most bytes of the text. Most of it is the schema of a config.
const MAX_TEXT: usize = 1 << 20;

/// What a package declares about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Manifest {
    /// The version of the package format: [`FORMAT`], [`SCRIPT_FORMAT`] or [`COMPILED_FORMAT`].
    pub format: u32,
    /// The vlugin's name, which is its crate's name.
    pub name: String,
    /// The vlugin's version.
    pub version: String,
    /// The version of Valor's ABI that every library speaks, `major.minor`; for a script and for a component alone,
    /// that of the program that packaged it.
    pub abi: String,
    /// The licence, as an SPDX expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// The JSON Schema of `config` in plugins.json, if the vlugin declares one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_schema: Option<Value>,
    /// The libraries, by target.
    pub libraries: Vec<Library>,
    /// The code that was compiled from the module or the component among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compiled: Vec<CompiledCode>,
}

/// One library of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Library {
    /// The target triple that it was built for.
    pub target: String,
    /// The name of its member.
    pub file: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// Machine code that was compiled from a module or a component of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CompiledCode {
    /// The `target` of the library that it was compiled from: [`WASM_TARGET`] or [`WASI_TARGET`].
    pub of: String,
    /// The target triple of the hosts that it is for.
    pub target: String,
    /// What compiled it, with its version, such as `wasmtime-48.0.2`. No other version runs it.
    pub compiler: String,
    /// The name of its member.
    pub file: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

impl Manifest {
    /// A manifest of a vlugin without licence, schema or libraries.
    pub fn new(
        name: impl Into<String>,
        version: impl Into<String>,
        abi: impl Into<String>,
    ) -> Self {
        Self {
            format: FORMAT,
            name: name.into(),
            version: version.into(),
            abi: abi.into(),
            license: None,
            config_schema: None,
            libraries: Vec::new(),
            compiled: Vec::new(),
        }
    }

    /// A manifest of a script.
    pub fn script(name: impl Into<String>, version: impl Into<String>) -> Self {
        let mut manifest = Self::component(name, version);
        manifest.format = SCRIPT_FORMAT;
        manifest
    }

    /// A manifest of a component alone, which speaks no ABI of Valor's.
    pub fn component(name: impl Into<String>, version: impl Into<String>) -> Self {
        use valor_abi_native::{ABI_MAJOR, ABI_MINOR};
        Self::new(name, version, format!("{ABI_MAJOR}.{ABI_MINOR}"))
    }

    /// Whether it describes a script.
    pub fn is_script(&self) -> bool {
        self.format == SCRIPT_FORMAT
    }

    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        if text.len() > MAX_TEXT {
            return Err(format!("`{MEMBER}` has more than {MAX_TEXT} bytes"));
        }
        // A later format may have other keys, so the number is read first.
        let faulty = |error: serde_json::Error| {
            format!("`{MEMBER}` cannot be read ({})", shown(&error.to_string()))
        };
        let Format { format } = serde_json::from_slice(text).map_err(faulty)?;
        if ![FORMAT, SCRIPT_FORMAT, COMPILED_FORMAT].contains(&format) {
            return Err(format!(
                "it is of package format {format}, and this host reads {FORMAT}, {SCRIPT_FORMAT} and {COMPILED_FORMAT}"
            ));
        }
        let manifest: Self = serde_json::from_slice(text).map_err(faulty)?;
        manifest.check()?;
        Ok(manifest)
    }

    pub(super) fn to_text(&self) -> Result<String, String> {
        self.check()?;
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        match text.len() < MAX_TEXT {
            true => Ok(text + "\n"),
            false => Err(format!(
                "its manifest would have more than {MAX_TEXT} bytes: give a smaller schema"
            )),
        }
    }

    fn check(&self) -> Result<(), String> {
        let word = |key: &str, word: &str| {
            let plain = (1..=64).contains(&word.len())
                && !word.starts_with('.')
                && word.bytes().all(|byte| is_word(byte) || byte == b'+');
            match plain {
                true => Ok(()),
                false => Err(format!(
                    "its `{key}` is `{}`, which is not 1 to 64 letters, digits, `_`, `.`, `+` and `-`",
                    shown(word)
                )),
            }
        };
        word("name", &self.name)?;
        word("version", &self.version)?;
        word("abi", &self.abi)?;
        if let Some(license) = &self.license {
            let sound = (1..=256).contains(&license.len()) && !license.contains(char::is_control);
            if !sound {
                return Err("its `license` is not one line of 1 to 256 bytes".into());
            }
        }
        if !matches!(
            self.config_schema,
            None | Some(Value::Object(_) | Value::Bool(_))
        ) {
            return Err("its `config_schema` is not a JSON Schema".into());
        }
        if !(1..=MAX_LIBRARIES).contains(&self.libraries.len()) {
            return Err(format!(
                "it has {} libraries, and not 1 to {MAX_LIBRARIES}",
                self.libraries.len()
            ));
        }
        let scripts = self
            .libraries
            .iter()
            .filter(|it| it.target == SCRIPT_TARGET);
        let (scripts, all) = (scripts.count(), self.libraries.len());
        if self.is_script() && (scripts, all) != (1, 1) || !self.is_script() && scripts > 0 {
            return Err(format!(
                "it is of package format {}: one of format {SCRIPT_FORMAT} holds one script and nothing else, the \
                 others none",
                self.format
            ));
        }
        if (self.format == COMPILED_FORMAT) == self.compiled.is_empty() {
            return Err(format!(
                "it is of package format {}: one of format {COMPILED_FORMAT} has compiled code, the others none",
                self.format
            ));
        }
        for (at, library) in self.libraries.iter().enumerate() {
            word("target", &library.target)?;
            let before = &self.libraries[..at];
            if before.iter().any(|it| it.target == library.target) {
                return Err(format!("it has two libraries for {}", library.target));
            }
            let file = member_of(&library.target, &self.name);
            if library.file != file {
                return Err(format!(
                    "its library for {} is `{}` and not `{file}`",
                    library.target,
                    shown(&library.file)
                ));
            }
            if !is_sha256(&library.sha256) {
                return Err(format!(
                    "the SHA-256 of its library for {} is not 64 lower-case hexadecimal digits",
                    library.target
                ));
            }
        }
        self.check_compiled(word)
    }

    fn check_compiled(
        &self,
        word: impl Fn(&str, &str) -> Result<(), String>,
    ) -> Result<(), String> {
        if self.compiled.len() > MAX_COMPILED {
            return Err(format!(
                "it has code for {} targets, and at most {MAX_COMPILED} are possible",
                self.compiled.len()
            ));
        }
        for (at, code) in self.compiled.iter().enumerate() {
            word("target", &code.target)?;
            word("compiler", &code.compiler)?;
            let is_guest = [WASM_TARGET, WASI_TARGET].contains(&&*code.of);
            if !is_guest || self.libraries.iter().all(|it| it.target != code.of) {
                return Err(format!(
                    "its code for {} was compiled from its library for `{}`, and it has no module or component for \
                     that",
                    code.target,
                    shown(&code.of)
                ));
            }
            let before = &self.compiled[..at];
            let is_twin = |it: &CompiledCode| (&it.of, &it.target) == (&code.of, &code.target);
            if before.iter().any(is_twin) {
                return Err(format!("it has code for {} twice", code.target));
            }
            let file = compiled_member(&code.of, &code.target);
            if code.file != file {
                return Err(format!(
                    "its code for {} is `{}` and not `{file}`",
                    code.target,
                    shown(&code.file)
                ));
            }
            if !is_sha256(&code.sha256) {
                return Err(format!(
                    "the SHA-256 of its code for {} is not 64 lower-case hexadecimal digits",
                    code.target
                ));
            }
        }
        Ok(())
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
}

/// The name of the member with the code for a target.
pub(super) fn compiled_member(of: &str, target: &str) -> String {
    format!("compiled/{target}/{of}.cwasm")
}

/// A manifest's text inside an error: one line of limited length.
fn shown(text: &str) -> String {
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", text[..end].escape_debug()),
        None => text.escape_debug().to_string(),
    }
}

/// The name of a library's member: the file name that cargo would choose, in a folder for its target.
pub(super) fn member_of(target: &str, name: &str) -> String {
    if target == SCRIPT_TARGET {
        return format!("{target}/{name}.js");
    }
    let name = name.replace('-', "_");
    if target.contains("windows") {
        format!("{target}/{name}.dll")
    } else if target.starts_with("wasm32") {
        format!("{target}/{name}.wasm")
    } else if target.contains("apple") {
        format!("{target}/lib{name}.dylib")
    } else {
        format!("{target}/lib{name}.so")
    }
}

/// Whether a byte may occur in a word that becomes part of a file's name.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}
