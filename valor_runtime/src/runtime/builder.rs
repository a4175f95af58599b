//! [`Builder`]: the settings of a [`Runtime`], and how its rooms are put together.

use super::{Runtime, RuntimeError};
use crate::{
    Kind, Kinds, Limits, Vlugin,
    admin::{Readiness, RegistryAccess, Welcome},
    definition::broken_name,
    dispatch::{Asks, ByName, CallTimeouts, Dispatch},
    host::{
        callees::Callees,
        fetch::{FetchConfig, Fetcher},
    },
    loader::{Brought, Loader, Loaders, Settings},
    package::TrustedKeys,
    place::Place,
    registry::{Mount, Origin},
};
use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

/// How long the creation of a vlugin may take, unless the program says otherwise.
const CREATE_TIMEOUT: Duration = Duration::from_secs(30);

/// The runtime's own vlugins, whose names nothing else has.
const OWN: [&str; 4] = ["_health", "_metrics", "_plugins", "_welcome"];

/// What the host offers to `call`.
struct Offer(Place, Arc<dyn Vlugin>);

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The settings of a [`Runtime`].
#[derive(Debug, Default)]
pub struct Builder {
    base_dir: PathBuf,
    plugin_dirs: Vec<PathBuf>,
    library_dirs: Vec<PathBuf>,
    limits: Limits,
    fetch: FetchConfig,
    calls: CallTimeouts,
    access: RegistryAccess,
    welcome: Option<Welcome>,
    trust: Option<TrustedKeys>,
    deno: Option<PathBuf>,
    script_idle: Option<Duration>,
    create_timeout: Option<Duration>,
    scripts_over_tcp: bool,
    brought: Vec<Brought>,
    offered: Vec<Offer>,
}

impl Builder {
    /// The folder that relative paths in definitions start from, which is that of plugins.json. The default is the
    /// current folder.
    pub fn base_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.base_dir = dir.into();
        self
    }

    /// A folder where bare names are looked for. `/_plugins` loads from these folders too. May be called several
    /// times.
    pub fn plugin_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.plugin_dirs.push(dir.into());
        self
    }

    /// A folder of the library path. Bare names of native vlugins are looked for here last, including those that come
    /// through `/_plugins`. Their paths may not lead into it. May be called several times.
    ///
    /// `valor_cli run` calls it with the folders that its user set as `LD_LIBRARY_PATH`. Without it, `/_plugins` loads
    /// only from the folders of [`Builder::plugin_dir`], and the environment's library path serves only plugins.json.
    pub fn library_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.library_dirs.push(dir.into());
        self
    }

    /// The keys that the file of every native, WebAssembly or JavaScript vlugin has to be signed with. If this is not
    /// called, files need no signature.
    ///
    /// Their holders may run machine code in this process: as a library, or as the compiled code that a package can
    /// have beside a module or a component ([`TrustedKeys::compile_all`]).
    pub fn trust(mut self, keys: TrustedKeys) -> Self {
        self.trust = Some(keys);
        self
    }

    /// The limits of vlugins whose definition sets none.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The settings of the HTTP client that all vlugins share.
    pub fn fetch(mut self, config: FetchConfig) -> Self {
        self.fetch = config;
        self
    }

    /// How long the bodies of calls between vlugins may go without progress.
    pub fn call_timeouts(mut self, timeouts: CallTimeouts) -> Self {
        self.calls = timeouts;
        self
    }

    /// The Deno that runs `js` vlugins. If this is not called, it is the one in `VALOR_DENO`, in the nearest
    /// `node_modules/.bin` at or above [`Builder::base_dir`], or on the `PATH`.
    pub fn deno(mut self, program: impl Into<PathBuf>) -> Self {
        let program = program.into();
        // A path is taken from the current folder now, since a vlugin may change that before the first script is
        // loaded. A name alone is looked for on the PATH.
        let is_name = program.components().count() == 1 && !program.is_absolute();
        self.deno = Some(match is_name {
            true => program,
            false => std::path::absolute(&program).unwrap_or(program),
        });
        self
    }

    /// A `js` vlugin whose `start` is `lazy` is stopped after this time without a request. Default: one minute.
    pub fn script_idle(mut self, idle: Duration) -> Self {
        self.script_idle = Some(idle);
        self
    }

    /// How long the creation of a vlugin may take; 30 seconds if this is not called.
    pub fn create_timeout(mut self, limit: Duration) -> Self {
        self.create_timeout = Some(limit);
        self
    }

    /// Speaks with scripts over TCP, as on systems without Unix sockets. For tests.
    #[doc(hidden)]
    pub fn scripts_over_tcp(mut self) -> Self {
        self.scripts_over_tcp = true;
        self
    }

    /// Who may register vlugins through `/_plugins`: nobody, unless this is called.
    pub fn registry(mut self, access: RegistryAccess) -> Self {
        self.access = access;
        self
    }

    /// Mounts the page for people on `/_welcome`, and on `/` for browsers if nothing else is there. Whoever may use
    /// `/_plugins` may see it; without [`Builder::registry`], browsers on this machine.
    pub fn welcome(mut self, welcome: Welcome) -> Self {
        self.welcome = Some(welcome);
        self
    }

    /// Brings a kind of vlugin, and what loads those. Definitions that name it are read with [`Runtime::kinds`], and
    /// what is registered over `/_plugins` may be of it.
    pub fn kind(mut self, kind: Kind, loader: Arc<dyn Loader>) -> Self {
        self.brought.push(Brought { kind, loader });
        self
    }

    /// Offers a vlugin of the program's to those that it loads: under a name that begins with `_`, for `call` alone. No
    /// path leads to it, and only those may call it whose definition has the name in `callees`. Whose request it is it
    /// reads in the header `x-valor-caller`.
    ///
    /// ```
    /// use valor_runtime::{Response, Place, Runtime, from_fn, from_http, http};
    ///
    /// # futures_lite::future::block_on(async {
    /// let count = from_fn(|request| async move {
    ///     let mut response = Response::new(200);
    ///     let caller = request.head.header_str("x-valor-caller").unwrap_or_default();
    ///     response.body = format!("{caller} asks for {}", request.head.target()).into();
    ///     Ok(response)
    /// });
    /// let runtime = Runtime::builder().callee("_count", count).build()?;
    ///
    /// // Nothing from outside gets there.
    /// let req = http::Request::new(http::Method::Get, "http://localhost/_count");
    /// assert_eq!(runtime.handle(req).await.status(), 404);
    /// # Ok::<(), valor_runtime::RuntimeError>(())
    /// # }).unwrap();
    /// ```
    pub fn callee(mut self, place: impl Into<Place>, vlugin: Arc<dyn Vlugin>) -> Self {
        self.offered.push(Offer(place.into(), vlugin));
        self
    }

    /// Builds the runtime, with its own vlugins mounted.
    ///
    /// # Errors
    /// [`RuntimeError::Fetch`], [`RuntimeError::Kind`] and [`RuntimeError::Offer`].
    pub fn build(self) -> Result<Arc<Runtime>, RuntimeError> {
        let mut brought = self.brought.iter();
        let kinds = brought.try_fold(Kinds::default(), |kinds, it| kinds.with(it.kind))?;
        let offered = offers(self.offered, &self.limits)?;
        let names: Vec<_> = offered.iter().map(|it| it.name.to_string()).collect();
        let dispatch = Arc::new(Dispatch {
            call_timeouts: self.calls,
            offered,
            owns_authorization: owns_authorization(&self.access),
            ..Dispatch::default()
        });
        let settings = Settings {
            base_dir: self.base_dir,
            plugin_dirs: self.plugin_dirs,
            library_dirs: self.library_dirs,
            trust: self.trust,
            create_timeout: self.create_timeout.unwrap_or(CREATE_TIMEOUT),
            deno: self.deno,
            script_idle: self.script_idle,
            scripts_over_tcp: self.scripts_over_tcp,
            metrics: dispatch.metrics.clone(),
        };
        let runtime = Arc::new(Runtime {
            callees: Callees::new(Arc::new(ByName(Arc::downgrade(&dispatch))), names),
            fetcher: Arc::new(Fetcher::new(self.fetch)?),
            loaders: Loaders::new(&settings, self.brought),
            kinds,
            limits: self.limits,
            readiness: Readiness::default(),
            fault: std::sync::Mutex::default(),
            dispatch,
        });
        runtime.mount_own(&self.access)?;
        if let Some(welcome) = self.welcome {
            runtime.mount_welcome(self.access, welcome)?;
        }
        Ok(runtime)
    }
}

/// What the host offers, each under a name that it can have.
fn offers(offers: Vec<Offer>, limits: &Limits) -> Result<Vec<Arc<Mount>>, RuntimeError> {
    let mut offered: Vec<Arc<Mount>> = Vec::new();
    for Offer(place, vlugin) in offers {
        let name = place.name.clone();
        let reason = match name.strip_prefix('_') {
            None => Some("it begins with `_`, as no vlugin's does".to_owned()),
            Some(_) if OWN.contains(&&*name) => Some("the runtime itself has that name".into()),
            Some(_) if offered.iter().any(|it| *it.name == *name) => {
                Some("another one has it already".into())
            }
            Some(rest) => broken_name(rest),
        };
        if let Some(reason) = reason {
            return Err(RuntimeError::Offer { name, reason });
        }
        let mount = place.mount(vlugin, Origin::default(), limits);
        offered.push(Arc::new(mount));
    }
    Ok(offered)
}

/// What keeps the registry's token from vlugins.
fn owns_authorization(access: &RegistryAccess) -> Option<Asks> {
    let RegistryAccess::Token(_) = access else {
        return None;
    };
    let access = access.clone();
    Some(Box::new(move |head| access.is_in(head)))
}
