//! From a request to its response, on a thread that may block: `Files` calls it for `GET` and
//! `HEAD`, and it answers everything else that can come of them.

use super::{
    Files,
    conditions::{Validators, Verdict},
    folder::{Found, Opened},
    media, names,
    pieces::{self, PIECE, Pieces, Section},
    ranges::{self, Part, Ranges},
};
use crate::{Body, Bytes, RequestHead, Response};
use std::{
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

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
    match files.folder.open(&path) {
        Ok(Found::File(opened)) => return send(files, head, &path, opened),
        Ok(Found::Folder) if !asked.is_folder => return to_folder(head),
        Ok(_) => {}
        Err(error) => return failed(&path, &error),
    }
    let Some(fallback) = files.config.fallback.as_deref().map(PathBuf::from) else {
        return missing();
    };
    match files.folder.open(&fallback) {
        Ok(Found::File(opened)) => send(files, head, &fallback, opened),
        Ok(_) => missing(),
        Err(error) => failed(&fallback, &error),
    }
}

/// Sends a client that left the slash away to the folder, where relative links lead right.
fn to_folder(head: &RequestHead) -> Response {
    let prefix = head.header_str("x-forwarded-prefix").unwrap_or_default();
    let query = &head.target()[head.target().find('?').unwrap_or(head.target().len())..];
    let location = format!("{prefix}{}/{query}", head.path());
    let mut response = Response::new(301);
    push(&mut response, "location", &location);
    response
}

/// What has nothing to do with the request.
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

/// Sends a file, or what the request's conditions make of it.
fn send(files: &Files, head: &RequestHead, path: &Path, opened: Opened) -> Response {
    let validators = Validators::of(opened.len, opened.modified, SystemTime::now());
    let mut response = match validators.judge(head) {
        Verdict::Failed => {
            return Response::problem(412, "the file is not in the state that was asked for");
        }
        Verdict::NotModified => Response::new(304),
        Verdict::Send => of_file(head, &media::type_of(path), &validators, opened)
            .unwrap_or_else(|error| failed(path, &error)),
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
    response
}

fn of_file(
    head: &RequestHead,
    media: &str,
    validators: &Validators,
    opened: Opened,
) -> io::Result<Response> {
    let whole = Part {
        start: 0,
        len: opened.len,
    };
    if head.method() == "HEAD" {
        // A `Range` has a meaning for GET alone (RFC 9110, section 14.2).
        let mut response = typed(200, media);
        push(&mut response, "content-length", &opened.len.to_string());
        return Ok(response);
    }
    let ranges = match validators.range_applies(head) {
        true => ranges::of(head, opened.len),
        false => Ranges::Whole,
    };
    match ranges {
        Ranges::Whole => {
            let mut response = typed(200, media);
            response.body = body_of(opened, whole)?;
            Ok(response)
        }
        Ranges::Unsatisfiable => {
            let mut response = Response::problem(416, "the file has no such part");
            push(&mut response, "accept-ranges", "bytes");
            let length = format!("bytes */{}", opened.len);
            push(&mut response, "content-range", &length);
            Ok(response)
        }
        Ranges::Parts(parts) => match parts[..] {
            [part] => {
                let mut response = typed(206, media);
                push(&mut response, "content-range", &place(part, opened.len));
                response.body = body_of(opened, part)?;
                Ok(response)
            }
            _ => Ok(several(media, &parts, opened)),
        },
    }
}

/// Several parts of a file as `multipart/byteranges` (RFC 9110, section 14.6).
fn several(media: &str, parts: &[Part], opened: Opened) -> Response {
    let boundary = format!("{:032x}", fastrand::u128(..));
    let mut response = typed(206, &format!("multipart/byteranges; boundary={boundary}"));
    let sections = parts.iter().enumerate().map(|(index, part)| {
        let line_end = if index == 0 { "" } else { "\r\n" };
        let place = place(*part, opened.len);
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
    response.body = Body::stream(Some(len), Pieces::new(opened.file, sections));
    response
}

/// One part of a file: at once where it is a piece, else a piece at a time.
fn body_of(opened: Opened, part: Part) -> io::Result<Body> {
    if part.len <= PIECE {
        let bytes = pieces::read(&opened.file, part.start, part.len)?;
        return Ok(Body::from(bytes));
    }
    let section = Section {
        text: Bytes::new(),
        part: Some(part),
    };
    let pieces = Pieces::new(opened.file, [section]);
    Ok(Body::stream(Some(part.len), pieces))
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

/// Adds a header that has no line break in it.
fn push(response: &mut Response, name: &str, value: &str) {
    let _ = response.head.push(name, value.as_bytes());
}
