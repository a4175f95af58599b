//! `/_plugins`: vlugins registered, replaced and removed while the runtime serves.
//!
//! | request | answer |
//! |---|---|
//! | `GET /_plugins` | 200, `{"plugins": […]}` |
//! | `GET /_plugins/NAME` | 200, or 404 |
//! | `POST /_plugins` with a definition | 201 and `location`; 409 where name or prefix is taken; 422 with the loader's reason |
//! | `PUT /_plugins/NAME` with a definition | 200 with the new one in its place; 404, 409, 422 |
//! | `DELETE /_plugins/NAME` | 204; running requests finish |

use super::{RegistryAccess, json, method_not_allowed};
use crate::{BoxFuture, Definition, Request, Response, Vlugin, from_fn};
use serde_json::{Value, json};
use std::sync::Arc;

/// How long a definition may be, in bytes.
const LONGEST: usize = 1024 * 1024;

/// What `/_plugins` needs of the runtime. Files are loaded only from inside the plugin folders.
pub trait Administer: Send + Sync + 'static {
    /// Every vlugin that is not the runtime's own, as JSON.
    fn list(&self) -> Vec<Value>;

    /// The vlugin of this name, as JSON.
    fn get(&self, name: &str) -> Option<Value>;

    /// Loads and mounts a vlugin.
    fn register(self: Arc<Self>, definition: Definition)
    -> BoxFuture<'static, Result<(), Refusal>>;

    /// Loads a vlugin and puts it in the place of the one of its name.
    fn replace(self: Arc<Self>, definition: Definition) -> BoxFuture<'static, Result<(), Refusal>>;

    /// Takes a vlugin out.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    fn remove(&self, name: &str) -> Result<(), Refusal>;
}

/// Why the registry does not do what it was asked for; each with a line for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// 404.
    NotFound(String),
    /// 409: the name or the prefix is taken.
    Taken(String),
    /// 422: the definition is wrong, or the file cannot be loaded.
    Unfit(String),
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound(line) => Self::problem(404, &line),
            Refusal::Taken(line) => Self::problem(409, &line),
            Refusal::Unfit(line) => Self::problem(422, &line),
        }
    }
}

/// The vlugin on `/_plugins`. `runtime` gives `None` once the runtime has ended.
pub fn plugins<A: Administer>(
    access: RegistryAccess,
    runtime: impl Fn() -> Option<Arc<A>> + Send + Sync + 'static,
) -> Arc<dyn Vlugin> {
    let access = Arc::new(access);
    let runtime = Arc::new(runtime);
    from_fn(move |request| {
        let (access, runtime) = (access.clone(), runtime.clone());
        async move {
            if let Err(refusal) = access.check(&request.head) {
                return Ok(refusal);
            }
            let Some(runtime) = runtime() else {
                return Ok(Response::problem(503, "the runtime has ended"));
            };
            Ok(answer(runtime, request)
                .await
                .unwrap_or_else(|refusal| refusal))
        }
    })
}

async fn answer<A: Administer>(runtime: Arc<A>, request: Request) -> Result<Response, Response> {
    let method = request.head.method().to_owned();
    let path = request.head.path().to_owned();
    let name = path.strip_prefix('/').unwrap_or(&path);
    let found = |name: &str| {
        runtime.get(name).ok_or_else(|| {
            Response::from(Refusal::NotFound(format!("no vlugin is named `{name}`")))
        })
    };
    match (method.as_str(), name) {
        ("GET" | "HEAD", "") => Ok(json(200, &json!({ "plugins": runtime.list() }))),
        ("GET" | "HEAD", name) => Ok(json(200, &found(name)?)),
        ("POST", "") => {
            let definition = definition(request).await?;
            let name = definition.name.clone();
            runtime.clone().register(definition).await?;
            let mut response = json(201, &found(&name)?);
            let _ = response
                .head
                .push("location", format!("/_plugins/{name}").as_bytes());
            Ok(response)
        }
        ("PUT", name) if !name.is_empty() => {
            found(name)?;
            let definition = definition(request).await?;
            if definition.name != name {
                let line = format!(
                    "the definition is of `{}`, but the path names `{name}`: they have to be the same",
                    definition.name
                );
                return Err(Refusal::Unfit(line).into());
            }
            runtime.clone().replace(definition).await?;
            Ok(json(200, &found(name)?))
        }
        ("DELETE", name) if !name.is_empty() => {
            runtime.remove(name)?;
            Ok(Response::new(204))
        }
        (_, "") => Err(method_not_allowed("GET, HEAD, POST")),
        _ => Err(method_not_allowed("GET, HEAD, PUT, DELETE")),
    }
}

/// The definition in a request's body.
async fn definition(request: Request) -> Result<Definition, Response> {
    let kind = request.head.header_str("content-type").unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    // A page can send other types across origins without asking first.
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Response::problem(
            415,
            "a definition is sent as application/json",
        ));
    }
    let body = request.body.bytes(LONGEST).await.map_err(|error| {
        let status = match error.kind() {
            std::io::ErrorKind::FileTooLarge => 413,
            _ => 400,
        };
        Response::problem(status, &format!("the definition cannot be read: {error}"))
    })?;
    let text = std::str::from_utf8(&body)
        .map_err(|error| Response::problem(400, &format!("the body is not UTF-8: {error}")))?;
    if let Err(error) = serde_json::from_str::<Value>(text) {
        let line = format!("the body is not JSON: {error}");
        return Err(Response::problem(400, &line));
    }
    // The same reader as for plugins.json: the same rules, and every fault with its position.
    Definition::from_json(text).map_err(|faults| Refusal::Unfit(faults.on_one_line()).into())
}
