//! Checks the documentation: each command on a page is run and prints what the page shows, Valor reads each JSON, each
//! link leads somewhere.
//!
//! Convention of the pages:
//!
//! - ```` ```console ````: lines that begin with `$ ` are commands, followed by their output; `...` on a separate line
//!   stands for any lines, `[..]` for anything within a line. A `valor_cli run` or `web --serve` serves until the next
//!   one or the end of the page.
//! - ```` ```LANGUAGE,file=PATH ````: a file that the reader writes, in the folder of the clone's parent.
//! - ```` ```rust ````: a doctest (`book.rs` of the crate that it is about), or a `file=`.
//! - ```` ```json ````: a plugins.json, a definition, or any other JSON.
//! - ```` ```text ````: nothing that can be run.

// The pages are written for bash; commands that differ on Windows say so.
#![cfg(unix)]

mod complete;
mod page;
mod session;

use page::{Block, Page, Step, root};
use session::Session;
use std::path::Path;
use valor_runtime::{Definition, definition::Definitions};

/// The commands that are not run, each with the reason.
const NOT_RUN: &[(&str, &str)] = &[
    ("bash .ci/run", "it runs this test"),
    (".ci/long", "it takes an hour"),
    (
        "VALOR_SIGNING_KEY=valor.key valor/.ci/dist release",
        "it takes an hour; `.ci/long` runs it",
    ),
    ("valor/.ci/dist-check release", "as above"),
    ("git -C valor tag --sign v0.1.0", "it changes the clone"),
    ("git -C valor push origin v0.1.0", "it publishes"),
    (
        "cargo publish --workspace --locked --manifest-path valor/Cargo.toml",
        "it publishes",
    ),
    (
        "npm publish release/valor_cli-linux-x64-0.1.0.tgz",
        "it publishes",
    ),
    ("twine upload release/*.whl", "it publishes"),
    (
        "cargo run --profile measure -p valor_bench",
        "it takes half an hour and two idle cores",
    ),
    (
        ".ci/develop valor_cli",
        "it takes minutes and two idle cores",
    ),
    (
        "cargo install --path valor_cli",
        "it installs for good; sessions have the tested program on their path",
    ),
    (
        "cargo install cargo-generate --locked",
        "it installs for good",
    ),
    (
        "cargo generate --path plugin-template --destination .. --name my_plugin",
        "it asks; `valor_abi/tests/template.rs` builds and tests what comes of every answer",
    ),
    (
        "cargo generate --path plugin-template --destination .. --name my_plugin --silent \\\n    \
         -d form=state -d valor=/path/to/valor/valor_abi",
        "as above",
    ),
];

/// The pages that are not played here, each with the reason.
const NOT_PLAYED: &[(&str, &str)] = &[(
    "docs/src/python.md",
    "it installs packages, and an interpreter takes minutes to compile; `.ci/components-docs` plays it",
)];

/// What else may follow a fence.
const KINDS: &[&str] = &["console", "js", "json", "python", "rust", "text", "toml"];

/// Plays a page from its top to its end.
fn play(path: &str) {
    let page = Page::read(path);
    let mut session = Session::begin(&path.replace('/', "-"));
    for block in &page.blocks {
        if let Some(file) = block.file() {
            session.write(file, &without_hidden_lines(block));
        }
        if block.kind() != "console" {
            continue;
        }
        let steps = block.steps();
        for (index, step) in steps.iter().enumerate() {
            let next = steps.get(index + 1);
            if !is_skipped(step) {
                session.step(step, next.is_some_and(|next| next.command == "echo $?"));
            }
        }
    }
    session.end();
}

fn is_skipped(step: &Step) -> bool {
    NOT_RUN.iter().any(|(command, _)| *command == step.command)
}

/// A Rust file without the lines that the book does not show.
fn without_hidden_lines(block: &Block) -> String {
    let hidden = |line: &str| block.kind() == "rust" && (line == "#" || line.starts_with("# "));
    let shown = block.text.lines().filter(|line| !hidden(line));
    shown.map(|line| format!("{line}\n")).collect()
}

/// One test for each page with commands, so that they are played concurrently.
macro_rules! pages {
    ($($name:ident $path:literal)*) => {
        $(#[test] fn $name() { play($path); })*

        const PLAYED: &[&str] = &[$($path),*];
    };
}

pages! {
    readme "README.md"
    contributing "CONTRIBUTING.md"
    apps "docs/src/apps.md"
    axum "docs/src/axum.md"
    embedding "docs/src/embedding.md"
    files "docs/src/files.md"
    introduction "docs/src/introduction.md"
    js "docs/src/js.md"
    packages "docs/src/packages.md"
    registry "docs/src/registry.md"
    releases "docs/src/releases.md"
    running "docs/src/running.md"
    start "docs/src/start.md"
    template "docs/src/template.md"
    wasi "docs/src/wasi.md"
    wasm "docs/src/wasm.md"
    web "docs/src/web.md"
}

#[test]
fn no_page_is_left_out() {
    let steps_of = |path: &String| -> Vec<_> {
        let page = Page::read(path);
        let blocks = page.blocks.iter().filter(|block| block.kind() == "console");
        blocks.flat_map(Block::steps).collect()
    };
    let all = page::all();
    let with_commands: Vec<_> = all
        .iter()
        .filter(|path| steps_of(path).iter().any(|step| !is_skipped(step)))
        .collect();
    let mut played = PLAYED.to_vec();
    played.extend(NOT_PLAYED.iter().map(|(page, _)| *page));
    played.sort();
    assert_eq!(
        with_commands, played,
        "the pages with commands, and those above"
    );

    let steps: Vec<_> = all.iter().flat_map(steps_of).collect();
    for (command, _) in NOT_RUN {
        let shown = steps.iter().any(|step| step.command == *command);
        assert!(shown, "no page shows `{command}` any more");
    }
}

#[test]
fn every_block_says_what_it_is() {
    let books = ["valor_abi/src/book.rs", "valor_runtime/src/book.rs"]
        .map(|book| std::fs::read_to_string(root().join(book)).unwrap())
        .concat();
    for page in page::all().iter().map(|path| Page::read(path)) {
        for block in &page.blocks {
            let place = &block.place;
            assert!(
                KINDS.contains(&block.kind()),
                "{place}: `{}` is none of {KINDS:?}",
                block.kind()
            );
            let compiled = books.contains(&format!("/{}\"", page.path)) || block.file().is_some();
            assert!(
                block.kind() != "rust" || compiled,
                "{place}: no book.rs includes this page, so that nobody compiles its Rust"
            );
        }
    }
}

#[test]
fn every_json_is_read() {
    for page in page::all().iter().map(|path| Page::read(path)) {
        for block in page.blocks.iter().filter(|block| block.kind() == "json") {
            let (place, text) = (&block.place, &block.text);
            let value: serde_json::Value =
                serde_json::from_str(text).unwrap_or_else(|error| panic!("{place}: {error}"));
            let read = if value.get("type").is_some() {
                Definition::from_json(text).map(|_| ())
            } else if value["plugins"][0].get("type").is_some() {
                Definitions::from_json(text).map(|_| ())
            } else {
                Ok(())
            };
            read.unwrap_or_else(|faults| panic!("{place}: {faults}"));
        }
    }
}

#[test]
fn every_link_leads_somewhere() {
    for page in page::all().iter().map(|path| Page::read(path)) {
        for (line, link) in &page.links {
            // The API documentation is made beside the book; `.ci/site` looks at both.
            if link.contains("://") || link.starts_with("api/") {
                continue;
            }
            let place = format!("{}:{line}: {link}", page.path);
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let folder = root().join(&page.path);
            let target = match file {
                "" => folder,
                file => folder.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{place}: there is no such file");
            if !anchor.is_empty() {
                let anchors = anchors(&target);
                assert!(
                    anchors.iter().any(|known| known == anchor),
                    "{place}: the anchors there are {anchors:?}"
                );
            }
        }
    }
}

/// The anchors of a page's headings, as the book makes them.
fn anchors(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|heading| {
            let letters = heading.trim_start_matches('#').trim().to_lowercase();
            letters
                .chars()
                .filter_map(|c| match c {
                    ' ' => Some('-'),
                    c => (c.is_alphanumeric() || c == '-' || c == '_').then_some(c),
                })
                .collect()
        })
        .collect()
}

#[test]
fn the_summary_has_every_page() {
    let summary = Page::read("docs/src/SUMMARY.md");
    for path in page::all() {
        let Some(name) = path
            .strip_prefix("docs/src/")
            .filter(|name| *name != "SUMMARY.md")
        else {
            continue;
        };
        let listed = summary.links.iter().any(|(_, link)| link == name);
        assert!(listed, "{path} is not in the summary");
    }
}
