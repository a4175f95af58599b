//! Building the vlugins of a plugins.json, before they are loaded: which sources are built, and what takes their place.
//!
//! `run`, `check`, `web` and `build` call this. It promises that each vlugin whose source could not be built has a
//! fault, or is missing if it is optional and a tool is not here.

use super::{Entry, Fate, Vlugins, shown};
use crate::{
    args::{BuildArgs, LogArgs, LogFormat, WhenOpt},
    build_sources::{self, How, Outcome, Product},
    exit::{FAULTS, Failure},
    log_writer::LogWriter,
    programs::Stop,
    table::{Row, RowState},
    wasm_tools::WasmOpt,
};
#[cfg(feature = "wasm")]
use std::path::PathBuf;
use std::{collections::BTreeMap, path::Path};
use valor_runtime::definition;

impl Vlugins {
    /// Builds the sources, if that is wanted.
    pub fn build(&mut self, args: &BuildArgs, log: &LogArgs, writer: &LogWriter, stop: &Stop) {
        if !args.is_wanted() {
            return;
        }
        let how = How {
            log: writer,
            release: args.is_release(),
            json: log.log_format == LogFormat::Json,
            quiet: log.quiet,
            stop,
        };
        let base = self.base().to_owned();
        let wanted = self.entries.iter().enumerate();
        let wanted = wanted.filter(|(_, entry)| matches!(entry.fate, Fate::Well));
        let wanted = wanted.map(|(index, entry)| (index, &entry.definition));
        let outcomes = build_sources::build(wanted, &base, how);
        self.take_built(outcomes);
    }

    /// Builds the sources of the vlugins with these names, or all sources if there are none.
    ///
    /// # Errors
    /// Names that are not in the file.
    pub fn build_these(&mut self, names: &[String], how: How<'_>) -> Result<(), Failure> {
        let known: Vec<_> = self.definitions.iter().map(|it| it.name.as_str()).collect();
        let mut wrong = Vec::new();
        for name in names.iter().filter(|name| !known.contains(&name.as_str())) {
            let hint = definition::nearest(name, known.iter().copied())
                .map_or(String::new(), |nearest| {
                    format!("; did you mean `{nearest}`?")
                });
            let hint = match known.is_empty() {
                true => "; none is in it".to_owned(),
                false if hint.is_empty() => format!("; known are {}", known.join(", ")),
                false => hint,
            };
            let file = self.file.as_ref().map(|file| file.shown().display());
            let file = file.map_or(String::new(), |file| format!("{file}: "));
            wrong.push(format!("{file}no vlugin is called `{name}`{hint}"));
        }
        if !wrong.is_empty() {
            return Err(Failure::new(FAULTS, wrong));
        }
        let base = self.base().to_owned();
        // By the index among all: what is not asked for has nothing to build.
        let mut definitions = self.all();
        for (index, definition) in definitions.iter_mut().enumerate() {
            if names.is_empty() || names.contains(&definition.name) {
                if definition.source.is_none() && !names.is_empty() {
                    let line = "it has no `source`, the folder of a crate to build".to_owned();
                    self.fault(index, "name", line);
                }
            } else {
                definition.source = None;
            }
        }
        self.take_built(build_sources::build(
            definitions.iter().enumerate(),
            &base,
            how,
        ));
        Ok(())
    }

    /// Notes which of those with these names were built, and which were not.
    pub fn built(&mut self, mut outcomes: BTreeMap<String, Outcome>) {
        let entries = self.entries.iter().enumerate();
        let by_index = entries.filter_map(|(index, entry)| {
            let outcome = outcomes.remove(&entry.definition.name)?;
            Some((index, outcome))
        });
        let by_index = by_index.collect();
        self.take_built(by_index);
    }

    /// What was built, by the names of the definitions.
    #[cfg(feature = "wasm")]
    pub fn libraries(&self) -> BTreeMap<String, PathBuf> {
        let built = self.entries.iter().filter(|it| it.built);
        let library = |it: &Entry| Some((it.definition.name.clone(), it.definition.path.clone()?));
        built.filter_map(library).collect()
    }

    /// Uses the results of earlier builds.
    #[cfg(feature = "wasm")]
    pub fn built_before(&mut self, libraries: &BTreeMap<String, PathBuf>) {
        for Entry { definition, .. } in &mut self.entries {
            if let Some(library) = libraries.get(&definition.name) {
                definition.path = Some(library.clone());
            }
        }
    }

    /// Notes what was built, and what was not.
    fn take_built(&mut self, outcomes: BTreeMap<usize, Outcome>) {
        for (index, outcome) in outcomes {
            let entry = &mut self.entries[index];
            match outcome {
                Ok(library) => {
                    entry.definition.path = Some(library);
                    entry.built = true;
                }
                Err(fault) => {
                    let over_http = "its source could not be built".to_owned();
                    match fault.no_tool {
                        true => self.missing(index, "source", fault.line, None),
                        false => self.fault(index, "source", fault.line),
                    }
                    self.say_over_http(index, over_http);
                }
            }
        }
    }

    /// Whether a WebAssembly module was built.
    fn has_built_wasm(&self) -> bool {
        self.built_wasm().next().is_some()
    }

    fn built_wasm(&self) -> impl Iterator<Item = (usize, &Path)> {
        let entries = self.entries.iter().enumerate();
        // wasm-opt reads no components.
        let wasm =
            entries.filter(|(_, it)| it.built && Product::of(&it.definition) == Product::Module);
        wasm.filter_map(|(index, entry)| Some((index, entry.definition.path.as_deref()?)))
    }

    /// Shrinks the modules that were built, as `--wasm-opt` says. What `always` needs was found before the work began.
    pub fn shrink_when(&mut self, when: WhenOpt, release: bool, always: Option<&WasmOpt>) {
        let found = match when {
            WhenOpt::Auto if release && self.has_built_wasm() => WasmOpt::find()
                .inspect_err(|line| log::warn!(target: "valor::build", "{line}"))
                .ok(),
            _ => None,
        };
        if let Some(wasm_opt) = found.as_ref().or(always) {
            self.shrink(wasm_opt);
        }
    }

    /// Shrinks the modules that were built, each file once.
    fn shrink(&mut self, wasm_opt: &WasmOpt) {
        let files: BTreeMap<_, _> = self
            .built_wasm()
            .map(|(index, file)| (file.to_owned(), index))
            .collect();
        for (file, index) in files {
            match wasm_opt.shrink(&file) {
                Ok((before, after)) => log::info!(
                    target: "valor::build", before = before, after = after;
                    "{}: {before} bytes, {after} by wasm-opt", shown(&file)
                ),
                Err(line) => self.fault(index, "source", line),
            }
        }
    }

    /// What was built, in the order of the file.
    pub fn built_rows(&self) -> Vec<Row> {
        let row = |entry: &Entry| {
            let state = match &entry.fate {
                Fate::Well if entry.built => RowState::Good("built".into()),
                Fate::Missing(why) => RowState::Missing(why.line.clone()),
                _ => return None,
            };
            let file = entry.definition.path.as_deref().filter(|_| entry.built);
            let bytes = file.and_then(|file| std::fs::metadata(file).ok());
            Some(Row {
                cells: vec![
                    entry.definition.name.clone(),
                    entry.definition.kind.to_string(),
                    file.map_or_else(|| "-".to_owned(), shown),
                    bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.len().to_string()),
                ],
                state,
            })
        };
        self.entries.iter().filter_map(row).collect()
    }
}
