//! The imports of a crate, read from its source: which module takes which name from where, through any facade.
//!
//! A path is followed as the compiler does: through modules, and through `pub use` to the definition of a name. Code
//! under `cfg(test)` is left out. So are a module's re-exports from inside itself: a facade is no import.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Attributes of items that exist only for tests.
pub const OF_TESTS: [&str; 4] = [
    "[cfg(test",
    "[cfg(any(test",
    "[cfg(all(test",
    "[cfg(doctest",
];

/// At most this many re-exports stand between a name and its definition.
const DEEPEST: usize = 16;

/// The names of modules, from the crate's root on.
pub type Module = Vec<String>;

/// A crate's modules and what they import.
#[derive(Default)]
pub struct Crate {
    modules: BTreeMap<Module, Contents>,
    /// Modules that exist only for tests.
    of_tests: Vec<Module>,
}

/// One import: a module, and the module that defines the imported name.
pub struct Import {
    pub from: Module,
    pub to: Module,
    /// The path as it is written.
    pub written: String,
}

#[derive(Default)]
struct Contents {
    /// Paths of `use` and of expressions, absolute and as written; and whether others may take them from here.
    paths: Vec<(Vec<String>, bool)>,
    /// Names that others may take from here, and the path behind each.
    facade: BTreeMap<String, Vec<String>>,
    /// Modules whose every name others may take from here.
    globs: Vec<Vec<String>>,
    /// The names of the items defined here.
    items: BTreeSet<String>,
}

impl Crate {
    /// Reads the crate whose `src` folder this is.
    pub fn read(src: &Path) -> Self {
        let mut this = Self::default();
        let mut files = Vec::new();
        walk(src, &mut files);
        for file in files {
            let module = module_of(file.strip_prefix(src).expect("a file of it"));
            let text = fs::read_to_string(&file).expect("a source file");
            let tokens: TokenStream = text
                .parse()
                .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            this.scan(&module, tokens);
        }
        let of_tests = std::mem::take(&mut this.of_tests);
        this.modules
            .retain(|module, _| !of_tests.iter().any(|it| module.starts_with(it)));
        this
    }

    /// The modules that the root declares.
    pub fn rooms(&self) -> BTreeSet<&str> {
        self.modules
            .keys()
            .filter_map(|module| Some(&**module.first()?))
            .collect()
    }

    /// Every import, of one module from another of this crate.
    pub fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        for (from, contents) in &self.modules {
            for (path, is_facade) in &contents.paths {
                let Some(to) = self.definer(path, 0) else {
                    continue;
                };
                let is_inside = *is_facade && to.starts_with(from);
                if to != *from && !is_inside {
                    imports.push(Import {
                        from: from.clone(),
                        to,
                        written: format!("crate::{}", path.join("::")),
                    });
                }
            }
        }
        imports
    }

    /// The module that defines the end of this path; `None` if it comes from another crate.
    fn definer(&self, path: &[String], depth: usize) -> Option<Module> {
        if depth > DEEPEST {
            // A name for another crate of the same name leads back to itself.
            return None;
        }
        let mut module: Module = Vec::new();
        for (at, name) in path.iter().enumerate() {
            let rest = &path[at + 1..];
            let mut inner = module.clone();
            inner.push(name.clone());
            if self.modules.contains_key(&inner) {
                module = inner;
                continue;
            }
            let here = self.modules.get(&module)?;
            if here.items.contains(name) {
                return Some(module);
            }
            if let Some(target) = here.facade.get(name) {
                let target: Vec<_> = target.iter().chain(rest).cloned().collect();
                return self.definer(&target, depth + 1);
            }
            return here.globs.iter().find_map(|glob| {
                let target: Vec<_> = glob.iter().chain([name]).chain(rest).cloned().collect();
                let definer = self.definer(&target, depth + 1)?;
                let is_there = self.modules.get(&definer)?.items.contains(name);
                is_there.then_some(definer)
            });
        }
        Some(module)
    }

    fn scan(&mut self, module: &Module, tokens: TokenStream) {
        self.modules.entry(module.clone()).or_default();
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut at = 0;
        let mut is_public = false;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Punct(punct) if punct.as_char() == '#' => {
                    let attribute = tokens
                        .get(at + 1)
                        .map(ToString::to_string)
                        .unwrap_or_default();
                    at += 2;
                    let attribute = attribute.replace(' ', "");
                    if OF_TESTS.iter().any(|it| attribute.starts_with(it)) {
                        let end = end_of_item(&tokens, at);
                        self.leave_out(module, &tokens[at..end]);
                        at = end;
                    }
                    continue;
                }
                TokenTree::Ident(ident) => match &*ident.to_string() {
                    "pub" => {
                        is_public = true;
                        let restricted = match tokens.get(at + 1) {
                            Some(TokenTree::Group(group)) => {
                                group.delimiter() == Delimiter::Parenthesis
                            }
                            _ => false,
                        };
                        at += 1 + usize::from(restricted);
                        continue;
                    }
                    "use" => {
                        let end = tokens[at..]
                            .iter()
                            .position(|it| is_punct(it, ';'))
                            .map_or(tokens.len(), |n| at + n);
                        self.take(module, &tokens[at + 1..end], is_public);
                        at = end;
                    }
                    "mod" => {
                        if let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) =
                            (tokens.get(at + 1), tokens.get(at + 2))
                        {
                            let mut inner = module.clone();
                            inner.push(name.to_string());
                            self.scan(&inner, body.stream());
                            at += 2;
                        }
                    }
                    "struct" | "enum" | "trait" | "fn" | "type" | "const" | "static" | "union" => {
                        if let Some(TokenTree::Ident(name)) = tokens.get(at + 1) {
                            self.contents(module).items.insert(name.to_string());
                        }
                    }
                    "macro_rules" => {
                        if let Some(TokenTree::Ident(name)) = tokens.get(at + 2) {
                            self.contents(module).items.insert(name.to_string());
                        }
                    }
                    start @ ("crate" | "super") if is_path(&tokens, at + 1) => {
                        let path = path_at(start, &tokens, &mut at);
                        self.note(module, path, false);
                        is_public = false;
                        continue;
                    }
                    _ => {}
                },
                TokenTree::Group(group) => {
                    // In a function, an expression or a macro, anything public is a field.
                    self.scan_inside(module, group.stream());
                }
                _ => {}
            }
            is_public = false;
            at += 1;
        }
    }

    /// Notes the module that an item declares, without reading it.
    fn leave_out(&mut self, module: &Module, item: &[TokenTree]) {
        let declares = item
            .iter()
            .position(|it| matches!(it, TokenTree::Ident(word) if *word == "mod"));
        if let Some(name) = declares.and_then(|at| item.get(at + 1)) {
            let mut inner = module.clone();
            inner.push(name.to_string());
            self.of_tests.push(inner);
        }
    }

    /// Paths and `use` inside of bodies.
    fn scan_inside(&mut self, module: &Module, tokens: TokenStream) {
        let items = self.contents(module).items.clone();
        self.scan(module, tokens);
        // Nobody else can name the definitions in a body.
        self.contents(module).items = items;
    }

    fn contents(&mut self, module: &Module) -> &mut Contents {
        self.modules.entry(module.clone()).or_default()
    }

    /// A tree of `use`.
    fn take(&mut self, module: &Module, tokens: &[TokenTree], is_public: bool) {
        let mut leaves = Vec::new();
        tree(Vec::new(), tokens, &mut leaves);
        for (path, name) in leaves {
            let Some(path) = absolute(module, &path) else {
                continue;
            };
            match name.as_deref() {
                Some("*") if is_public => self.contents(module).globs.push(path.clone()),
                Some("*") => {}
                Some(name) => {
                    // A private `use` also names it for the modules inside this one.
                    self.contents(module)
                        .facade
                        .insert(name.to_owned(), path.clone());
                }
                None => {}
            }
            self.contents(module).paths.push((path, is_public));
        }
    }

    fn note(&mut self, module: &Module, path: Vec<String>, is_facade: bool) {
        if let Some(path) = absolute(module, &path) {
            self.contents(module).paths.push((path, is_facade));
        }
    }
}

/// The path from the crate's root on. If it does not begin with `crate`, `self` or `super`, it is taken for one of an
/// inner module. If it belongs to another crate, nothing is found there.
fn absolute(module: &Module, path: &[String]) -> Option<Vec<String>> {
    let mut at: Module = match path.first()?.as_str() {
        "crate" => Vec::new(),
        "self" => module.clone(),
        "super" => module[..module.len().checked_sub(1)?].to_vec(),
        _ => {
            let mut at = module.clone();
            at.extend(path.iter().cloned());
            return Some(at);
        }
    };
    for name in &path[1..] {
        match name.as_str() {
            "super" => at.truncate(at.len().checked_sub(1)?),
            "self" => {}
            name => at.push(name.to_owned()),
        }
    }
    Some(at)
}

/// The paths of a tree, each with the name that it gets.
fn tree(
    prefix: Vec<String>,
    tokens: &[TokenTree],
    leaves: &mut Vec<(Vec<String>, Option<String>)>,
) {
    let mut path = prefix;
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Ident(ident) if *ident == "as" => {
                let name = tokens.get(at + 1).map(ToString::to_string);
                leaves.push((path, name.filter(|name| name != "_")));
                return;
            }
            TokenTree::Ident(ident) => path.push(ident.to_string()),
            TokenTree::Punct(punct) if punct.as_char() == '*' => {
                leaves.push((path, Some("*".into())));
                return;
            }
            TokenTree::Group(group) => {
                let inner: Vec<_> = group.stream().into_iter().collect();
                for part in inner
                    .split(|it| is_punct(it, ','))
                    .filter(|it| !it.is_empty())
                {
                    tree(path.clone(), part, leaves);
                }
                return;
            }
            _ => {}
        }
        at += 1;
    }
    let name = match path.last().map(String::as_str) {
        Some("self") => path.len().checked_sub(2).map(|at| path[at].clone()),
        last => last.map(str::to_owned),
    };
    if path.last().is_some_and(|it| it == "self") && path.len() > 1 {
        path.pop();
    }
    leaves.push((path, name));
}

/// A path of an expression or a type, from `crate` or `super` on.
fn path_at(start: &str, tokens: &[TokenTree], at: &mut usize) -> Vec<String> {
    let mut path = vec![start.to_owned()];
    *at += 1;
    while is_path(tokens, *at) {
        match tokens.get(*at + 2) {
            Some(TokenTree::Ident(name)) => path.push(name.to_string()),
            _ => break,
        }
        *at += 3;
    }
    path
}

pub fn is_path(tokens: &[TokenTree], at: usize) -> bool {
    let colon = |at: usize| tokens.get(at).is_some_and(|it| is_punct(it, ':'));
    colon(at) && colon(at + 1)
}

fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

/// The end of the item that begins here, including further attributes.
pub fn end_of_item(tokens: &[TokenTree], mut at: usize) -> usize {
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Punct(punct) if punct.as_char() == '#' => at += 1,
            TokenTree::Punct(punct) if punct.as_char() == ';' => return at + 1,
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return at + 1,
            _ => {}
        }
        at += 1;
    }
    at
}

fn module_of(file: &Path) -> Module {
    let mut module: Module = file
        .with_extension("")
        .iter()
        .map(|it| it.to_string_lossy().into_owned())
        .collect();
    if matches!(
        module.last().map(String::as_str),
        Some("mod" | "lib" | "main")
    ) {
        module.pop();
    }
    module
}

/// The source files below a folder, without those of tests.
pub fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|it| it == "rs") && !name.ends_with("tests.rs") {
            files.push(path);
        }
    }
}
