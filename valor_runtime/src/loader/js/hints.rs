//! [`plain`]: what Deno says, without its advice on options that only Valor gives to it.
//!
//! Whatever is logged or answered of a script's errors goes through it: `process`, `outward`, `output` and `script`
//! call it.

use std::borrow::Cow;

/// How Deno advises to give a right: these, its name, and the other.
const FLAG: (&str, &str) = (", run again with the --allow-", " flag");

/// What else it says of options, and what is so.
const OPTIONS: [(&str, &str); 4] = [
    (
        ", but --no-remote is specified",
        ", and modules from elsewhere are not loaded",
    ),
    (
        "; but --no-remote is specified",
        ", and modules from elsewhere are not loaded",
    ),
    (
        ", but --no-npm is specified",
        ", and packages are imported by their names, from a node_modules",
    ),
    (
        "; but --no-npm is specified",
        ", and packages are imported by their names, from a node_modules",
    ),
];

/// A text without that advice. What a definition can grant is said instead.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for (said, instead) in OPTIONS {
        if text.contains(said) {
            text = text.replace(said, instead).into();
        }
    }
    if !text.contains(FLAG.0) {
        return text;
    }
    let mut plain = String::new();
    let mut parts = text.split(FLAG.0);
    plain.extend(parts.next());
    for part in parts {
        match part.split_once(FLAG.1) {
            Some((right, rest)) if right.bytes().all(|it| it.is_ascii_lowercase()) => {
                if right == "read" {
                    plain.push_str(", which `files` in its definition grants");
                }
                plain.push_str(rest);
            }
            _ => plain.extend([FLAG.0, part]),
        }
    }
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn advice_on_options_is_left_out() {
        for (said, expected) in [
            ("as it is", "as it is"),
            (
                "Requires read access to \"/a\", run again with the --allow-read flag at a.js:1:2",
                "Requires read access to \"/a\", which `files` in its definition grants at a.js:1:2",
            ),
            (
                "Requires net access, run again with the --allow-net flag; Requires env access, run again with \
                 the --allow-env flag",
                "Requires net access; Requires env access",
            ),
            (
                ", run again with the --allow-",
                ", run again with the --allow-",
            ),
            (
                "npm specifiers were requested; but --no-npm is specified",
                "npm specifiers were requested, and packages are imported by their names, from a node_modules",
            ),
        ] {
            assert_eq!(plain(said), expected);
        }
    }
}
