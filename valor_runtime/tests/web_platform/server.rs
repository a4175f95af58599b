//! What web-platform tests find on their server: WPT's files, and those of its programs that the played tests use.
//! Both hosts get the same answers. Deno's vlugins ask a separate address, Chromium's the address of the page.

use futures_util::{StreamExt, stream};
use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use url::form_urlencoded;
use valor_runtime::{Body, Chunk, Request, Response};

/// What a program writes for another to read.
type Stash = Arc<Mutex<HashMap<String, String>>>;

/// Cheap to clone; all clones are one server.
#[derive(Clone)]
pub struct Wpt {
    folder: PathBuf,
    stash: Stash,
}

/// The parameters of a request's query.
struct Query(HashMap<String, String>);

impl Query {
    fn get(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }

    fn number(&self, name: &str) -> u64 {
        self.get(name).parse().unwrap_or_default()
    }
}

impl Wpt {
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            stash: Stash::default(),
        }
    }

    pub async fn answer(&self, request: Request) -> Response {
        let target = request.head.target().to_owned();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let query = Query(
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        );
        let mut response = Response::new(200);
        let text = "text/plain";
        match path.strip_prefix("/fetch/api/resources/") {
            Some("echo-content.py") => {
                push(&mut response, "content-type", text);
                let body = request.body.bytes(1 << 20).await.unwrap_or_default();
                response.body = body.into();
            }
            Some("inspect-headers.py") => {
                push(&mut response, "content-type", text);
                for name in query.get("headers").split('|') {
                    let values = request.head.headers();
                    let values = values.filter(|it| it.0.eq_ignore_ascii_case(name));
                    let values: Vec<_> = values.map(|it| it.1.to_vec()).collect();
                    if !values.is_empty() {
                        let name = format!("x-request-{name}");
                        let _ = response.head.push(&name, &values.join(&b", "[..]));
                    }
                }
            }
            Some("status.py") => {
                response = Response::new(query.number("code") as u16);
                push(&mut response, "content-type", query.get("type"));
                if !matches!(query.number("code"), 204 | 205 | 304) {
                    response.body = query_bytes(&target, "content").into();
                }
            }
            Some("trickle.py") => {
                if query.get("notype").is_empty() {
                    push(&mut response, "content-type", text);
                }
                let pause = Duration::from_millis(query.number("ms"));
                let left = query.number("count");
                let drops = stream::unfold(left, move |left| async move {
                    let left = left.checked_sub(1)?;
                    smol::Timer::after(pause).await;
                    Some((Ok(Chunk::Data("TEST_TRICKLE\n".into())), left))
                });
                response.body = Body::stream(None, drops);
            }
            Some("bad-chunk-encoding.py") => {
                push(&mut response, "content-type", text);
                // Late enough for the earlier bytes to have been read.
                let pieces = stream::iter(["TEST_CHUNK", ""]).then(|piece| async move {
                    if piece.is_empty() {
                        smol::Timer::after(Duration::from_millis(300)).await;
                        return Err(io::Error::other("as it was asked"));
                    }
                    chunk(piece)
                });
                response.body = Body::stream(None, pieces);
            }
            Some("stash-put.py") => {
                let (key, value) = (query.get("key"), query.get("value"));
                put(&self.stash, key, value);
            }
            Some("stash-take.py") => {
                let taken = self.stash.lock().expect("a stash").remove(query.get("key"));
                response.body = serde_json::json!(taken).to_string().into();
            }
            Some("infinite-slow-response.py") => {
                push(&mut response, "content-type", text);
                let (state, abort) = (query.get("stateKey"), query.get("abortKey"));
                put(&self.stash, state, "open");
                let open = Open(self.stash.clone(), state.to_owned());
                let abort = abort.to_owned();
                let first = stream::iter([chunk(&".".repeat(2048))]);
                let rest = stream::unfold((open, abort), |(open, abort)| async {
                    smol::Timer::after(Duration::from_millis(10)).await;
                    let aborted = open.0.lock().expect("a stash").remove(&abort);
                    aborted.is_none().then(|| (chunk("."), (open, abort)))
                });
                response.body = Body::stream(None, first.chain(rest));
            }
            _ => self.file(path, &mut response),
        }
        response
    }

    fn file(&self, path: &str, response: &mut Response) {
        let file = self.folder.join(path.trim_start_matches('/'));
        let inside = !path.contains("..") && !path.ends_with(".py");
        match std::fs::read(&file).ok().filter(|_| inside) {
            Some(bytes) => response.body = bytes.into(),
            None => *response = Response::new(404),
        }
        let json = path.ends_with(".json");
        let kind = ["text/plain", "application/json"][usize::from(json)];
        push(response, "content-type", kind);
    }
}

/// Notes when its response is dropped.
struct Open(Stash, String);

impl Drop for Open {
    fn drop(&mut self) {
        put(&self.0, &self.1, "closed");
    }
}

fn put(stash: &Stash, key: &str, value: &str) {
    if !key.is_empty() {
        let mut stash = stash.lock().expect("a stash");
        stash.insert(key.to_owned(), value.to_owned());
    }
}

fn chunk(text: &str) -> io::Result<Chunk> {
    Ok(Chunk::Data(text.to_owned().into()))
}

fn push(response: &mut Response, name: &str, value: &str) {
    let _ = response.head.push(name, value.as_bytes());
}

/// A parameter as bytes, because it need not be UTF-8.
fn query_bytes(target: &str, name: &str) -> Vec<u8> {
    let (_, query) = target.split_once('?').unwrap_or_default();
    let mut parameters = query.split('&').filter_map(|it| it.split_once('='));
    let value = parameters.find(|it| it.0 == name).unwrap_or_default().1;
    percent_encoding::percent_decode_str(&value.replace('+', " ")).collect()
}
