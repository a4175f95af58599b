//! From a path to the value with its longest prefix, counted in whole segments.
//!
//! It is a tree of segments: the cost of a look-up depends on the path's length, not on the number of prefixes. The
//! registry keeps one of mounts. Nothing here knows what a vlugin is.

use std::collections::HashMap;

/// Prefixes such as `/`, `/a` and `/a/b`, each with a value.
#[derive(Clone, Debug)]
pub struct Routes<T> {
    root: Node<T>,
}

#[derive(Clone, Debug)]
struct Node<T> {
    value: Option<T>,
    children: HashMap<Box<str>, Node<T>>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self {
            value: None,
            children: HashMap::new(),
        }
    }
}

impl<T> Default for Routes<T> {
    fn default() -> Self {
        Self {
            root: Node::default(),
        }
    }
}

impl<T> Routes<T> {
    /// Puts a value at a prefix and returns the one that was there.
    pub fn insert(&mut self, prefix: &str, value: T) -> Option<T> {
        let mut node = &mut self.root;
        for segment in segments(prefix) {
            node = node.children.entry(segment.into()).or_default();
        }
        node.value.replace(value)
    }

    /// The value at exactly this prefix.
    pub fn get(&self, prefix: &str) -> Option<&T> {
        segments(prefix)
            .try_fold(&self.root, |node, segment| node.children.get(segment))?
            .value
            .as_ref()
    }

    /// Removes the value at exactly this prefix.
    pub fn remove(&mut self, prefix: &str) -> Option<T> {
        fn remove<T>(node: &mut Node<T>, mut rest: std::str::Split<'_, char>) -> Option<T> {
            let Some(segment) = rest.next() else {
                return node.value.take();
            };
            let child = node.children.get_mut(segment)?;
            let removed = remove(child, rest);
            if child.value.is_none() && child.children.is_empty() {
                node.children.remove(segment);
            }
            removed
        }
        match prefix {
            "/" | "" => self.root.value.take(),
            _ => remove(&mut self.root, prefix[1..].split('/')),
        }
    }

    /// The value with the longest prefix of `path`, and that prefix's length in bytes. For the prefix `/` it is 0, so
    /// that the rest always begins with a slash or is empty.
    pub fn find(&self, path: &str) -> Option<(&T, usize)> {
        let mut node = &self.root;
        let mut found = node.value.as_ref().map(|value| (value, 0));
        let mut at = 0;
        for segment in path.strip_prefix('/').unwrap_or(path).split('/') {
            let Some(child) = node.children.get(segment) else {
                break;
            };
            at += 1 + segment.len();
            node = child;
            if let Some(value) = &node.value {
                found = Some((value, at));
            }
        }
        found
    }
}

/// The segments of a prefix; `/` has none.
fn segments(prefix: &str) -> impl Iterator<Item = &str> {
    prefix
        .strip_prefix('/')
        .filter(|rest| !rest.is_empty())
        .into_iter()
        .flat_map(|rest| rest.split('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The rule, applied prefix by prefix.
    fn longest<'a>(prefixes: &'a [String], path: &str) -> Option<&'a String> {
        prefixes
            .iter()
            .filter(|prefix| {
                prefix.as_str() == "/"
                    || path
                        .strip_prefix(prefix.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
            .max_by_key(|prefix| prefix.len())
    }

    #[test]
    fn whole_segments_only() {
        let mut routes = Routes::default();
        routes.insert("/api/greet", 1);
        routes.insert("/api", 2);
        assert_eq!(routes.find("/api/greet/x"), Some((&1, 10)));
        assert_eq!(routes.find("/api/greeting"), Some((&2, 4)));
        assert_eq!(routes.find("/apis"), None);
        routes.insert("/", 3);
        assert_eq!(routes.find("/apis"), Some((&3, 0)));
        assert_eq!(routes.find("//api"), Some((&3, 0)));
    }

    #[test]
    fn what_is_removed_leaves_nothing_behind() {
        let mut routes = Routes::default();
        routes.insert("/a/b/c", 1);
        routes.insert("/a", 2);
        assert_eq!(routes.remove("/a/b"), None);
        assert_eq!(routes.remove("/a/b/c"), Some(1));
        assert!(routes.root.children["a"].children.is_empty());
        assert_eq!(routes.remove("/a"), Some(2));
        assert!(routes.root.children.is_empty());
        assert_eq!(routes.find("/a/b/c"), None);
    }

    fn prefix() -> impl Strategy<Value = String> {
        prop_oneof![Just("/".to_owned()), "(/[ab]{1,2}){1,4}"]
    }

    proptest! {
        #[test]
        fn finds_what_the_rule_says(
            prefixes in proptest::collection::vec(prefix(), 0..12),
            removed in proptest::collection::vec(prefix(), 0..4),
            paths in proptest::collection::vec("(/[ab]{0,2}){1,6}", 1..20),
        ) {
            let mut routes = Routes::default();
            for prefix in &prefixes {
                routes.insert(prefix, prefix.clone());
            }
            for prefix in &removed {
                prop_assert_eq!(routes.remove(prefix).is_some(), prefixes.contains(prefix)
                    && !removed.iter().take_while(|p| !std::ptr::eq(*p, prefix)).any(|p| p == prefix));
            }
            let left: Vec<_> =
                prefixes.into_iter().filter(|prefix| !removed.contains(prefix)).collect();
            for path in &paths {
                let found = routes.find(path);
                prop_assert_eq!(found.map(|(value, _)| value), longest(&left, path));
                if let Some((value, len)) = found {
                    prop_assert_eq!(if len == 0 { "/" } else { &path[..len] }, value);
                }
            }
        }
    }
}
