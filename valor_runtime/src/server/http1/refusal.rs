//! What a client gets for a request that no vlugin sees. What judges a part of a request makes a [`Refusal`];
//! `connection` writes it and closes.

use std::borrow::Cow;

/// A request that is answered by the server itself, before any vlugin sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) detail: Cow<'static, str>,
    /// The id of the request, if it is known already.
    pub(super) id: Option<String>,
}

impl Refusal {
    pub(super) fn new(status: u16, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            detail: detail.into(),
            id: None,
        }
    }
}

pub(super) fn bad(detail: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::new(400, detail)
}
