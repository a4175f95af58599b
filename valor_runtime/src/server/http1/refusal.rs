//! The answer to a request that no vlugin sees. The code that judges a part of a request makes a [`Refusal`];
//! `connection` writes it and closes.

use crate::vlugin::Instead;
use std::{borrow::Cow, sync::Arc};
use valor_abi_wire::Response;

/// A request that the server answers itself, before any vlugin sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) detail: Cow<'static, str>,
    /// The request's id, if it is already known.
    pub(super) id: Option<Arc<str>>,
}

impl Refusal {
    pub(super) fn new(status: u16, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            detail: detail.into(),
            id: None,
        }
    }

    /// The response to the client.
    pub(super) fn response(&self) -> Response {
        Response::problem(self.status, &self.detail)
    }

    /// For the log of a request that has reached a vlugin all the same.
    pub(super) fn instead(&self) -> Instead {
        Instead::of(&self.response())
    }
}

pub(super) fn bad(detail: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::new(400, detail)
}
