//! From a request to its response, on a thread that may block. `Files` calls it for `GET` and `HEAD`; it handles every
//! outcome of these.

use super::{
    Files,
    conditions::{Seen, Validators, Verdict},
    folder::{Found, Opened},
    identity::Identity,
    media, names,
    pieces::{self, PIECE, Pieces, Section},
    ranges::{self, Part, Ranges},
    versions::Version,
};
use crate::{Body, Bytes, RequestHead, Response, in_band::FORWARDED_PREFIX};
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// How often to read a file again if it changes while it is read.
const ATTEMPTS: usize = 3;

/// What a path leads to.
enum Answer {
    Response(Response),
    Folder,
    Nothing,
}

/// Answers a `GET` or a `HEAD`.
pub(super) fn answer(files: &Files, head: &RequestHead) -> Response {
    let missing = || Response::problem(404, &format!("there is no file at {}", head.path()));
    let Some(asked) = names::asked(head.path()) else {
        return missing();
    };
    let path = match asked.is_folder {
        true => asked.path.join(&files.config.index),
        false => asked.path,
    };
    match at(files, head, &path) {
        Answer::Response(response) => return response,
        Answer::Folder if !asked.is_folder => return to_folder(head),
        _ => {}
    }
    let Some(fallback) = files.config.fallback.as_deref().map(PathBuf::from) else {
        return missing();
    };
    match at(files, head, &fallback) {
        Answer::Response(response) => response,
        _ => missing(),
    }
}

/// Answers with the file at a path.
fn at(files: &Files, head: &RequestHead, path: &Path) -> Answer {
    for _ in 0..ATTEMPTS {
        let sent = match files.folder.open(path) {
            Ok(Found::File(opened)) => send(files, head, path, opened),
            Ok(Found::Folder) => return Answer::Folder,
            Ok(Found::Nothing) => return Answer::Nothing,
            Err(error) => Err(error),
        };
        match sent {
            Ok(Some(response)) => return Answer::Response(response),
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Answer::Response(failed(path, &error)),
        }
    }
    let mut response = Response::problem(503, "the file is being written to");
    push(&mut response, "retry-after", "1");
    Answer::Response(response)
}

/// Redirects a client that left the slash out to the folder, so that relative links work.
fn to_folder(head: &RequestHead) -> Response {
    let prefix = head.header_str(FORWARDED_PREFIX).unwrap_or_default();
    let query = &head.target()[head.target().find('?').unwrap_or(head.target().len())..];
    let location = format!("{prefix}{}/{query}", head.path());
    let mut response = Response::new(301);
    push(&mut response, "location", &location);
    response
}

/// The answer to an error that has nothing to do with the request.
fn failed(path: &Path, error: &io::Error) -> Response {
    log::error!(target: "valor::files", "{} cannot be served: {error}", path.display());
    let mut response = match is_shortage(error) {
        true => Response::problem(503, "too many files are open"),
        false => return Response::problem(500, "the file cannot be read"),
    };
    push(&mut response, "retry-after", "1");
    response
}

#[cfg(unix)]
fn is_shortage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM)
    )
}

#[cfg(not(unix))]
fn is_shortage(error: &io::Error) -> bool {
    /// `ERROR_TOO_MANY_OPEN_FILES`.
    const TOO_MANY: i32 = 4;
    error.raw_os_error() == Some(TOO_MANY) || error.kind() == io::ErrorKind::OutOfMemory
}

/// Sends a file, or the outcome of the request's conditions. Returns nothing if the file has changed meanwhile.
fn send(
    files: &Files,
    head: &RequestHead,
    path: &Path,
    opened: Opened,
) -> io::Result<Option<Response>> {
    let now = SystemTime::now();
    let Opened { len, identity, .. } = opened;
    let (hash, source) = match files.versions.of(&opened.file, len, identity, now)? {
        Version::Unknown => (None, Source::File(opened.file, None)),
        Version::Kept(hash, identity) => (Some(hash), Source::File(opened.file, Some(identity))),
        Version::Read(hash, bytes) => (Some(hash), Source::Bytes(bytes)),
    };
    let seen = Seen {
        len,
        modified: opened.modified,
        identity,
        hash,
    };
    let validators = Validators::of(seen, now);
    let mut response = match validators.evaluate(head) {
        Verdict::Failed => {
            let problem = "the file is not in the state that was asked for";
            return Ok(Some(Response::problem(412, problem)));
        }
        Verdict::NotModified => Response::new(304),
        Verdict::Send => {
            let ranges = match validators.range_applies(head) {
                true => ranges::of(head, len),
                false => Ranges::Whole,
            };
            match of_file(head, &media::type_of(path), len, ranges, source)? {
                Some(response) => response,
                None => return Ok(None),
            }
        }
    };
    if matches!(response.head.status(), 200 | 206 | 304) {
        if let Some(etag) = &validators.etag {
            push(&mut response, "etag", etag);
        }
        if let Some(modified) = validators.modified {
            let date = httpdate::fmt_http_date(modified);
            push(&mut response, "last-modified", &date);
        }
        if let Some(value) = &files.config.cache_control {
            push(&mut response, "cache-control", value);
        }
    }
    Ok(Some(response))
}

/// Where a file's bytes come from.
enum Source {
    Bytes(Bytes),
    /// The bytes of an open file. With an identity, the file has to be in this state.
    File(File, Option<Identity>),
}

fn of_file(
    head: &RequestHead,
    media: &str,
    len: u64,
    ranges: Ranges,
    source: Source,
) -> io::Result<Option<Response>> {
    if head.method() == "HEAD" {
        // A `Range` has a meaning only for GET (RFC 9110, section 14.2).
        let mut response = typed(200, media);
        push(&mut response, "content-length", &len.to_string());
        return Ok(Some(response));
    }
    let (mut response, part) = match ranges {
        Ranges::Whole => (typed(200, media), Part { start: 0, len }),
        Ranges::Unsatisfiable => {
            let mut response = Response::problem(416, "the file has no such part");
            push(&mut response, "accept-ranges", "bytes");
            push(&mut response, "content-range", &format!("bytes */{len}"));
            return Ok(Some(response));
        }
        Ranges::Parts(parts) => match parts[..] {
            [part] => {
                let mut response = typed(206, media);
                push(&mut response, "content-range", &place(part, len));
                (response, part)
            }
            _ => return Ok(Some(several(media, &parts, len, source))),
        },
    };
    let Some(body) = body_of(source, part)? else {
        return Ok(None);
    };
    response.body = body;
    Ok(Some(response))
}

/// Several parts of a file as `multipart/byteranges` (RFC 9110, section 14.6).
fn several(media: &str, parts: &[Part], len: u64, source: Source) -> Response {
    let boundary = format!("{:032x}", fastrand::u128(..));
    let mut response = typed(206, &format!("multipart/byteranges; boundary={boundary}"));
    let sections = parts.iter().enumerate().map(|(index, part)| {
        let line_end = if index == 0 { "" } else { "\r\n" };
        let place = place(*part, len);
        let text = format!(
            "{line_end}--{boundary}\r\ncontent-type: {media}\r\ncontent-range: {place}\r\n\r\n"
        );
        Section {
            text: text.into(),
            part: Some(*part),
        }
    });
    let end = Section {
        text: format!("\r\n--{boundary}--\r\n").into(),
        part: None,
    };
    let sections: Vec<_> = sections.chain([end]).collect();
    let len_of = |it: &Section| it.text.len() as u64 + it.part.map_or(0, |part| part.len);
    let len = sections.iter().map(len_of).sum();
    response.body = match source {
        Source::File(file, state) => Body::stream(Some(len), Pieces::new(file, state, sections)),
        Source::Bytes(bytes) => {
            let mut body = Vec::new();
            for section in sections {
                body.extend_from_slice(&section.text);
                body.extend_from_slice(
                    &section.part.map_or(Bytes::new(), |part| cut(&bytes, part)),
                );
            }
            Body::from(body)
        }
    };
    response
}

/// One part of a file. A small one is read at once, a larger one a piece at a time. Returns nothing if the file has
/// changed meanwhile.
fn body_of(source: Source, part: Part) -> io::Result<Option<Body>> {
    let (file, state) = match source {
        Source::Bytes(bytes) => return Ok(Some(Body::from(cut(&bytes, part)))),
        Source::File(file, state) => (file, state),
    };
    if part.len <= PIECE {
        let bytes = pieces::read(&file, part.start, part.len);
        if let Some(state) = state
            && !state.is_still(&file)?
        {
            return Ok(None);
        }
        return Ok(Some(Body::from(bytes?)));
    }
    let section = Section {
        text: Bytes::new(),
        part: Some(part),
    };
    let pieces = Pieces::new(file, state, [section]);
    Ok(Some(Body::stream(Some(part.len), pieces)))
}

/// A part of bytes. It lies within them.
fn cut(bytes: &Bytes, part: Part) -> Bytes {
    bytes.slice(part.start as usize..(part.start + part.len) as usize)
}

fn place(part: Part, len: u64) -> String {
    format!("bytes {}-{}/{len}", part.start, part.start + part.len - 1)
}

fn typed(status: u16, media: &str) -> Response {
    let mut response = Response::new(status);
    push(&mut response, "content-type", media);
    push(&mut response, "accept-ranges", "bytes");
    response
}

/// Adds a header whose value has no line break.
fn push(response: &mut Response, name: &str, value: &str) {
    let _ = response.head.push(name, value.as_bytes());
}
