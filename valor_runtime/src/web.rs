//! The files of the host in a browser: the contents of `valor_runtime/web`, built into this library. So a program can
//! write them into a folder for a static server without a clone of the repository.
//!
//! `valor_cli web` writes them. Nothing here runs on the server.

use crate::hex::hex;
use sha2::{Digest, Sha256};

/// A file's name, relative to the folder that it goes into, and its bytes.
pub type File = (&'static str, &'static [u8]);

macro_rules! files {
    ($($name:literal)*) => {
        &[$(($name, include_bytes!(concat!("../web/", $name)))),*]
    };
}

/// The host: `valor.js`, which a page imports, the service worker `valor-sw.js` and its imports, the code for a page's
/// Worker, the check of definitions, and types for editors. They stand side by side, together with [`SCRIPTS`], which
/// is written for each folder.
///
/// ```
/// let names: Vec<_> = valor_runtime::web::HOST.iter().map(|(name, _)| *name).collect();
/// assert!(names.is_sorted() && names.contains(&"valor-sw.js"));
/// ```
pub const HOST: &[File] = files![
    "account.js" "guest.js" "valor-admin.js" "valor-check.js" "valor-dispatch.js" "valor-js.js" "valor-keys.js"
    "valor-line.js" "valor-next.js" "valor-pages.js" "valor-registry.js" "valor-rules.js" "valor-store.js"
    "valor-sw.js" "valor-worker.js" "valor.d.ts" "valor.js"
];

/// What components import of wasi, for a folder that has some: the service worker imports it beside [`SCRIPTS`].
///
/// ```
/// use valor_runtime::web::offers;
///
/// assert!(offers(2, "wasi:http/outgoing-handler") && !offers(3, "wasi:http/outgoing-handler"));
/// assert!(offers(3, "wasi:clocks/monotonic-clock") && !offers(3, "wasi:keyvalue/store"));
/// ```
pub const COMPONENTS: &[File] = files![
    "wasi/component.js" "wasi/fields.js" "wasi/host.js" "wasi/http-p2.js" "wasi/http-p3.js" "wasi/io.js"
    "wasi/outgoing.js" "wasi/streams.js"
];

/// Whether a page has an interface, given without its version, for a component with this minor version of wasi:http.
pub fn offers(version: u8, interface: &str) -> bool {
    let key = format!("\"{interface}\": ");
    let other = format!("wasi/http-p{}.js", 5_u8.saturating_sub(version));
    let files = COMPONENTS.iter().filter(|(name, _)| *name != other);
    let mut texts = files.map(|(_, bytes)| String::from_utf8_lossy(bytes));
    texts.any(|text| text.contains(&key))
}

/// The name of the file that imports the vlugins of the service worker's realm; [`scripts`] gives its text.
pub const SCRIPTS: &str = "valor-vlugins.js";

/// A JavaScript vlugin that the service worker imports.
#[derive(Debug, Clone)]
pub struct Script {
    /// Its name. Each name has a separate module, even if several share a file.
    pub name: String,
    /// Its file, relative to the host's, with `/` between its parts.
    pub path: String,
    /// The SHA-256 of the file, in hexadecimal digits. A definition with another hash means another file, and runs in
    /// a page's Worker.
    pub sha256: String,
}

/// A component that the service worker imports.
#[derive(Debug, Clone)]
pub struct Component {
    /// The file that instantiates it, relative to the host's, with `/` between its parts. A definition names it in
    /// `path`.
    pub path: String,
    /// The SHA-256 of the component, in hexadecimal digits.
    pub sha256: String,
    /// The minor version of wasi:http that it exports: 2 or 3.
    pub version: u8,
    /// What it consists of.
    pub cores: Vec<Core>,
}

/// A core module of a component.
#[derive(Debug, Clone)]
pub struct Core {
    /// What the component's file calls it.
    pub file: String,
    /// Its file, relative to the host's.
    pub path: String,
    /// The SHA-256 of the file, in hexadecimal digits.
    pub sha256: String,
}

/// The text of [`SCRIPTS`]. A service worker can import only what its files name.
///
/// ```
/// use valor_runtime::web::{Script, scripts};
///
/// let board = Script { name: "board".into(), path: "vlugins/board.js".into(), sha256: "00".into() };
/// assert!(scripts(&[board], &[]).contains(r#"import * as v0 from "./vlugins/board.js?board";"#));
/// ```
pub fn scripts(scripts: &[Script], components: &[Component]) -> String {
    let mut imports = String::new();
    let mut list = String::new();
    for (index, Script { name, path, sha256 }) in scripts.iter().enumerate() {
        let (from, path) = (quoted(&format!("./{path}?{name}")), quoted(path));
        let (next, name) = (quoted(&format!("./valor-next.js?{name}")), quoted(name));
        imports.push_str(&format!(
            "import {next};\nimport * as v{index} from {from};\n"
        ));
        list.push_str(&format!("\n  [{name}, {path}, \"{sha256}\", v{index}],"));
    }
    if !scripts.is_empty() {
        imports.push_str("import \"./valor-next.js\";\n");
        list.push('\n');
    }
    let mut of_components = String::new();
    if !components.is_empty() {
        imports.push_str("import { components } from \"./wasi/component.js\";\n");
        of_components.push_str("components([\n");
    }
    for (index, component) in components.iter().enumerate() {
        let Component {
            path,
            sha256,
            version,
            cores,
        } = component;
        let (from, path) = (quoted(&format!("./{path}")), quoted(path));
        imports.push_str(&format!("import * as c{index} from {from};\n"));
        let files = cores.iter().map(|it| {
            let (file, path) = (quoted(&it.file), quoted(&it.path));
            format!("\n    [{file}, {path}, \"{}\"],", it.sha256)
        });
        let files: String = files.collect();
        of_components.push_str(&format!(
            "  [{path}, \"{sha256}\", c{index}, {version}, [{files}\n  ]],\n"
        ));
    }
    if !components.is_empty() {
        of_components.push_str("]);\n");
    }
    format!(
        "// The vlugins that the service worker imports. `valor_cli web` writes this file.\n\n\
         import {{ vlugins }} from \"./valor-js.js\";\n{imports}\nvlugins([{list}]);\n{of_components}"
    )
}

/// The name of the service worker's own file; [`worker`] gives its text.
pub const WORKER: &str = "valor-sw.js";

/// The text of [`WORKER`], with a line that changes with its imports, the host's own files among them. Without that,
/// Chromium would not start a newer service worker when only an imported file has changed.
pub fn worker(imports: &[Script], components: &[Component]) -> Vec<u8> {
    let mut imported = Sha256::new();
    for (name, bytes) in HOST.iter().chain(COMPONENTS) {
        if *name != WORKER {
            imported.update(bytes);
        }
    }
    imported.update(scripts(imports, components));
    let digest = hex(&imported.finalize());
    let mut worker = include_bytes!("../web/valor-sw.js").to_vec();
    worker.extend(format!("// What it imports: {digest}\n").bytes());
    worker
}

/// A JavaScript string. Every JSON string is one.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A page that lists the vlugins that run inside it, for a folder without a page. It stands beside the host, and needs
/// no more than the policy `script-src 'self' 'wasm-unsafe-eval'`.
pub const PAGE: &[File] = &[
    ("index.html", include_bytes!("../web/page/index.html")),
    (
        "valor-page.css",
        include_bytes!("../web/page/valor-page.css"),
    ),
    ("valor-page.js", include_bytes!("../web/page/valor-page.js")),
];

#[cfg(test)]
mod tests {
    #[test]
    fn the_published_folder_imports_no_vlugin() {
        let published = include_str!("../web/valor-vlugins.js");
        assert_eq!(super::scripts(&[], &[]), published.replace("\r\n", "\n"));
    }

    /// The same cases as the browser's, without positions in the text.
    #[test]
    fn the_server_says_of_a_definition_what_the_browser_says() {
        let cases = include_str!("../tests/web/definitions.txt");
        let cases = cases.replace("\r\n", "\n");
        let cases = cases.split("\n\n").skip(1);
        let mut count = 0;
        for case in cases {
            let (text, wanted) = case.split_once('\n').unwrap_or((case, ""));
            let found = match crate::definition::Definitions::from_json(text) {
                Ok(_) => Vec::new(),
                Err(faults) => faults.faults,
            };
            let found = found.into_iter().map(|mut fault| {
                fault.position = None;
                without_position(&fault.to_string())
            });
            let wanted: Vec<_> = wanted.lines().map(str::trim_start).collect();
            assert_eq!(found.collect::<Vec<_>>(), wanted, "{text}");
            count += 1;
        }
        assert!(count > 100, "{count}");
    }

    /// A line without ` at LINE:COLUMN`.
    fn without_position(line: &str) -> String {
        let mut parts = line.split(" at ");
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |line, part| {
            let rest = part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':');
            match part.starts_with(|c: char| c.is_ascii_digit()) && part.contains(':') {
                true => line + rest,
                false => line + " at " + part,
            }
        })
    }
}
