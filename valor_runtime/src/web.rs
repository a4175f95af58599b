//! The host in a browser, as files: what `valor_runtime/web` holds, built into this library, so that a
//! program that has no clone beside it can write them into a folder for a static server.
//!
//! `valor_cli web` writes them. Nothing here runs on the server.

/// A file's name, relative to the folder that it goes into, and its bytes.
pub type File = (&'static str, &'static [u8]);

macro_rules! files {
    ($($name:literal)*) => {
        &[$(($name, include_bytes!(concat!("../web/", $name)))),*]
    };
}

/// The host: `valor.js`, which a page imports, the service worker `valor-sw.js` with what it imports
/// itself, and types for editors. They stand beside each other.
///
/// ```
/// let names: Vec<_> = valor_runtime::web::HOST.iter().map(|(name, _)| *name).collect();
/// assert_eq!(names, ["guest.js", "http.js", "valor-sw.js", "valor.d.ts", "valor.js"]);
/// ```
pub const HOST: &[File] = files!["guest.js" "http.js" "valor-sw.js" "valor.d.ts" "valor.js"];

/// A page that lists the vlugins that run inside it, for a folder that has no page of its own. It
/// stands beside the host, and needs no more than the policy `script-src 'self' 'wasm-unsafe-eval'`.
pub const PAGE: &[File] = &[
    ("index.html", include_bytes!("../web/page/index.html")),
    (
        "valor-page.css",
        include_bytes!("../web/page/valor-page.css"),
    ),
    ("valor-page.js", include_bytes!("../web/page/valor-page.js")),
];
