//! What the host does for vlugins, of all kinds and for all alike.

pub mod allow;
pub mod fetch;
