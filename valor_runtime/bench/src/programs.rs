//! Servers that are separate programs on this machine: nginx, `wasmtime serve`, `deno serve`, workerd and Node.
//! [`find`] looks for one, and [`arm`] prepares the command that runs it.

use crate::{
    subject::{BLOB, HELLO, Server},
    valor,
};
use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// The program of a server, if it has one.
pub fn name(server: Server) -> Option<&'static str> {
    match server {
        Server::Nginx => Some("nginx"),
        Server::WasmtimeServe => Some("wasmtime"),
        Server::DenoServe | Server::ValorJs => Some("deno"),
        Server::Workerd => Some("workerd"),
        Server::Node => Some("node"),
        _ => None,
    }
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

/// Makes a program serve on a port, with its files in a folder.
///
/// # Errors
/// If the files cannot be written, or if what it serves does not build.
pub fn arm(
    command: &mut Command,
    server: Server,
    threads: usize,
    port: u16,
    folder: &Path,
) -> io::Result<()> {
    match server {
        Server::Nginx => nginx(command, threads, port, folder),
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

fn nginx(command: &mut Command, threads: usize, port: u16, folder: &Path) -> io::Result<()> {
    fs::write(folder.join("blob"), BLOB)?;
    let at = folder.display();
    let config = format!(
        "daemon off; pid {at}/pid; error_log {at}/error.log;\n\
         worker_processes {threads};\n\
         events {{ worker_connections 8192; }}\n\
         http {{\n\
         access_log off; sendfile on; keepalive_requests 1000000000; default_type text/plain;\n\
         client_body_temp_path {at}; proxy_temp_path {at}; fastcgi_temp_path {at};\n\
         uwsgi_temp_path {at}; scgi_temp_path {at};\n\
         server {{ listen 127.0.0.1:{port}; root {at}; location = /hello {{ return 200 '{HELLO}'; }} }}\n\
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
