//! A page of the documentation for the tests: its fenced blocks and its links.

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use std::path::{Path, PathBuf};

/// A page, read from the clone.
pub struct Page {
    /// Its path from the root of the clone.
    pub path: String,
    pub blocks: Vec<Block>,
    /// Where its links lead, each with its line.
    pub links: Vec<(usize, String)>,
}

/// A fenced block.
pub struct Block {
    /// `FILE:LINE` of its opening fence.
    pub place: String,
    /// The words after the fence, split at commas.
    pub tags: Vec<String>,
    pub text: String,
}

/// A command of a ```` ```console ```` block, with its expected output.
pub struct Step {
    pub place: String,
    pub command: String,
    pub expected: String,
}

/// The root of the clone.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The paths of all pages, from the root of the clone.
pub fn all() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    let mut folders = vec![PathBuf::from("docs/src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    pages.sort();
    pages
}

impl Page {
    pub fn read(path: &str) -> Self {
        let text = std::fs::read_to_string(root().join(path)).unwrap();
        let line_of = |at: usize| text[..at].matches('\n').count() + 1;
        let mut page = Self {
            path: path.to_owned(),
            blocks: Vec::new(),
            links: Vec::new(),
        };
        let mut in_block = false;
        for (event, range) in Parser::new(&text).into_offset_iter() {
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    let place = format!("{path}:{}", line_of(range.start));
                    let CodeBlockKind::Fenced(info) = kind else {
                        panic!("{place}: a block stands between fences that say what it is");
                    };
                    in_block = true;
                    page.blocks.push(Block {
                        place,
                        tags: info.split(',').map(|tag| tag.trim().to_owned()).collect(),
                        text: String::new(),
                    });
                }
                Event::Text(text) if in_block => {
                    page.blocks.last_mut().unwrap().text.push_str(&text);
                }
                Event::End(TagEnd::CodeBlock) => in_block = false,
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links
                        .push((line_of(range.start), dest_url.to_string()));
                }
                _ => {}
            }
        }
        page
    }
}

impl Block {
    /// Its language: the first word after the fence.
    pub fn kind(&self) -> &str {
        &self.tags[0]
    }

    /// The file that a reader should write it to, as `file=PATH` after the fence says.
    pub fn file(&self) -> Option<&str> {
        self.tags.iter().find_map(|tag| tag.strip_prefix("file="))
    }

    /// Its commands. A line that begins with `$ ` is one, together with the following lines for as long as each ends
    /// with a backslash; the lines up to the next command are its output.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        let mut lines = self.text.lines();
        while let Some(line) = lines.next() {
            let Some(command) = line.strip_prefix("$ ") else {
                let step = steps.last_mut();
                let step = step.unwrap_or_else(|| panic!("{}: no command comes first", self.place));
                step.expected.push_str(line);
                step.expected.push('\n');
                continue;
            };
            let mut command = command.to_owned();
            while command.ends_with('\\') {
                command.push('\n');
                command.push_str(lines.next().expect("a line behind a backslash"));
            }
            steps.push(Step {
                place: self.place.clone(),
                command,
                expected: String::new(),
            });
        }
        steps
    }
}

#[test]
fn a_command_goes_on_behind_a_backslash() {
    let block = Block {
        place: "page:1".into(),
        tags: vec!["console".into()],
        text: "$ one \\\n    two\nprinted\n$ three\n".into(),
    };
    let steps = block.steps();
    assert_eq!(steps[0].command, "one \\\n    two");
    assert_eq!(steps[0].expected, "printed\n");
    assert_eq!((&*steps[1].command, &*steps[1].expected), ("three", ""));
}
