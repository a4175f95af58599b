//! What each kind of vlugin that `new` writes is made of. Its other files ask here, and match on no kind themselves.

use crate::args::TemplateKind;

impl TemplateKind {
    /// The folder of its template.
    pub fn template(self) -> &'static str {
        match self {
            Self::Native | Self::Wasm => "crate",
            Self::Js | Self::Ts => "script",
            Self::Wasi => "component",
            Self::Files => "files",
        }
    }

    /// Whether it is an author's crate of Valor, which has forms.
    pub fn has_forms(self) -> bool {
        self.template() == "crate"
    }

    /// Whether cargo builds it.
    pub fn is_crate(self) -> bool {
        self.has_forms() || self == Self::Wasi
    }

    /// A request to try, behind the vlugin's prefix.
    pub fn request(self) -> &'static str {
        match self {
            Self::Wasi => "/Zoe",
            Self::Files => "/",
            Self::Native | Self::Wasm | Self::Js | Self::Ts => "?who=Zoe",
        }
    }
}
