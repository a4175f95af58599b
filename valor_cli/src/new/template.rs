//! The templates that are in the program, and how they are filled in: as cargo-generate does it, with the same engine.
//! The build script has made the table, of `valor_cli/templates`.

use liquid_lib::stdlib;

/// Each template by the name of its folder, with its files: the name of each, and its text.
pub type Template = (&'static str, &'static [(&'static str, &'static str)]);

/// All of them.
pub const TEMPLATES: &[Template] = include!(concat!(env!("OUT_DIR"), "/templates.rs"));

/// What only cargo-generate reads.
const SETTINGS: &str = "cargo-generate.toml";

/// The files of a template, filled in. One whose name ends in `.liquid` loses that ending, and takes the place of the
/// one without it. Names are filled in too.
///
/// # Errors
/// If the template is broken, which the tests rule out.
pub fn render(
    template: &str,
    answers: &liquid::Object,
) -> Result<Vec<(String, String)>, liquid::Error> {
    // What the templates use of the language: the rest would be a part of each program.
    let parser = liquid::ParserBuilder::new()
        .tag(stdlib::AssignTag)
        .block(stdlib::IfBlock)
        .block(stdlib::UnlessBlock)
        .filter(stdlib::Escape)
        .build()?;
    let fill = |text: &str| parser.parse(text)?.render(answers);
    let found = TEMPLATES.iter().find(|(name, _)| *name == template);
    let files = found.map_or(&[][..], |(_, files)| files);
    let is_there = |name: &str| files.iter().any(|(it, _)| *it == name);
    files
        .iter()
        .filter(|(name, _)| *name != SETTINGS && !is_there(&format!("{name}.liquid")))
        .map(|(name, text)| {
            let name = name.strip_suffix(".liquid").unwrap_or(name);
            Ok((fill(name)?, fill(text)?))
        })
        .collect()
}
