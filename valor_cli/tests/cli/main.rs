//! Conversations with the program itself: its arguments, its output, its answers over a socket, and its exit code.

#[cfg(feature = "wasm")]
mod axum;
#[cfg(target_os = "linux")]
mod broken_streams;
#[cfg(feature = "wasm")]
mod build_command;
mod building;
mod checking;
#[cfg(feature = "wasm")]
mod components;
mod developing;
#[cfg(target_os = "linux")]
mod doctoring;
#[cfg(unix)]
mod ending_programs;
mod escaping;
mod granting;
#[cfg(target_os = "linux")]
mod lacking;
#[cfg(target_os = "linux")]
mod library_path;
mod manual;
mod newing;
mod packaging;
#[cfg(feature = "wasm")]
mod packaging_components;
#[cfg(all(target_os = "linux", feature = "wasm"))]
mod packaging_scripts;
#[cfg(unix)]
mod pipes;
mod plugins;
mod plugins_file;
#[cfg(feature = "wasm")]
mod precompiling;
mod recovering;
mod reloading;
mod running;
#[cfg(target_os = "linux")]
mod scripting;
mod signing;
mod support;
mod unwritten;
mod versions;
mod watching;
#[cfg(target_os = "linux")]
mod watching_scripts;
mod watching_sources;
#[cfg(all(target_os = "linux", feature = "wasm"))]
mod web_alike;
#[cfg(all(target_os = "linux", feature = "wasm"))]
mod web_imports;
#[cfg(all(target_os = "linux", feature = "wasm"))]
mod web_judged;
#[cfg(feature = "wasm")]
mod web_scripts;
#[cfg(feature = "wasm")]
mod webbing;
