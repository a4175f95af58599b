//! The exports of one instance. `module` finds their [`Places`] once, and [`Exports`] looks one up when it is first
//! called: an instance that answers one request calls few of them.

use super::imports::{self, Guest};
use wasmtime::{Instance, Memory, Module, ModuleExport, Store, TypedFunc};

macro_rules! exports {
    ($($export:ident: $name:literal, $params:ty => $results:ty;)*) => {
        /// Where a module has its exports.
        pub(super) struct Places {
            memory: ModuleExport,
            $($export: ModuleExport,)*
            /// Whether no import gives way to others. Then exports can be called on the caller's stack.
            pub is_synchronous: bool,
        }

        impl Places {
            /// Those of a module that was checked to have them.
            pub fn of(module: &Module) -> Option<Self> {
                let mut imports = module.imports();
                Some(Self {
                    memory: module.get_export_index("memory")?,
                    $($export: module.get_export_index($name)?,)*
                    is_synchronous: !imports.any(|import| import.name() == imports::RANDOM),
                })
            }
        }

        #[derive(Default)]
        struct Found {
            $($export: Option<TypedFunc<$params, $results>>,)*
        }

        impl Exports<'_> {
            $(
                #[doc = concat!("`", $name, "`.")]
                pub fn $export(
                    &mut self,
                    store: &mut Store<Guest>,
                ) -> wasmtime::Result<TypedFunc<$params, $results>> {
                    if let Some(found) = &self.found.$export {
                        return Ok(found.clone());
                    }
                    let export = self.instance.get_module_export(&mut *store, &self.places.$export);
                    let function = export.and_then(wasmtime::Extern::into_func);
                    let function = function.ok_or_else(|| missing($name))?.typed(&*store)?;
                    Ok(self.found.$export.insert(function).clone())
                }
            )*
        }
    };
}

exports! {
    alloc: "valor_alloc", u32 => u32;
    init: "valor_init", (u32, u32) => ();
    request: "valor_request", (u32, u32, u32) => ();
    body: "valor_body", (u32, u32, u32, u32) => ();
    fetch_response: "valor_fetch_response", (u32, u32, u32) => ();
    writable: "valor_writable", (u32, u32) => ();
    timer: "valor_timer", u32 => ();
    cancel: "valor_cancel", u32 => ();
    poll: "valor_poll", () => ();
}

/// The exports of an instance.
pub(super) struct Exports<'a> {
    pub instance: Instance,
    pub memory: Memory,
    places: &'a Places,
    found: Found,
}

impl<'a> Exports<'a> {
    pub fn of(
        instance: Instance,
        places: &'a Places,
        store: &mut Store<Guest>,
    ) -> wasmtime::Result<Self> {
        let memory = instance.get_module_export(&mut *store, &places.memory);
        let memory = memory.and_then(wasmtime::Extern::into_memory);
        Ok(Self {
            instance,
            memory: memory.ok_or_else(|| missing("memory"))?,
            places,
            found: Found::default(),
        })
    }

    pub fn is_synchronous(&self) -> bool {
        self.places.is_synchronous
    }
}

/// A fault of this host: every module is checked to have it.
fn missing(name: &str) -> wasmtime::Error {
    wasmtime::format_err!("it has no `{name}`")
}
