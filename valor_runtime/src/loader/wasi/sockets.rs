//! `wasi:sockets`, of which a component has none: each function that can say so is refused with `access-denied`, in
//! both versions. `imports` links these. They hold no socket and no name server, so nothing of either is behind them.
//!
//! A component may import them all the same: the standard libraries of most languages do, whether they are used or not.

use super::{
    guest::Guest,
    interfaces::{self, Interface},
};
use std::future;
use wasmtime::{
    Error, StoreContextMut,
    component::{Linker, Resource, ResourceType, Val},
};
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;

/// What stands behind each resource of `wasi:sockets`. Only the network of 0.2 is ever given out, as the right to ask
/// for the rest.
struct Refused;

/// The function of 0.2 that gives out the network.
const NETWORK: &str = "instance-network";

/// The function of 0.2 that needs the network.
const LOOK_UP: &str = "resolve-addresses";

/// Adds both versions.
pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let sockets = |it: &&Interface| it.name.starts_with("wasi:sockets/");
    for interface in interfaces::all().filter(sockets) {
        let mut instance = linker.instance(&interface.full())?;
        for name in interface.resources() {
            instance.resource(name, ResourceType::host::<Refused>(), |_, _| Ok(()))?;
        }
        for (name, ty) in interface.functions() {
            let answer = answer(interface, ty);
            match (name, ty.starts_with("async ")) {
                (NETWORK, _) => instance
                    .func_wrap(NETWORK, |_: StoreContextMut<'_, Guest>, ()| {
                        Ok((Resource::<Refused>::new_own(0),))
                    })?,
                // The only one that borrows what a guest can have. As a function with types it gives that back.
                (LOOK_UP, false) => instance
                    .func_wrap(LOOK_UP, |_: StoreContextMut<'_, Guest>, asked| {
                        looked_up(asked)
                    })?,
                (_, true) => instance.func_new_concurrent(name, move |_, _, _, results| {
                    Box::pin(future::ready(say(answer.as_ref(), results)))
                })?,
                (_, false) => instance
                    .func_new(name, move |_, _, _, results| say(answer.as_ref(), results))?,
            }
        }
    }
    Ok(())
}

type Addresses = Result<Resource<Refused>, ErrorCode>;

fn looked_up(_: (Resource<Refused>, String)) -> wasmtime::Result<(Addresses,)> {
    Ok((Err(ErrorCode::AccessDenied),))
}

/// The refusal, as a function of this type says it; `None` if it has no errors.
fn answer(interface: &Interface, ty: &str) -> Option<Val> {
    let code = "access-denied".to_owned();
    let code = match interface.version {
        version if version.starts_with("0.2") => Val::Enum(code),
        _ => Val::Variant(code, None),
    };
    let (_, result) = ty.split_once(" -> ")?;
    result
        .starts_with("result<")
        .then(|| Val::Result(Err(Some(Box::new(code)))))
}

/// Answers a call. Without errors, the function belongs to a resource, of which there is none to call it on.
fn say(answer: Option<&Val>, results: &mut [Val]) -> wasmtime::Result<()> {
    match (answer, results) {
        (Some(answer), [result]) => {
            *result = answer.clone();
            Ok(())
        }
        _ => Err(Error::msg("a vlugin has no sockets")),
    }
}
