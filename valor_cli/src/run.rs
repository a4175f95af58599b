//! `valor_cli run`: from plugins.json to a server, until a signal ends it.
//!
//! The addresses are bound before the vlugins are created, so that a second instance on the same address ends before it
//! has done anything. Clients wait until the vlugins are there.

use crate::{
    args::{LogFormat, RunArgs, TlsArgs},
    exit::{CANNOT_BIND, FAULTS, Failure, NO_TOKEN, USAGE},
    faults::{no_folder, no_token},
    library_path,
    load::Vlugins,
    log_writer::LogWriter,
    logging,
    output::{print_line, unwritten},
    plugins_file::{NOT_AGAIN, PluginsFile},
    programs::Stop,
    reload::{self, Reload},
    rows::{own_rows, show},
    sign, signals,
    table::Row,
    watch::{Wanted, Watch},
};
use futures_lite::future;
use smol::channel::Receiver;
use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};
use valor_runtime::{
    CallTimeouts, RegistryAccess, Runtime, Token, Welcome,
    file::{Readers, SECRET, read_given_text, warn_of_readers},
    host::fetch::FetchConfig,
    raise_descriptor_limit,
    server::{Listen, Server, ServerConfig, ServerError, Tls},
};

/// How many ports `dev` looks at.
const PORTS: u16 = 20;

/// Serves until a signal comes and running requests have finished.
///
/// # Errors
/// Everything that prevents serving.
pub fn run(args: &RunArgs, log: &LogWriter) -> Result<(), Failure> {
    check_socket(args)?;
    if let Some(line) = no_folder(&args.find.plugin_dir) {
        return Err(Failure::fault(line));
    }
    let access = access(args)?;
    let tls = tls(&args.tls)?;
    let trust = sign::trusted(&args.trust)?;
    let file = match &args.plugins {
        // Vlugins are registered later then.
        None if args.with_registry && PluginsFile::is_absent() => None,
        file => Some(PluginsFile::of(
            file.as_deref(),
            "name one with -p, or start with none with -w",
        )?),
    };
    let builds = Stop::default();
    let again = file.as_ref().and_then(PluginsFile::again);
    let mut watch = match (args.watch, again) {
        (false, _) => None,
        (true, Some(file)) => Some(
            Watch::start(file, &args.find.plugin_dir, watched(args, &builds))
                .map_err(not_watched)?,
        ),
        (true, None) => {
            return Err(Failure::new(USAGE, [NOT_AGAIN.to_owned()]));
        }
    };
    // Before the first library, script or socket.
    raise_descriptor_limit();
    let vlugins = Vlugins::read(file.clone(), args.build.is_wanted());
    let builder = Runtime::builder()
        .base_dir(vlugins.base())
        .limits(args.limits.limits())
        .fetch(FetchConfig {
            max_headers: args.server.max_headers,
            ..FetchConfig::default()
        })
        .call_timeouts(CallTimeouts {
            send: args.server.body_timeout,
            take: args.server.write_timeout,
        })
        .registry(access);
    let mut builder = args.find.tell(builder);
    for dir in library_path::set_by_user() {
        builder = builder.library_dir(dir);
    }
    if let Some(keys) = trust {
        builder = builder.trust(keys);
    }
    let welcome = args.welcome.then(Welcome::default);
    if let Some(welcome) = &welcome {
        logging::show_on(welcome.clone());
        builder = builder.welcome(welcome.clone());
    }
    let runtime = builder.build().map_err(failed)?;
    let as_read = vlugins.clone();
    if let Some(watch) = &mut watch {
        watch.look_at(&vlugins.as_read(), &runtime);
        log::info!(
            target: "valor::watch",
            "plugins.json and the files that it names are watched, and each change is applied"
        );
    }
    let file = file.filter(|file| file.again().is_some());
    let again = file.as_ref().map(|_| reload::channel());
    let ask = again.as_ref().map(|(ask, _)| ask.clone());
    let stop = signals::listen(log.clone(), tls.clone(), ask, builds.clone()).map_err(failed)?;
    let stop = async move {
        stop.await;
        // The server waits for whatever is still open.
        if let Some(welcome) = welcome {
            welcome.end();
        }
    };
    let reads = Reads {
        file: file.zip(again.map(|(_, asked)| asked)),
        as_read,
        watch,
        builds,
    };
    smol::block_on(serve(args, log, vlugins, reads, runtime, tls, stop))
}

fn stopped_early() {
    log::info!(target: "valor", "stopped before anything was served, and ended");
}

/// What is read again while the server runs.
struct Reads {
    /// The file, and the option that asks for it.
    file: Option<(PluginsFile, Receiver<()>)>,
    as_read: Vlugins,
    watch: Option<Watch>,
    builds: Stop,
}

async fn serve(
    args: &RunArgs,
    log: &LogWriter,
    mut vlugins: Vlugins,
    Reads {
        file,
        as_read,
        watch,
        builds,
    }: Reads,
    runtime: Arc<Runtime>,
    tls: Option<Tls>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Failure> {
    let mut server = bind(args).await.map_err(|error| match error {
        ServerError::Bind { .. } => Failure::new(CANNOT_BIND, [error.to_string()]),
        error => failed(error),
    })?;
    // A port that is taken is said at once, and whoever comes meanwhile waits.
    vlugins.build(&args.build, &args.log, log, &builds);
    if builds.is_stopped() {
        stopped_early();
        return Ok(());
    }
    let mut stop = Box::pin(stop);
    let loaded = async {
        vlugins.load(&runtime).await;
        true
    };
    let stopped = async {
        stop.as_mut().await;
        false
    };
    if !future::or(loaded, stopped).await {
        stopped_early();
        return Ok(());
    }
    if let Err(faults) = vlugins.faults() {
        let may_be_empty = args.with_registry || args.dev.is_some();
        if !args.keep_going || vlugins.is_empty() && !may_be_empty {
            return Err(faults);
        }
        faults.log();
    }
    vlugins.mount_missing(&runtime).map_err(failed)?;
    vlugins.mount_faulty(&runtime);

    if let Some((file, asked)) = file {
        let reload = Reload {
            file,
            build: args.build.clone(),
            log: args.log.clone(),
            writer: log.clone(),
            runtime: runtime.clone(),
            vlugins: as_read,
            served: vlugins.all(),
            stop: builds,
        };
        reload.listen(asked, watch).map_err(failed)?;
    }
    if let Some(tls) = tls {
        server = server.tls(tls);
    }
    runtime.set_ready(true);
    let mut rows = vlugins.rows(&runtime);
    rows.extend(own_rows(&runtime));
    announce(args, log, &rows, &server.local_addrs());
    server
        .run(runtime, args.workers, stop)
        .await
        .map_err(failed)?;
    log::info!(target: "valor", "drained, and ended");
    Ok(())
}

/// Binds the addresses; for `dev`, one with the next port that is free.
async fn bind(args: &RunArgs) -> Result<Server, ServerError> {
    let first = Server::bind(&args.addr, config(args)).await;
    let any_port = args.dev.as_ref().is_some_and(|dev| dev.any_port);
    let (Err(ServerError::Bind { source, .. }), [Listen::Tcp(taken)], true) =
        (&first, &args.addr[..], any_port)
    else {
        return first;
    };
    if source.kind() != ErrorKind::AddrInUse {
        return first;
    }
    // The last one is any port that the system has.
    for port in (taken.port() + 1..taken.port() + PORTS).chain([0]) {
        let next = Listen::Tcp(SocketAddr::new(taken.ip(), port));
        match Server::bind(&[next], config(args)).await {
            Err(ServerError::Bind { source, .. }) if source.kind() == ErrorKind::AddrInUse => {}
            bound => {
                log::warn!(
                    target: "valor",
                    "{taken} is taken by another program, so this one serves on the next free port"
                );
                return bound;
            }
        }
    }
    first
}

fn watched(args: &RunArgs, builds: &Stop) -> Wanted {
    Wanted {
        build: args.build.is_wanted(),
        signed: !args.trust.trust.is_empty(),
        copies_into: None,
        stop: builds.clone(),
    }
}

pub fn not_watched(error: notify::Error) -> Failure {
    failed(format!(
        "the system does not report changes, which --watch needs: {error}; without it, SIGHUP reloads"
    ))
}

fn failed(error: impl ToString) -> Failure {
    Failure::new(FAULTS, [error.to_string()])
}

fn config(args: &RunArgs) -> ServerConfig {
    let trusted_proxies = args.trusted_proxy.clone();
    let socket = args.socket.access();
    let args = &args.server;
    let size = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
    // No field has a hidden default: every limit has its option.
    ServerConfig {
        trusted_proxies,
        socket,
        head_timeout: args.head_timeout,
        body_timeout: args.body_timeout,
        write_timeout: args.write_timeout,
        idle_timeout: args.idle_timeout,
        upgraded_timeout: args.upgraded_timeout,
        drain: args.drain,
        linger: args.linger,
        max_head: size(args.max_head),
        max_headers: args.max_headers,
        max_target: size(args.max_target),
        max_connections: args.max_connections,
    }
}

/// Refuses options for Unix sockets if there is none: a user who gives one believes that it protects something.
fn check_socket(args: &RunArgs) -> Result<(), Failure> {
    let is_unix = |addr: &Listen| !matches!(addr, Listen::Tcp(_));
    match args.socket.given() {
        Some(option) if !args.addr.iter().any(is_unix) => {
            let line = format!(
                "{option} is for Unix sockets, and no --addr is one: add `--addr unix:PATH`, or leave {option} out"
            );
            Err(Failure::new(USAGE, [line]))
        }
        _ => Ok(()),
    }
}

fn tls(args: &TlsArgs) -> Result<Option<Tls>, Failure> {
    match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => Tls::load(certificate, key).map(Some).map_err(failed),
        _ => Ok(None),
    }
}

fn access(args: &RunArgs) -> Result<RegistryAccess, Failure> {
    if !args.with_registry {
        if args.welcome {
            warn_of_proxies(
                args,
                "/_welcome",
                "leave --welcome out, or give -w and a --registry-token-file",
            );
        }
        return Ok(RegistryAccess::Off);
    }
    let granted = library_path::set_by_user();
    if !granted.is_empty() {
        let folders: Vec<_> = granted
            .iter()
            .map(|dir| dir.display().to_string())
            .collect();
        log::info!(
            target: "valor",
            "/_plugins also loads native vlugins by their bare names from the folders of {}: {}",
            library_path::VARIABLE, folders.join(", ")
        );
    } else if args.find.plugin_dir.is_empty() {
        log::warn!(
            target: "valor",
            "without --plugin-dir there is no folder that /_plugins may load from: it will refuse every library"
        );
    }
    let Some(file) = &args.registry_token_file else {
        warn_of_proxies(args, "/_plugins", "give a --registry-token-file");
        return Ok(RegistryAccess::Loopback);
    };
    let text = read_given_text(file, SECRET).map_err(|error| failed(no_token(file, &error)))?;
    warn_of_readers(file, "the registry's token", Readers::Owner);
    let token =
        Token::new(&text).ok_or_else(|| failed(format!("{}: {NO_TOKEN}", file.display())))?;
    Ok(RegistryAccess::Token(token))
}

/// Warns if an address is open to others, and `what` only to this machine.
fn warn_of_proxies(args: &RunArgs, what: &str, remedy: &str) {
    let public = |addr: &&Listen| matches!(addr, Listen::Tcp(addr) if !addr.ip().is_loopback());
    if let Some(addr) = args.addr.iter().find(public) {
        log::warn!(
            target: "valor",
            "{what} only answers programs on this machine, but {addr} is open to others: \
             a proxy on this machine would let others in; {remedy}"
        );
    }
}

/// Says what is served where: for people, or as records.
fn announce(args: &RunArgs, log: &LogWriter, rows: &[Row], addrs: &[Listen]) {
    show(rows, &args.log, log);
    let scheme = args.tls.tls_cert.as_ref().map_or("http", |_| "https");
    let is_text = args.log.log_format == LogFormat::Text && !args.log.quiet;
    if let Some(addr) = addrs.iter().find_map(page_addr)
        && args.welcome
        && is_text
    {
        print_line(format_args!(
            "the page for people is at {scheme}://{addr}/_welcome"
        ));
    }
    for addr in addrs {
        match (args.log.log_format, addr) {
            (LogFormat::Json, _) => {
                log::info!(target: "valor", addr = addr.to_string().as_str(); "listening");
            }
            (LogFormat::Text, _) if args.log.quiet => {}
            (LogFormat::Text, Listen::Tcp(addr)) => {
                print_line(format_args!("listening on {scheme}://{addr}"));
            }
            (LogFormat::Text, _) => print_line(format_args!("listening on {addr}")),
        }
    }
    warn_unwritten();
}

/// Where a browser on this machine finds the page: it is answered at loopback addresses only.
fn page_addr(addr: &Listen) -> Option<SocketAddr> {
    let Listen::Tcp(addr) = addr else {
        return None;
    };
    let mut addr = *addr;
    match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => addr.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => addr.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    addr.ip().is_loopback().then_some(addr)
}

/// A server does not depend on its output: it serves anyway.
pub fn warn_unwritten() {
    if let Some(line) = unwritten() {
        log::warn!(target: "valor", "{line}");
    }
}
