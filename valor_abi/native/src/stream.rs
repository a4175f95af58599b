//! A body in pieces across the native boundary: a pollable stream of chunks, in either direction. The side that created
//! the stream runs it; a panic inside becomes an error of the stream before it reaches the boundary.

use crate::bytes::FfiBytes;
use abi_stable::{
    StableAbi,
    prefix_type::WithMetadata,
    std_types::{RString, RVec, Tuple2},
};
use async_ffi::{ContextExt, FfiContext};
use futures_core::Stream;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use valor_abi_wire::{Chunk, ChunkStream, unwind::catch};

/// A stream of chunks that the other side runs.
#[repr(C)]
#[derive(StableAbi)]
pub struct FfiStream {
    data: *mut (),
    vtable: FfiStreamVtableRef,
}

// SAFETY: `FfiStream::new` takes a `ChunkStream`, which is `Send`.
unsafe impl Send for FfiStream {}

/// The operations of an [`FfiStream`].
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = FfiStreamVtableRef)))]
pub struct FfiStreamVtable {
    /// The next chunk; nobody else uses `data` meanwhile.
    pub poll_chunk: unsafe extern "C" fn(data: *mut (), cx: &mut FfiContext<'_>) -> FfiChunk,
    /// Gives the pointer back. It is not used again.
    #[sabi(last_prefix_field)]
    pub drop: unsafe extern "C" fn(data: *mut ()),
}

/// One answer of a stream.
#[repr(C, u8)]
#[derive(StableAbi)]
pub enum FfiChunk {
    /// Nothing yet; the waker is called when there is something.
    Pending,
    /// The end.
    End,
    /// Some bytes.
    Data(FfiBytes),
    /// The trailers.
    Trailers(RVec<Tuple2<RString, RVec<u8>>>),
    /// The stream failed: the number of the kind of error, and a line about it.
    Failed(u8, RString),
}

/// The kinds of I/O error that cross the boundary, by their numbers.
pub const KINDS: [io::ErrorKind; 6] = [
    io::ErrorKind::Other,
    io::ErrorKind::UnexpectedEof,
    io::ErrorKind::TimedOut,
    io::ErrorKind::ConnectionReset,
    io::ErrorKind::FileTooLarge,
    io::ErrorKind::InvalidData,
];

const VTABLE: &WithMetadata<FfiStreamVtable> = &WithMetadata::new(FfiStreamVtable {
    poll_chunk,
    drop: drop_stream,
});

impl FfiStream {
    /// Hands a stream over.
    pub fn new(chunks: ChunkStream) -> Self {
        Self {
            data: Box::into_raw(Box::new(chunks)).cast(),
            vtable: FfiStreamVtableRef(VTABLE.static_as_prefix()),
        }
    }
}

unsafe extern "C" fn poll_chunk(data: *mut (), cx: &mut FfiContext<'_>) -> FfiChunk {
    // SAFETY: `data` comes from `FfiStream::new`, and the owner of the `FfiStream` polls it
    // through `&mut`, so that nobody else has it.
    let chunks = unsafe { &mut *data.cast::<ChunkStream>() };
    // All of it: formatting and dropping an error, and dropping bytes, runs code of the author.
    let chunk = catch(
        || match cx.with_context(|cx| chunks.as_mut().poll_next(cx)) {
            Poll::Pending => FfiChunk::Pending,
            Poll::Ready(None) => FfiChunk::End,
            Poll::Ready(Some(Ok(Chunk::Data(data)))) => FfiChunk::Data(data.into()),
            Poll::Ready(Some(Ok(Chunk::Trailers(trailers)))) => FfiChunk::Trailers(
                trailers
                    .into_iter()
                    .map(|(name, value)| Tuple2(name.into(), value.into()))
                    .collect(),
            ),
            Poll::Ready(Some(Err(error))) => {
                let kind = KINDS.iter().position(|kind| *kind == error.kind());
                FfiChunk::Failed(kind.unwrap_or(0) as u8, error.to_string().into())
            }
        },
    );
    chunk.unwrap_or_else(|panicked| {
        let message = format!("the body's stream panicked: {}", panicked.message);
        FfiChunk::Failed(0, message.into())
    })
}

unsafe extern "C" fn drop_stream(data: *mut ()) {
    // SAFETY: `data` comes from `FfiStream::new`, and this is called once, by `Drop`.
    let chunks = unsafe { Box::from_raw(data.cast::<ChunkStream>()) };
    let _ = catch(move || drop(chunks));
}

impl Stream for FfiStream {
    type Item = io::Result<Chunk>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let poll = this.vtable.poll_chunk();
        // SAFETY: `data` belongs to this vtable, and `&mut self` makes the use exclusive.
        let chunk = cx.with_ffi_context(|cx| unsafe { poll(this.data, cx) });
        match chunk {
            FfiChunk::Pending => Poll::Pending,
            FfiChunk::End => Poll::Ready(None),
            // The other side must leave these out; a client could take them for the end.
            FfiChunk::Data(data) if data.is_empty() => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            FfiChunk::Data(data) => Poll::Ready(Some(Ok(Chunk::Data(data.into())))),
            FfiChunk::Trailers(trailers) => Poll::Ready(Some(Ok(Chunk::Trailers(
                trailers
                    .into_iter()
                    .map(|Tuple2(name, value)| (name.into_string(), value.into_vec()))
                    .collect(),
            )))),
            FfiChunk::Failed(kind, message) => {
                let kind = KINDS.get(kind as usize).copied();
                Poll::Ready(Some(Err(io::Error::new(
                    kind.unwrap_or(io::ErrorKind::Other),
                    message.into_string(),
                ))))
            }
        }
    }
}

impl Drop for FfiStream {
    fn drop(&mut self) {
        let drop = self.vtable.drop();
        // SAFETY: `data` belongs to this vtable and is not used again.
        unsafe { drop(self.data) }
    }
}
