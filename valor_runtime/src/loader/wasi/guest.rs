//! What the host keeps for one instance of a component: the data of its store, with the limits of the instance.
//!
//! `driver` makes a store for each instance, and `imports` reaches the parts of a [`Guest`]. What a guest may hold of
//! the host's is bounded here: its memory, its handles, and the bodies that it writes.

use super::{outgoing::Hooks, output::Output, recipe::Recipe};
use crate::{
    account::Account,
    loader::{
        engine::clock::{Clock, give_turns},
        guest_error::TABLES,
    },
};
use std::{
    sync::{Arc, Weak},
    time::Instant,
};
use wasmtime::{Engine, ResourceLimiter, Store, component::ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView, filesystem::Descriptor};
use wasmtime_wasi_config::WasiConfigVariables;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// About how much of the host's memory one handle of a guest may take: headers are the largest of what it has handles
/// of.
const HANDLE: u64 = 32 << 10;

/// A guest may always have this many handles.
const HANDLES: u64 = 256;

/// How many handles the parts of a component may have of each other's things, and of the host's.
const PASSED_ON: usize = 100_000;

/// The most random bytes that a guest gets at once.
const RANDOM: u64 = 1 << 20;

/// How many files and folders an instance may have open.
const OPEN: usize = 64;

/// The data of an instance's store.
pub(super) struct Guest {
    pub table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    pub hooks: Hooks,
    pub config: Arc<WasiConfigVariables>,
    pub stderr: Output,
    pub opened: Opened,
    pub account: Account,
    pub limits: Limits,
    /// When the instance began: its monotonic clock counts from here.
    pub begun: Instant,
}

/// What an instance may use, and whether it asked for more.
pub(super) struct Limits {
    /// Bytes of all its memories together.
    pub memory: usize,
    held: usize,
    grown: usize,
    /// The time of the running call.
    pub clock: Clock,
    pub out_of_memory: bool,
}

impl ResourceLimiter for Limits {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.grown = desired.saturating_sub(current);
        let held = self.held.saturating_add(self.grown);
        let fits = held <= self.memory;
        self.out_of_memory |= !fits;
        if fits {
            self.held = held;
        }
        Ok(fits)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.held = self.held.saturating_sub(self.grown);
        Ok(())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLES.1)
    }
}

/// The files and folders that an instance has open.
#[derive(Default)]
pub(super) struct Opened(Vec<Weak<std::fs::File>>);

impl Opened {
    /// Whether there may be one more.
    pub fn has_room(&mut self) -> bool {
        self.0.retain(|file| file.strong_count() > 0);
        self.0.len() < OPEN
    }

    pub fn add(&mut self, descriptor: &Descriptor) {
        self.0.push(Arc::downgrade(match descriptor {
            Descriptor::File(file) => &file.file,
            Descriptor::Dir(dir) => &dir.dir,
        }));
    }
}

impl Guest {
    /// The store of an instance.
    pub fn store(engine: &Engine, recipe: &Recipe, account: Account) -> Store<Self> {
        let host = &recipe.host;
        let output = |level| Output::new(host.clone(), level);
        let stderr = output(log::Level::Warn);
        let mut wasi = WasiCtx::builder();
        wasi.envs(&recipe.environment)
            .stdout(output(log::Level::Info))
            .stderr(stderr.clone())
            .max_random_size(RANDOM);
        let mut wasi = wasi.build();
        if let Some(files) = &recipe.files {
            *wasi.filesystem() = files.clone();
        }
        let mut table = ResourceTable::new();
        let handles = (account.limit() / HANDLE).max(HANDLES);
        table.set_max_capacity(usize::try_from(handles).unwrap_or(usize::MAX));
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(HANDLE as usize);
        let guest = Self {
            table,
            wasi,
            opened: Opened::default(),
            http,
            hooks: Hooks::new(recipe, account.clone()),
            config: recipe.config.clone(),
            stderr,
            account,
            limits: Limits {
                memory: recipe.memory,
                held: 0,
                grown: 0,
                clock: Clock::new(recipe.cpu),
                out_of_memory: false,
            },
            begun: Instant::now(),
        };
        let mut store = Store::new(engine, guest);
        store.limiter(|guest| &mut guest.limits);
        store.set_max_component_handles(PASSED_ON);
        give_turns(&mut store, |guest| &mut guest.limits.clock);
        store.set_epoch_deadline(1);
        store
    }
}

/// What a guest wanted too much of, in the words of its author, for a trap that wasmtime words for its embedders.
pub(super) fn excess(guest: &Guest, trap: &str) -> Option<String> {
    let said = [
        (
            "resource table has no free keys",
            format!(
                "it wanted more than {} handles of the host's at once, which is what `limits.host_memory` allows: drop \
                 those that it no longer needs, or raise that",
                guest.table.max_capacity()
            ),
        ),
        (
            "store handle limit exceeded",
            format!("it wanted more than {PASSED_ON} handles at once: drop those that it no longer needs"),
        ),
        (
            "total size of fields exceeds limit",
            format!("it put more than {HANDLE} bytes of headers into one message: send them as a body"),
        ),
        (
            "write exceeded budget",
            "it wrote more to a body at once than `check-write` allowed: write as much as that says".to_owned(),
        ),
    ];
    let mut said = said.into_iter();
    said.find_map(|(part, said)| trap.contains(part).then_some(said))
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.hooks,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}
