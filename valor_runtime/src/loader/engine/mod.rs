//! What every WebAssembly guest needs, whatever boundary it has: the one engine of this process, its ticks, the time
//! of a call, compiling within limits, and the cache of what was compiled.
//!
//! The loaders of modules and of components stand on this room, which knows neither.
//!
//! - Before any code runs, `sound` names what guests may not use, and `size` and `flow` what is too much to compile.
//!   `compile` compiles the same bytes once, `patience` limits how long that may take, and `cache` holds what was
//!   compiled before. `judged` remembers which files have passed. `precompiled` makes code for packages, and takes what
//!   a trusted package brings.
//! - `config` makes the engine. `ticks` counts its time while guests run, and `clock` measures the time of a call.
//! - `trap` words what ended a guest, and `full` answers for a vlugin that the host holds too much for already.

#![cfg(feature = "wasm")]

mod cache;
pub(super) mod clock;
mod compile;
mod config;
mod flow;
mod full;
pub(super) mod judged;
pub(super) mod patience;
mod precompiled;
pub(super) mod size;
pub(super) mod sound;
mod ticks;
pub(super) mod trap;

pub(super) use compile::{Compilations, Compiled, Stage, past_the_cache};
pub use config::keeps_code;
pub(super) use config::{engine, no_instance};
pub(super) use full::full;
pub(super) use precompiled::Precompiled;
pub use precompiled::{PrecompileError, compiler, precompile};
pub(super) use ticks::Running;
