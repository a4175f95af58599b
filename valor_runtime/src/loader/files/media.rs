//! The media type of a file, by its extension. `answer` puts it into `content-type`.

use std::{borrow::Cow, path::Path};

/// The media type. Text is declared as UTF-8, as the web expects. An unknown extension gives
/// `application/octet-stream`.
pub(super) fn type_of(path: &Path) -> Cow<'static, str> {
    let media = mime_guess::from_path(path)
        .first_raw()
        .unwrap_or("application/octet-stream");
    // RFC 9239 merged the two.
    let media = match media {
        "application/javascript" => "text/javascript",
        media => media,
    };
    match media.starts_with("text/") {
        true => format!("{media}; charset=utf-8").into(),
        false => media.into(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn types() {
        for (file, media) in [
            ("index.html", "text/html; charset=utf-8"),
            ("a.HTM", "text/html; charset=utf-8"),
            ("a.b.css", "text/css; charset=utf-8"),
            ("a.js", "text/javascript; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.txt", "text/plain; charset=utf-8"),
            ("a.md", "text/markdown; charset=utf-8"),
            ("a.json", "application/json"),
            ("a.webmanifest", "application/manifest+json"),
            ("a.wasm", "application/wasm"),
            ("a.svg", "image/svg+xml"),
            ("a.png", "image/png"),
            ("a.avif", "image/avif"),
            ("a.webp", "image/webp"),
            ("a.ico", "image/x-icon"),
            ("a.woff2", "font/woff2"),
            ("a.mp4", "video/mp4"),
            ("a.pdf", "application/pdf"),
            ("a.tar.gz", "application/gzip"),
            ("LICENSE", "application/octet-stream"),
            ("a.nobody-knows", "application/octet-stream"),
        ] {
            assert_eq!(super::type_of(file.as_ref()), media, "{file}");
        }
    }
}
