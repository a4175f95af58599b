//! `/_plugins`: registers, replaces and removes vlugins while the runtime serves.
//!
//! | request | answer |
//! |---|---|
//! | `GET /_plugins` | 200, `{"plugins": […]}` |
//! | `GET /_plugins/NAME` | 200, or 404 |
//! | `POST /_plugins` with a definition | 201 and `location`; 409 if name or prefix is taken; 422 and the reason |
//! | `PUT /_plugins/NAME` with a definition | 200 once it has replaced the old one; 404, 409, 422 |
//! | `PATCH /_plugins/NAME` with some of its keys | the same, with all other keys as they were (RFC 7396) |
//! | `DELETE /_plugins/NAME` | 204; running requests finish |

use super::{RegistryAccess, json, method_not_allowed};
use crate::{BoxFuture, Definition, Request, Response, Vlugin, definition, from_fn};
use definition::DefinitionFaults;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::sync::Arc;

/// How many bytes a definition may have.
const LONGEST: usize = 1024 * 1024;

/// What `/_plugins` needs from the runtime. Files are loaded only from inside the plugin folders.
pub trait Administer: Send + Sync + 'static {
    /// Every vlugin that is not the runtime's own, as JSON.
    fn list(&self) -> Vec<Value>;

    /// The vlugin of this name, as JSON.
    fn get(&self, name: &str) -> Option<Value>;

    /// The definition that the vlugin of this name was loaded by; `None` if the program made it.
    fn definition(&self, name: &str) -> Option<Definition>;

    /// Reads a definition, of one of the runtime's kinds, that may come over HTTP. `old` is the one that it replaces.
    ///
    /// # Errors
    /// Every fault of the text, and everything that this host does not grant, with its position.
    fn read(&self, text: &str, old: Option<&Definition>) -> Result<Definition, DefinitionFaults>;

    /// Loads and mounts a vlugin.
    fn register(
        self: Arc<Self>,
        definition: Definition,
    ) -> BoxFuture<'static, Result<(), RegistryRefusal>>;

    /// Loads a vlugin and replaces the one of the same name.
    fn replace(
        self: Arc<Self>,
        definition: Definition,
    ) -> BoxFuture<'static, Result<(), RegistryRefusal>>;

    /// Removes a vlugin.
    ///
    /// # Errors
    /// [`RegistryRefusal::NotFound`].
    fn remove(&self, name: &str) -> Result<(), RegistryRefusal>;
}

/// Why the registry does not do what it was asked to do. Each has a line for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryRefusal {
    /// 404.
    NotFound(String),
    /// 409: the name or the prefix is taken.
    Taken(String),
    /// 422: the definition is wrong, or the file cannot be loaded.
    Unfit(String),
}

impl From<RegistryRefusal> for Response {
    fn from(refusal: RegistryRefusal) -> Self {
        match refusal {
            RegistryRefusal::NotFound(line) => Self::problem(404, &line),
            RegistryRefusal::Taken(line) => Self::problem(409, &line),
            RegistryRefusal::Unfit(line) => Self::problem(422, &line),
        }
    }
}

/// The vlugin on `/_plugins`. `runtime` returns `None` once the runtime has ended.
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
            Response::from(RegistryRefusal::NotFound(format!(
                "no vlugin is named `{name}`"
            )))
        })
    };
    match (method.as_str(), name) {
        ("GET" | "HEAD", "") => Ok(json(200, &json!({ "plugins": runtime.list() }))),
        ("GET" | "HEAD", name) => Ok(json(200, &found(name)?)),
        ("POST", "") => {
            let definition = sent(&*runtime, request, None).await?;
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
            let old = runtime.definition(name);
            let definition = sent(&*runtime, request, old.as_ref()).await?;
            if definition.name != name {
                let line = format!(
                    "the definition is of `{}`, but the path names `{name}`: they must be the same",
                    definition.name
                );
                return Err(RegistryRefusal::Unfit(line).into());
            }
            runtime.clone().replace(definition).await?;
            Ok(json(200, &found(name)?))
        }
        ("PATCH", name) if !name.is_empty() => {
            found(name)?;
            let Some(old) = runtime.definition(name) else {
                let line =
                    format!("`{name}` is part of this program and has no definition to change");
                return Err(RegistryRefusal::Unfit(line).into());
            };
            let definition = patched(
                &*runtime,
                &old,
                &text(request, &["json", "merge-patch+json"]).await?,
            )?;
            runtime.clone().replace(definition).await?;
            Ok(json(200, &found(name)?))
        }
        ("DELETE", name) if !name.is_empty() => {
            runtime.remove(name)?;
            Ok(Response::new(204))
        }
        (_, "") => Err(method_not_allowed("GET, HEAD, POST")),
        _ => Err(method_not_allowed("GET, HEAD, PUT, PATCH, DELETE")),
    }
}

/// A definition with some of its keys changed.
fn patched<A: Administer>(
    runtime: &A,
    old: &Definition,
    patch: &str,
) -> Result<Definition, Response> {
    let unfit = |line: String| Response::from(RegistryRefusal::Unfit(line));
    let mut definition = serde_json::to_value(old).map_err(|error| unfit(error.to_string()))?;
    if let Some(keys) = definition.as_object_mut() {
        // The client does not learn what it was built from: its `path` is the result.
        keys.remove("source");
    }
    let patch = definition::json(patch).map_err(|faults| unfit(faults.on_one_line()))?;
    if !patch.is_object() {
        let line = "a patch is an object with the keys to change, such as { \"path\": \"hello\" }";
        return Err(unfit(line.to_owned()));
    }
    merge(&mut definition, patch);
    let read = runtime
        .read(&definition.to_string(), Some(old))
        .map_err(|mut faults| {
            // The client has not seen the text that the positions refer to.
            faults.faults.iter_mut().for_each(|it| it.position = None);
            unfit(faults.on_one_line())
        })?;
    match read.name == old.name {
        true => Ok(read),
        false => Err(unfit(format!(
            "`{}` cannot become `{}`: a vlugin keeps its name; remove it, and register the other",
            old.name, read.name
        ))),
    }
}

/// A merge patch (RFC 7396, section 2); `null` removes a key.
fn merge(value: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *value = patch;
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    let Value::Object(keys) = value else { return };
    for (key, it) in patch {
        match it {
            Value::Null => drop(keys.remove(&key)),
            it => merge(keys.entry(key).or_insert(Value::Null), it),
        }
    }
}

/// The definition in a request's body.
async fn sent<A: Administer>(
    runtime: &A,
    request: Request,
    old: Option<&Definition>,
) -> Result<Definition, Response> {
    let text = text(request, &["json"]).await?;
    // The same reader as for plugins.json: the same rules, and every fault with its position.
    let read = runtime.read(&text, old);
    read.map_err(|faults| RegistryRefusal::Unfit(faults.on_one_line()).into())
}

/// The JSON in a request's body, with one of these subtypes of `application`.
async fn text(request: Request, subtypes: &[&str]) -> Result<String, Response> {
    let kind = request.head.header_str("content-type").unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    // A page can send other types across origins without a preflight.
    let essence = essence.to_ascii_lowercase();
    let subtype = essence.strip_prefix("application/").unwrap_or_default();
    if !subtypes.contains(&subtype) {
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
    let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
    match definition::json(text) {
        // In the words of plugins.json, with line and column.
        Err(faults) if !is_json => Err(Response::problem(400, &faults.on_one_line())),
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cases of RFC 7396, appendix A.
    #[test]
    fn a_merge_patch_is_that_of_the_rfc() {
        for (value, patch, wanted) in [
            (
                json!({ "a": "b" }),
                json!({ "a": "c" }),
                json!({ "a": "c" }),
            ),
            (
                json!({ "a": "b" }),
                json!({ "b": "c" }),
                json!({ "a": "b", "b": "c" }),
            ),
            (json!({ "a": "b" }), json!({ "a": null }), json!({})),
            (
                json!({ "a": ["b"] }),
                json!({ "a": "c" }),
                json!({ "a": "c" }),
            ),
            (
                json!({ "a": "c" }),
                json!({ "a": ["b"] }),
                json!({ "a": ["b"] }),
            ),
            (
                json!({ "a": { "b": "c" } }),
                json!({ "a": { "b": "d", "c": null } }),
                json!({ "a": { "b": "d" } }),
            ),
            (
                json!([1, 2]),
                json!({ "a": "b", "c": null }),
                json!({ "a": "b" }),
            ),
            (
                json!({}),
                json!({ "a": { "bb": { "ccc": null } } }),
                json!({ "a": { "bb": {} } }),
            ),
        ] {
            let mut merged = value.clone();
            merge(&mut merged, patch.clone());
            assert_eq!(merged, wanted, "{value} {patch}");
        }
    }
}
