//! The types that cross the native boundary. Their layout is the ABI: a change here is a new minor version of this
//! crate if it only adds a field at the end of a prefix type, and a new major version otherwise. `tests/abi` enforces
//! that.
//!
//! A new field goes after the one that is marked `last_prefix_field`, and that mark stays where it is. Such a field is
//! read as an `Option`: the other side may be older.

use crate::{bytes::FfiBytes, stream::FfiStream, version::VERSION};
use abi_stable::{
    StableAbi,
    library::RootModule,
    sabi_types::VersionStrings,
    std_types::{ROption, RResult, RStr, RString, RVec},
};
use async_ffi::FfiFuture;
use valor_abi_wire::{self as wire, Body, Bytes, Fault, FaultKind, ROOM};

/// The other side's answer.
pub type FfiResult<T> = RResult<T, FfiFault>;

/// An unknown length.
const UNKNOWN: u64 = u64::MAX;

/// The root module of a library.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = ValorModuleRef)))]
pub struct ValorModule {
    /// Creates the vlugin for one of its mounts; `config` is JSON.
    #[sabi(last_prefix_field)]
    pub create: extern "C" fn(host: FfiHost, config: RString) -> FfiFuture<FfiResult<FfiInstance>>,
}

impl RootModule for ValorModuleRef {
    abi_stable::declare_root_module_statics! {ValorModuleRef}
    const BASE_NAME: &'static str = "valor_vlugin";
    const NAME: &'static str = "valor_vlugin";
    const VERSION_STRINGS: VersionStrings = VersionStrings::new(VERSION);
}

/// A head, as one block, and a body.
#[repr(C)]
#[derive(StableAbi)]
pub struct FfiMessage {
    /// See [`RequestHead`](wire::RequestHead) and [`ResponseHead`](wire::ResponseHead).
    pub head: RVec<u8>,
    /// The body's bytes, if all of them are there.
    pub bytes: FfiBytes,
    /// The body's length, `u64::MAX` if it is not known.
    pub len: u64,
    /// The body in pieces, instead of `bytes`.
    pub stream: ROption<FfiStream>,
}

/// A [`Fault`].
#[repr(C)]
#[derive(StableAbi)]
pub struct FfiFault {
    /// The number of the [`FaultKind`].
    pub kind: u8,
    /// The status to answer with.
    pub status: u16,
    /// One line for the log.
    pub message: RString,
    /// Where a panic happened, or empty.
    pub place: RString,
}

/// A created vlugin: a pointer that the library owns, and the operations on it.
#[repr(C)]
#[derive(StableAbi)]
pub struct FfiInstance {
    pub(super) data: *const (),
    pub(super) vtable: FfiInstanceVtableRef,
}

// SAFETY: `export` only makes these from an `Arc<dyn Instance>`, and `Instance` is `Send`.
unsafe impl Send for FfiInstance {}
// SAFETY: as above; `Instance` is `Sync`, and the vtable's functions take `data` as shared.
unsafe impl Sync for FfiInstance {}

/// The operations of an [`FfiInstance`].
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = FfiInstanceVtableRef)))]
pub struct FfiInstanceVtable {
    /// Answers a request; `data` is only borrowed until this returns.
    pub on_request:
        unsafe extern "C" fn(data: *const (), FfiMessage) -> FfiFuture<FfiResult<FfiMessage>>,
    /// Gives the pointer back. It is not used again.
    #[sabi(last_prefix_field)]
    pub drop: unsafe extern "C" fn(data: *const ()),
}

/// The host of one vlugin: a pointer that the host's program owns, and the operations on it.
#[repr(C)]
#[derive(StableAbi)]
pub struct FfiHost {
    pub(super) data: *const (),
    pub(super) vtable: FfiHostVtableRef,
}

// SAFETY: `import` only makes these from an `Arc<dyn Host>`, and `Host` is `Send`.
unsafe impl Send for FfiHost {}
// SAFETY: as above; `Host` is `Sync`, and the vtable's functions take `data` as shared.
unsafe impl Sync for FfiHost {}

/// The operations of an [`FfiHost`]. Times are nanoseconds.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = FfiHostVtableRef)))]
pub struct FfiHostVtable {
    /// The vlugin's name.
    pub name: unsafe extern "C" fn(data: *const ()) -> RString,
    /// Takes a line for the log.
    pub log: unsafe extern "C" fn(data: *const (), record: FfiLogRecord<'_>),
    /// The most verbose level that the log keeps: 0 for none, 1 for errors, up to 5 for traces.
    pub max_level: unsafe extern "C" fn(data: *const ()) -> u8,
    /// Sends a request to another server.
    pub fetch:
        unsafe extern "C" fn(data: *const (), FfiMessage) -> FfiFuture<FfiResult<FfiMessage>>,
    /// Passes a request to another vlugin.
    pub call: unsafe extern "C" fn(
        data: *const (),
        vlugin: RStr<'_>,
        FfiMessage,
    ) -> FfiFuture<FfiResult<FfiMessage>>,
    /// Ends after this time.
    pub sleep: unsafe extern "C" fn(data: *const (), nanos: u64) -> FfiFuture<()>,
    /// The time since 1970-01-01 00:00 UTC.
    pub now: unsafe extern "C" fn(data: *const ()) -> u64,
    /// Random bytes, this many.
    pub random: unsafe extern "C" fn(data: *const (), len: usize) -> RVec<u8>,
    /// Gives the pointer back. It is not used again.
    #[sabi(last_prefix_field)]
    pub drop: unsafe extern "C" fn(data: *const ()),
}

/// A line for the log.
#[repr(C)]
#[derive(StableAbi)]
pub struct FfiLogRecord<'a> {
    /// 1 for errors, up to 5 for traces.
    pub level: u8,
    /// The source line, 0 if it is not known.
    pub line: u32,
    /// The module.
    pub target: RStr<'a>,
    /// The line itself.
    pub message: RStr<'a>,
    /// The source file, or empty.
    pub file: RStr<'a>,
}

impl FfiMessage {
    fn new(head: Vec<u8>, body: Body) -> Self {
        let len = body.len().unwrap_or(UNKNOWN);
        let (bytes, stream) = match body {
            Body::Bytes(bytes) => (bytes, ROption::RNone),
            Body::Stream { chunks, .. } => (Bytes::new(), ROption::RSome(FfiStream::new(chunks))),
        };
        Self {
            head: head.into(),
            bytes: bytes.into(),
            len,
            stream,
        }
    }

    fn into_parts(self) -> (Vec<u8>, Body) {
        let len = (self.len != UNKNOWN).then_some(self.len);
        let body = match self.stream {
            ROption::RSome(stream) => Body::stream(len, stream),
            ROption::RNone => Body::Bytes(self.bytes.into()),
        };
        // The memory belongs to the other side, and cannot grow here; this side adds its own headers.
        let mut head = Vec::with_capacity(self.head.len() + ROOM / 2);
        head.extend_from_slice(&self.head);
        (head, body)
    }

    /// The request inside, from the host that has built it: only its lengths are checked.
    ///
    /// # Errors
    /// A fault of status 400 for a head whose lengths do not fit.
    pub(super) fn into_host_request(self) -> Result<wire::Request, Fault> {
        let (head, body) = self.into_parts();
        let head =
            wire::RequestHead::from_host(head).map_err(|e| Fault::error(400, e.to_string()))?;
        Ok(wire::Request { head, body })
    }

    /// The request inside.
    ///
    /// # Errors
    /// A fault of status 400 for a head that is not sound.
    pub fn into_request(self) -> Result<wire::Request, Fault> {
        let (head, body) = self.into_parts();
        let head = wire::RequestHead::parse(head).map_err(|e| Fault::error(400, e.to_string()))?;
        Ok(wire::Request { head, body })
    }

    /// The response inside.
    ///
    /// # Errors
    /// A fault of status 500 for a head that is not sound.
    pub fn into_response(self) -> Result<wire::Response, Fault> {
        let (head, body) = self.into_parts();
        let head = wire::ResponseHead::parse(head).map_err(|e| Fault::error(500, e.to_string()))?;
        Ok(wire::Response::of(head, body))
    }
}

impl From<wire::Request> for FfiMessage {
    fn from(request: wire::Request) -> Self {
        Self::new(request.head.into_bytes(), request.body)
    }
}

impl From<wire::Response> for FfiMessage {
    fn from(response: wire::Response) -> Self {
        Self::new(response.head.into_bytes(), response.body)
    }
}

impl From<Fault> for FfiFault {
    fn from(fault: Fault) -> Self {
        Self {
            kind: fault.kind as u8,
            status: fault.status,
            message: fault.message.into(),
            place: fault.place.unwrap_or_default().into(),
        }
    }
}

impl From<FfiFault> for Fault {
    fn from(fault: FfiFault) -> Self {
        let place = fault.place.into_string();
        Self {
            place: (!place.is_empty()).then_some(place),
            ..Self::new(
                FaultKind::from_u8(fault.kind),
                fault.status,
                fault.message.into_string(),
            )
        }
    }
}

/// A level as a number: 0 for off, 5 for traces.
pub(super) fn level_filter(number: u8) -> log::LevelFilter {
    log::LevelFilter::iter()
        .nth(number.into())
        .unwrap_or(log::LevelFilter::Trace)
}
