//! `valor_cli web`: makes a folder for a static server from a plugins.json. Its page runs the vlugins in a service
//! worker.
//!
//! The contents are collected first, with every fault; only then is anything written. `made` does that. `contents` is
//! what to write. `folder` writes it, and leaves files of others alone. `scripts` makes one module of a `js` vlugin, if
//! a server accepts it too (`alike`), and `components` several of a `wasi` vlugin (`component`). `copied` walks through
//! the folders of `files` vlugins. `again` repeats all of it whenever something changes, and `serve` is `--serve`.

mod again;
mod alike;
mod component;
mod components;
mod contents;
mod copied;
mod folder;
mod made;
mod policy;
mod scripts;
mod serve;

use crate::{
    args::{LogFormat, WebArgs},
    exit::Failure,
    faults::no_folder,
    log_writer::LogWriter,
    output::print_line,
    plugins_file::{NAME_IT, PluginsFile},
    programs::Stop,
    rows::show,
    table::{Row, RowState},
};
use made::{Made, read, write};
use scripts::Imported;
use valor_runtime::{Definition, Kind};

/// Writes the folder, and serves it if that is asked for.
///
/// # Errors
/// Everything that prevents writing or serving; nothing is written then.
pub fn web(args: &WebArgs, log: &LogWriter) -> Result<(), Failure> {
    if let Some(line) = no_folder(&args.plugin_dir) {
        return Err(Failure::fault(line));
    }
    let file = PluginsFile::of(args.plugins.as_deref(), NAME_IT)?;
    let stop = Stop::default();
    let watching = match args.watch {
        true => Some(again::Again::start(args, &file, log, &stop)?),
        false => None,
    };
    let wasm_opt = args.wasm_opt.found()?;
    let mut vlugins = read(args, &file);
    vlugins.build(&args.build, &args.log, log, &stop);
    vlugins.shrink_when(args.wasm_opt, args.build.is_release(), wasm_opt.as_ref());
    let mut imports = Imported::new();
    let made = write(args, vlugins, &mut imports)?;
    tell(args, log, &made);
    let Some(listen) = &args.serve else {
        return Ok(());
    };
    let policy = serve::Policy::new(made.policy);
    if let Some(watching) = watching {
        let built = made.vlugins.libraries();
        watching.listen(policy.clone(), built, imports, stop.clone())?;
    }
    let served = serve::serve(&args.output, listen, policy, &args.log, log);
    stop.now();
    served
}

/// Says what was written, and what was left out and why.
fn tell(args: &WebArgs, log: &LogWriter, made: &Made) {
    let Made {
        vlugins,
        written,
        files,
        policy,
    } = made;
    let (files, policy) = (*files, policy.as_str());
    let row = |(definition, state): (&Definition, RowState)| {
        let twin = written.iter().find(|it| it.name == definition.name);
        let file = twin.and_then(|twin| twin.path.as_deref());
        let state = match (state, twin) {
            (RowState::Good(_), Some(_)) => RowState::Good("written".into()),
            (RowState::Good(_), None) => RowState::Missing(left_out(definition.kind)),
            (state, _) => state,
        };
        Row {
            cells: vec![
                definition.name.clone(),
                definition.kind.to_string(),
                definition.prefix(),
                file.map_or_else(|| "-".to_owned(), |file| file.display().to_string()),
            ],
            state,
        }
    };
    let rows: Vec<_> = vlugins.states().map(row).collect();
    show(&rows, &args.log, log);
    let dir = args.output.display();
    match args.log.log_format {
        LogFormat::Json => log::info!(
            target: "valor", folder = dir.to_string().as_str(), files = files, policy = policy;
            "written"
        ),
        LogFormat::Text if args.log.quiet => {}
        LogFormat::Text => {
            print_line(format_args!("wrote {files} files to {dir}"));
            print_line(format_args!("content-security-policy: {policy}"));
        }
    }
}

/// Why a vlugin of a kind that no browser runs is not in the folder.
fn left_out(kind: Kind) -> String {
    format!("a {kind} vlugin does not run in a browser; it is left out")
}

#[cfg(test)]
mod tests {
    use super::*;
    use valor_runtime::{KindRow, loader::InPage};

    /// Also for a kind whose name this program does not know.
    #[test]
    fn a_kind_that_no_browser_runs_is_left_out_in_one_sentence() {
        static ROW: KindRow = KindRow::new("probe", "a text, for tests");
        for kind in [Kind::Native, Kind::new(&ROW)] {
            assert_eq!(kind.in_page(), InPage::Never);
            let line = format!("a {kind} vlugin does not run in a browser; it is left out");
            assert_eq!(left_out(kind), line);
        }
    }
}
