//! Ensures that names and prefixes are unique. `read` notes them here as it goes along; a fault names both positions.

use super::{check::Checker, fault::join};
use std::collections::HashMap;

/// A name or a prefix, and the byte of the text where it begins.
type Said = (String, usize);

/// The names and prefixes that are taken, and where.
#[derive(Default)]
pub(super) struct Duplicates {
    names: HashMap<String, (String, usize)>,
    prefixes: HashMap<String, (String, usize)>,
}

impl Duplicates {
    /// Notes an entry. What another entry already has is a fault.
    pub fn note(
        &mut self,
        checker: &mut Checker<'_>,
        key: &str,
        name: Option<&Said>,
        prefix: Option<&Said>,
    ) {
        let mut name_taken = false;
        if let Some((name, at)) = name {
            if let Some((first, first_at)) = self.names.get(name) {
                let position = checker.position(*first_at);
                checker.fault(
                    *at,
                    join(key, "name"),
                    format!(
                        "the name `{name}` is taken by {first} at {position}; each has its own"
                    ),
                );
                name_taken = true;
            } else {
                self.names.insert(name.clone(), (key.to_owned(), *at));
            }
        }
        let Some((prefix, at)) = prefix else {
            return;
        };
        let Some((first, first_at)) = self.prefixes.get(prefix) else {
            self.prefixes.insert(prefix.clone(), (key.to_owned(), *at));
            return;
        };
        let by_default = name.is_some_and(|(_, name_at)| name_at == at);
        if by_default && name_taken {
            // Another name also gives another prefix: one fault is enough.
            return;
        }
        let position = checker.position(*first_at);
        let (key, what) = if by_default {
            (join(key, "name"), "; say another `prefix`")
        } else {
            (join(key, "prefix"), "; each has its own")
        };
        checker.fault(
            *at,
            key,
            format!("the prefix `{prefix}` is taken by {first} at {position}{what}"),
        );
    }
}
