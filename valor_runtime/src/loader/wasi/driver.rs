//! One instance of a component from its beginning to its end: it gets requests from its inbox, and answers them one
//! after the other (WASI 0.2) or at once (0.3).
//!
//! `instance` polls [`drive`]. This promises that the guest never runs for longer than some milliseconds at a time, and
//! that everyone who waits hears of the instance's end.

use super::{
    component::Pre,
    guest::{self, Guest},
    inbox::{Answer, Call, Inbox, Reply, Unanswered},
    messages,
    recipe::Recipe,
};
use crate::{
    BoxFuture, Fault, FaultKind,
    escape::one_line,
    loader::engine::{
        self,
        clock::in_turns,
        trap::{self, Trap},
    },
};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::{future, sync::Arc, task::Poll};
use wasmtime::{AsContextMut, PoolConcurrencyLimitError, Store, component::Accessor};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi_http::{
    Error, FieldMap, WasiBody, WasiHttpView,
    p2::bindings::{Proxy, http::types::Scheme},
    p3::{self, bindings::Service},
};

/// A component that has begun.
enum Begun {
    V2(Proxy),
    V3(Service),
}

/// Runs an instance from its beginning to its end. Everyone who waits for it hears of that end.
pub(super) async fn drive(recipe: Arc<Recipe>, pre: Arc<Pre>, inbox: Arc<Inbox>) {
    let engine = pre.engine();
    let mut store = Guest::store(engine, &recipe, inbox.account.clone());
    let outcome = in_turns(run(&recipe, &pre, &inbox, &mut store)).await;
    let is_broken = outcome.is_err();
    let fault = match outcome {
        Ok(()) => Fault::error(502, "its instance has ended"),
        // Not its doing: it has not begun.
        Err(error) if error.is::<PoolConcurrencyLimitError>() => {
            Fault::refused(503, engine::no_instance())
        }
        Err(error) => trapped(&recipe, store.data(), &error),
    };
    inbox.end(&fault, is_broken);
}

async fn run(
    recipe: &Recipe,
    pre: &Pre,
    inbox: &Arc<Inbox>,
    store: &mut Store<Guest>,
) -> wasmtime::Result<()> {
    let begun = match pre {
        Pre::V2(pre) => Begun::V2(pre.instantiate_async(&mut *store).await?),
        Pre::V3(pre) => Begun::V3(pre.instantiate_async(&mut *store).await?),
    };
    inbox.begin();
    let begun = &begun;
    let is_concurrent = pre.is_concurrent();
    let serve = async |accessor: &Accessor<Guest>| {
        let mut calls: FuturesUnordered<BoxFuture<'_, wasmtime::Result<()>>> =
            FuturesUnordered::new();
        let mut has_served = false;
        future::poll_fn(|cx| {
            loop {
                match calls.poll_next_unpin(cx) {
                    Poll::Ready(Some(Ok(()))) => {
                        // It has come to an end, so it is not in a loop: its time is not that of the next request.
                        accessor.with(|mut store| store.data_mut().limits.clock.begin());
                        continue;
                    }
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                    Poll::Ready(None) | Poll::Pending => {}
                }
                // While a guest of 0.2 waits, wasmtime polls nothing else. What it cannot begin stays in the inbox, so
                // that another instance gets it if this one ends.
                let takes = match recipe.is_single {
                    true => !has_served,
                    false => is_concurrent || calls.is_empty(),
                };
                if takes && let Some(call) = inbox.next(cx) {
                    has_served = true;
                    calls.push(Box::pin(answer(accessor, begun, inbox, call)));
                    continue;
                }
                let is_done = calls.is_empty() && accessor.poll_no_interesting_tasks(cx).is_ready();
                inbox.set_idle(is_done);
                return match is_done && recipe.is_single && has_served {
                    true => Poll::Ready(Ok(())),
                    false => Poll::Pending,
                };
            }
        })
        .await
    };
    store.run_concurrent(serve).await?
}

/// Answers a request. An error ends the instance.
async fn answer(
    accessor: &Accessor<Guest>,
    begun: &Begun,
    inbox: &Arc<Inbox>,
    call: Call,
) -> wasmtime::Result<()> {
    let Call { request, reply } = call;
    let request = match messages::to_component(request) {
        Ok(request) => request,
        Err(fault) => {
            reply.give(inbox, Err(Unanswered::Failed(fault)));
            return Ok(());
        }
    };
    match begun {
        Begun::V2(proxy) => answer_v2(accessor, proxy, inbox, request, &reply).await?,
        Begun::V3(service) => {
            let answer = answer_v3(accessor, service, request).await?;
            reply.give(inbox, answer);
        }
    }
    reply.give(inbox, Err(Unanswered::Failed(silent())));
    Ok(())
}

async fn answer_v2(
    accessor: &Accessor<Guest>,
    proxy: &Proxy,
    inbox: &Arc<Inbox>,
    request: http::Request<WasiBody>,
    reply: &Arc<Reply>,
) -> wasmtime::Result<()> {
    let handle = proxy.wasi_http_incoming_handler().func_handle();
    let call = accessor.with(|mut store| {
        let scheme = match request.uri().scheme_str() {
            Some("https") => Scheme::Https,
            _ => Scheme::Http,
        };
        let refusal = store.data_mut().hooks.refusal();
        let mut http = store.data_mut().http();
        let request = http.new_incoming_request(scheme, request)?;
        let (inbox, reply) = (inbox.clone(), reply.clone());
        let response = http.new_response_outparam_from_callback(move |response| {
            let answer = response.map_err(|code| refused(code.into(), refusal.reason()));
            reply.give(&inbox, answer);
        })?;
        handle.start_call_concurrent(store.as_context_mut(), (request, response))
    })?;
    handle.finish_call_concurrent(accessor, call).await
}

async fn answer_v3(
    accessor: &Accessor<Guest>,
    service: &Service,
    request: http::Request<WasiBody>,
) -> wasmtime::Result<Answer> {
    let handle = service.wasi_http_handler().func_handle();
    let (call, done) = accessor.with(|mut store| {
        let http = store.data_mut().http();
        let (parts, body) = request.into_parts();
        let url = parts.uri.into_parts();
        let headers = FieldMap::new_immutable(http.hooks, parts.headers);
        let (request, done) = p3::Request::new(
            parts.method,
            url.scheme,
            url.authority,
            url.path_and_query,
            headers,
            None,
            body,
        );
        let request = http.table.push(request)?;
        let call = handle.start_call_concurrent(store.as_context_mut(), (request,))?;
        wasmtime::error::Ok((call, done))
    })?;
    let (response,) = handle.finish_call_concurrent(accessor, call).await?;
    accessor.with(|mut store| {
        Ok(match response {
            Ok(response) => {
                let response = store.data_mut().http().table.delete(response)?;
                Ok(response.into_http(store.as_context_mut(), done)?)
            }
            Err(code) => {
                let refusal = store.data_mut().hooks.refusal();
                Err(refused(code.into(), refusal.reason()))
            }
        })
    })
}

/// The component gave an error in place of a response. If it passes on that of a request that it sent, `refusal` is the
/// host's reason for that.
fn refused(error: Error, refusal: Option<String>) -> Unanswered {
    let (kind, status) = match error {
        Error::HttpRequestBodySize(_) => (FaultKind::Error, 413),
        Error::HttpResponseTimeout | Error::ConnectionTimeout | Error::ConnectionReadTimeout => {
            (FaultKind::Timeout, 504)
        }
        Error::InternalError(_) | Error::HttpRequestDenied => (FaultKind::Error, 500),
        _ => (FaultKind::Error, 502),
    };
    let line = match error {
        Error::InternalError(Some(text)) => text,
        error => refusal.unwrap_or_else(|| format!("it gave an error of wasi:http: {error}")),
    };
    Unanswered::Failed(Fault::new(kind, status, one_line(&line)))
}

/// It has returned without a response.
pub(super) fn silent() -> Fault {
    Fault::error(502, "it returned without a response")
}

/// Logs a trap with its backtrace, and gives the fault for everyone who waited.
fn trapped(recipe: &Recipe, guest: &Guest, error: &wasmtime::Error) -> Fault {
    let name = &recipe.name;
    let memory = trap::Memory {
        limit: guest.limits.memory,
        is_exceeded: guest.limits.out_of_memory,
    };
    let trap = Trap::of(error, &memory, |error| gave_up(guest, error));
    let Trap { why, frames, .. } = &trap;
    log::error!(
        target: "valor::wasi", vlugin = name.as_str(), backtrace = frames.as_str();
        "an instance of the vlugin `{name}` trapped: {why}; in {frames}"
    );
    trap.fault()
}

/// Why a program has ended itself, or what it did that cannot be done.
fn gave_up(guest: &Guest, error: &wasmtime::Error) -> String {
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return format!("it ended itself, with the exit code {code}");
    }
    let why = trap::cause(error);
    if let Some(said) = guest::excess(guest, &why) {
        return said;
    }
    // A program that gives up says why there, and then runs into `unreachable`.
    let is_unreachable = error.downcast_ref() == Some(&wasmtime::Trap::UnreachableCodeReached);
    match guest.stderr.last().filter(|_| is_unreachable) {
        Some(last) => format!("{last} ({why})"),
        None => why,
    }
}
