//! [`may_import`]: whether a script may import anything, judged by its text alone, if there is neither a Deno nor an
//! esbuild to ask.
//!
//! `bundle` calls it. It errs on the side of yes: then esbuild is needed, and the error says so.

/// The line terminators of JavaScript.
const ENDS: [char; 4] = ['\n', '\r', '\u{2028}', '\u{2029}'];

/// Whether a text may import other files, or re-export from them.
pub fn may_import(text: &str) -> bool {
    let code = code(text);
    let behind = |word: &'static str| words(&code, word).map(behind_comments);
    behind("import").any(|rest| {
        // `import.meta` is not an import; `import.defer("./it.js")` is one.
        let phase = rest.strip_prefix('.').map(behind_comments);
        let phase =
            phase.is_some_and(|it| ["defer", "source"].iter().any(|word| it.starts_with(word)));
        phase || rest.starts_with(['"', '\'', '('])
    }) || behind("from").any(|rest| rest.starts_with(['"', '\'']))
}

/// The text without what is certainly a comment. If a line may begin inside a template or a string, it is not a
/// comment.
fn code(text: &str) -> String {
    let runs_on = |line: &str| line.ends_with('\\');
    if text.contains('`') || text.split(ENDS).any(runs_on) {
        return text.to_owned();
    }
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(ENDS).map_or(rest.len(), |at| at + 1);
        let end = rest.ceil_char_boundary(end);
        let line = rest[..end].trim_start();
        if line.starts_with("//") && !line.contains("*/") {
            rest = &rest[end..];
        } else if line.starts_with("/*") {
            let start = end - line.len();
            let Some(over) = rest[start + 2..].find("*/") else {
                return code;
            };
            code.push(' ');
            rest = &rest[start + 2 + over + 2..];
        } else {
            code.push_str(&rest[..end]);
            rest = &rest[end..];
        }
    }
    code
}

/// What follows a word, wherever the word stands alone.
fn words<'a>(text: &'a str, word: &'static str) -> impl Iterator<Item = &'a str> {
    let in_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
    text.match_indices(word).filter_map(move |(at, _)| {
        let rest = &text[at + word.len()..];
        let before = |c: char| in_name(c) || matches!(c, '.' | '#');
        // `...import("./it.js")` is one.
        let alone = !text[..at].ends_with(before) || text[..at].ends_with("...");
        (alone && !rest.starts_with(in_name)).then_some(rest)
    })
}

/// What follows spaces and comments.
fn behind_comments(mut text: &str) -> &str {
    loop {
        text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        text = if let Some(comment) = text.strip_prefix("//") {
            comment.split_once(ENDS).map_or("", |(_, rest)| rest)
        } else if let Some(comment) = text.strip_prefix("/*") {
            comment.split_once("*/").map_or("", |(_, rest)| rest)
        } else {
            return text;
        };
    }
}

#[cfg(test)]
mod tests {
    use super::may_import;

    #[test]
    fn what_may_import() {
        for (text, may) in [
            ("import \"./a.js\"", true),
            ("import{a}from'./a.js'", true),
            ("  import * as a from './a.js'", true),
            ("import defer * as a from './a.js'", true),
            ("let a; import b from './b.js'", true),
            ("const a = await import(\"./a.js\")", true),
            ("const a = [...import('./a.js')]", true),
            ("import . defer ('./a.js')", true),
            ("import\n  a from './a.js'", true),
            ("import a from\n'./a.js'", true),
            ("export { a } from \"./a.js\"", true),
            ("export * from './a.js'", true),
            ("export * from/**/'./a.js'", true),
            ("export * from // it\n'./a.js'", true),
            ("/* a */ import './a.js'", true),
            ("/* a\n// */ import './a.js'", true),
            ("const a = 1 /* a\n// */; import './a.js'", true),
            ("// a\u{2028}import './a.js'", true),
            ("// a\u{2029}import './a.js'", true),
            ("// a\rimport './a.js'", true),
            ("const a = 2\n * await import('./a.js')", true),
            ("const a = `\n// ${await import('./a.js')}`", true),
            ("const a = 'a \\\n// '; import('./a.js')", true),
            (" */ import './a.js'", true),
            ("// import './a.js'", false),
            ("// import './a.js'\u{2028}// from './b.js'", false),
            ("/**\n * import './a.js'\n */\nexport default {}", false),
            (
                "/** @type {import('./a.js').A} */\nexport default {}",
                false,
            ),
            ("// Not to import anything.\nexport default {}", false),
            ("export default { fetch() {} }", false),
            ("new URL('a', import.meta.url)", false),
            ("Array.from('abc')", false),
            ("const important = 1, imports = from(1)", false),
        ] {
            assert_eq!(may_import(text), may, "{text:?}");
        }
    }
}
