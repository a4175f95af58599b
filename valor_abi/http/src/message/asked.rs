//! [`Asked`], the headers of a message that were asked for one by one, as `http_types` has them.

use crate::headers::value_of;
use http_types::headers::{HeaderName, HeaderValues};
use std::sync::OnceLock;

/// A list that only grows, so that what it has lent stays where it is.
#[derive(Default)]
pub(super) struct Asked(OnceLock<Box<Link>>);

struct Link {
    name: HeaderName,
    values: HeaderValues,
    next: Asked,
}

impl Asked {
    /// All values of this name among the fields of a head, in their order; `None` if there are none.
    pub fn header<'a, 'f>(
        &'a self,
        name: HeaderName,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
    ) -> Option<&'a HeaderValues> {
        let mut end = self;
        while let Some(link) = end.0.get() {
            if link.name == name {
                return Some(&link.values);
            }
            end = &link.next;
        }
        let wanted = name.as_str().as_bytes();
        let same = fields.filter(|(name, _)| *name == wanted);
        let mut values = same.filter_map(|(_, value)| value_of(value)).peekable();
        values.peek()?;
        let mut link = Box::new(Link {
            values: values.collect(),
            name,
            next: Self::default(),
        });
        // Another thread may have added one in the meantime.
        loop {
            match end.0.set(link) {
                Ok(()) => return end.0.get().map(|link| &link.values),
                Err(back) => link = back,
            }
            end = &end.0.get()?.next;
        }
    }
}
