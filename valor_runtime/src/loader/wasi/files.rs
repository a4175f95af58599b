//! `wasi:filesystem`, as far as wasmtime's own functions would not do.
//!
//! They hold every path inside of its folder, and block their thread, so instances with a folder run on threads that
//! may block (`driven`). `imports` puts these here in their place: `open-at`, which counts what is open and opens
//! nothing that may block for ever, such as a pipe, and the streams of files in 0.2, which would run on tokio all the
//! same.

use super::guest::Guest;
use bytes::Bytes;
use std::io::{self, Read, Seek, SeekFrom, Write};
use wasmtime::{
    StoreContextMut,
    component::{Accessor, Linker, Resource},
};
use wasmtime_wasi::{
    FsPerms,
    filesystem::{Descriptor, File, WasiFilesystem, WasiFilesystemCtxView, WasiFilesystemView},
    p2::{
        DynInputStream, DynOutputStream, FsError, FsResult, InputStream, OutputStream, Pollable,
        StreamError, StreamResult,
        bindings::filesystem::types::{self as v2, HostDescriptor as _},
    },
    p3::{
        bindings::filesystem::types::{self as v3, HostDescriptorWithStore as _},
        filesystem::FilesystemError,
    },
};

/// How many bytes are read or written at once.
const PART: usize = 64 << 10;

/// Puts Valor's own functions in place of wasmtime's, which are in the linker already.
pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut types = linker.instance("wasi:filesystem/types@0.2.12")?;
    types.func_wrap(
        "[method]descriptor.read-via-stream",
        |mut store: StoreContextMut<'_, Guest>, (file, at): (Resource<Descriptor>, u64)| {
            settled(reader(&mut store.data_mut().filesystem(), &file, at))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.write-via-stream",
        |mut store: StoreContextMut<'_, Guest>, (file, at): (Resource<Descriptor>, u64)| {
            settled(writer(&mut store.data_mut().filesystem(), &file, Some(at)))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.append-via-stream",
        |mut store: StoreContextMut<'_, Guest>, (file,): (Resource<Descriptor>,)| {
            settled(writer(&mut store.data_mut().filesystem(), &file, None))
        },
    )?;
    types.func_wrap_async("[method]descriptor.open-at", |mut store, asked| {
        Box::new(async move { settled(open_v2(store.data_mut(), asked).await) })
    })?;
    let mut types = linker.instance("wasi:filesystem/types@0.3.0")?;
    types.func_wrap_concurrent("[method]descriptor.open-at", |guest, asked| {
        Box::pin(open_v3(guest, asked))
    })?;
    Ok(())
}

/// A result of 0.2, as a guest gets it.
fn settled<T>(result: FsResult<T>) -> wasmtime::Result<(Result<T, v2::ErrorCode>,)> {
    Ok((match result {
        Ok(done) => Ok(done),
        Err(error) => Err(error.downcast()?),
    },))
}

type OpenV2 = (
    Resource<Descriptor>,
    v2::PathFlags,
    String,
    v2::OpenFlags,
    v2::DescriptorFlags,
);

async fn open_v2(
    guest: &mut Guest,
    (folder, follow, path, how, flags): OpenV2,
) -> FsResult<Resource<Descriptor>> {
    if !guest.opened.has_room() {
        return Err(v2::ErrorCode::Quota.into());
    }
    let mut files = guest.filesystem();
    let at = Resource::new_borrow(folder.rep());
    let is_plain = |it: v2::DescriptorType| {
        use v2::DescriptorType::{Directory, RegularFile, SymbolicLink};
        matches!(it, RegularFile | Directory | SymbolicLink)
    };
    if let Ok(found) = files.stat_at(at, follow, path.clone()).await
        && !is_plain(found.type_)
    {
        return Err(v2::ErrorCode::Access.into());
    }
    let opened = files.open_at(folder, follow, path, how, flags).await?;
    guest.opened.add(guest.table.get(&opened)?);
    Ok(opened)
}

type OpenV3 = (
    Resource<Descriptor>,
    v3::PathFlags,
    String,
    v3::OpenFlags,
    v3::DescriptorFlags,
);
type OpenedV3 = Result<Resource<Descriptor>, v3::ErrorCode>;

async fn open_v3(
    guest: &Accessor<Guest>,
    (folder, follow, path, how, flags): OpenV3,
) -> wasmtime::Result<(OpenedV3,)> {
    if !guest.with(|mut store| store.data_mut().opened.has_room()) {
        return Ok((Err(v3::ErrorCode::Quota),));
    }
    let files = &guest.with_getter::<WasiFilesystem>(|guest| guest.filesystem());
    let at = Resource::new_borrow(folder.rep());
    let is_plain = |it: v3::DescriptorType| {
        use v3::DescriptorType::{Directory, RegularFile, SymbolicLink};
        matches!(it, RegularFile | Directory | SymbolicLink)
    };
    if let Ok(found) = WasiFilesystem::stat_at(files, at, follow, path.clone()).await
        && !is_plain(found.type_)
    {
        return Ok((Err(v3::ErrorCode::Access),));
    }
    let opened: Result<_, FilesystemError> =
        WasiFilesystem::open_at(files, folder, follow, path, how, flags).await;
    let opened = match opened {
        Ok(opened) => opened,
        Err(error) => return Ok((Err(error.downcast()?),)),
    };
    guest.with(|mut store| {
        let guest = store.data_mut();
        guest.opened.add(guest.table.get(&opened)?);
        Ok((Ok(opened),))
    })
}

fn reader(
    files: &mut WasiFilesystemCtxView<'_>,
    file: &Resource<Descriptor>,
    at: u64,
) -> FsResult<Resource<DynInputStream>> {
    let file = match files.table.get(file)? {
        Descriptor::File(file) => file.clone(),
        Descriptor::Dir(_) => return Err(v2::ErrorCode::IsDirectory.into()),
    };
    let reader: DynInputStream = Box::new(Reading { file, at });
    Ok(files.table.push(reader)?)
}

/// A stream that writes from here on, or to the end.
fn writer(
    files: &mut WasiFilesystemCtxView<'_>,
    file: &Resource<Descriptor>,
    at: Option<u64>,
) -> FsResult<Resource<DynOutputStream>> {
    let file = match files.table.get(file)? {
        Descriptor::File(file) => file.clone(),
        Descriptor::Dir(_) => return Err(v2::ErrorCode::BadDescriptor.into()),
    };
    if file.perms != FsPerms::ReadWrite {
        return Err(FsError::from(v2::ErrorCode::NotPermitted));
    }
    let writer: DynOutputStream = Box::new(Writing {
        file,
        at,
        failed: None,
    });
    Ok(files.table.push(writer)?)
}

/// A file of 0.2 that is read as a stream. A file is always ready.
struct Reading {
    file: File,
    at: u64,
}

#[async_trait::async_trait]
impl Pollable for Reading {
    async fn ready(&mut self) {}
}

impl InputStream for Reading {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 {
            return Ok(Bytes::new());
        }
        let mut bytes = vec![0; size.min(PART)];
        let mut file = &*self.file.file;
        let read = file
            .seek(SeekFrom::Start(self.at))
            .and_then(|_| file.read(&mut bytes));
        match read {
            Ok(0) => Err(StreamError::Closed),
            Ok(len) => {
                self.at += len as u64;
                bytes.truncate(len);
                Ok(bytes.into())
            }
            Err(error) => Err(StreamError::LastOperationFailed(error.into())),
        }
    }
}

/// A file of 0.2 that is written as a stream.
struct Writing {
    file: File,
    /// Where the next bytes go. `None` is the end.
    at: Option<u64>,
    failed: Option<io::Error>,
}

impl Writing {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut file = &*self.file.file;
        let at = match self.at {
            Some(at) => SeekFrom::Start(at),
            None => SeekFrom::End(0),
        };
        file.seek(at)?;
        file.write_all(bytes)?;
        if let Some(at) = &mut self.at {
            *at += bytes.len() as u64;
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl Pollable for Writing {
    async fn ready(&mut self) {}
}

#[async_trait::async_trait]
impl OutputStream for Writing {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.failed = self.put(&bytes).err();
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.check_write().map(drop)
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        match self.failed.take() {
            Some(error) => Err(StreamError::LastOperationFailed(error.into())),
            None => Ok(PART),
        }
    }
}
