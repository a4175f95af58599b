//! The method and the authority of a request that a component puts together, which wasmtime keeps however long they
//! are. `imports` puts these functions in the place of wasmtime's, so that a handle is never much more than its
//! headers: `guest` counts on that.

use super::guest::Guest;
use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource},
};
use wasmtime_wasi_http::{
    WasiHttpView,
    p2::{
        bindings::http::types::{HostOutgoingRequest as V2, Method as MethodV2},
        types::HostOutgoingRequest,
    },
    p3::{
        Request,
        bindings::http::types::{HostRequest as V3, Method as MethodV3},
    },
};

/// The most bytes of a method and of an authority. Names of hosts have at most 253.
const LONGEST: usize = 1024;

/// What a setter says: whether it took the value.
type Set = wasmtime::Result<(Result<(), ()>,)>;

/// Puts the setters with a bound in place of wasmtime's, which are in the linker already.
pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    type OfV2 = Resource<HostOutgoingRequest>;
    let mut types = linker.instance("wasi:http/types@0.2.12")?;
    types.func_wrap(
        "[method]outgoing-request.set-method",
        |mut store: StoreContextMut<'_, Guest>, (of, method): (OfV2, MethodV2)| -> Set {
            match &method {
                MethodV2::Other(name) if name.len() > LONGEST => Ok((Err(()),)),
                _ => Ok((V2::set_method(&mut store.data_mut().http(), of, method)?,)),
            }
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-authority",
        |mut store: StoreContextMut<'_, Guest>, (of, name): (OfV2, Option<String>)| -> Set {
            match name {
                Some(name) if name.len() > LONGEST => Ok((Err(()),)),
                _ => Ok((V2::set_authority(&mut store.data_mut().http(), of, name)?,)),
            }
        },
    )?;
    let mut types = linker.instance("wasi:http/types@0.3.0")?;
    types.func_wrap(
        "[method]request.set-method",
        |mut store: StoreContextMut<'_, Guest>,
         (of, method): (Resource<Request>, MethodV3)|
         -> Set {
            match &method {
                MethodV3::Other(name) if name.len() > LONGEST => Ok((Err(()),)),
                _ => Ok((V3::set_method(&mut store.data_mut().http(), of, method)?,)),
            }
        },
    )?;
    types.func_wrap(
        "[method]request.set-authority",
        |mut store: StoreContextMut<'_, Guest>,
         (of, name): (Resource<Request>, Option<String>)|
         -> Set {
            match name {
                Some(name) if name.len() > LONGEST => Ok((Err(()),)),
                _ => Ok((V3::set_authority(&mut store.data_mut().http(), of, name)?,)),
            }
        },
    )
}
