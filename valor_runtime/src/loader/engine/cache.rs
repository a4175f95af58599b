//! The cache of compiled modules: a folder of machine code that wasmtime runs as it finds it.
//!
//! `engine` opens it once. Since that code runs unchecked, nobody else may look into the folder or write to it, nobody
//! else may write to the folders above it, and nothing in it may belong to another user. Otherwise there is no cache:
//! each start compiles them again, and a line of the log says why. On Windows it is wasmtime's own cache, in the user's
//! folder.

use wasmtime::{Cache, CacheConfig};

/// The cache, if there can be one.
pub(super) fn open() -> Option<Cache> {
    let opened = config().and_then(|config| Ok(Cache::new(config)?));
    match opened {
        Ok(cache) => Some(cache),
        Err(NoCache::Unsafe(reason)) => {
            log::warn!(target: "valor::wasm", "{reason}");
            None
        }
        Err(NoCache::Impossible(error)) => {
            log::debug!(target: "valor::wasm", "compiled modules are not kept: {error:#}");
            None
        }
    }
}

enum NoCache {
    #[cfg_attr(not(unix), expect(dead_code, reason = "nothing is looked at"))]
    Unsafe(String),
    /// The user has no home, or may not write there.
    Impossible(wasmtime::Error),
}

impl From<wasmtime::Error> for NoCache {
    fn from(error: wasmtime::Error) -> Self {
        Self::Impossible(error)
    }
}

#[cfg(not(unix))]
fn config() -> Result<CacheConfig, NoCache> {
    Ok(CacheConfig::new())
}

#[cfg(unix)]
fn config() -> Result<CacheConfig, NoCache> {
    let base = base().ok_or_else(|| wasmtime::format_err!("there is no home"))?;
    config_in(&base)
}

/// The folder for what Valor keeps from one start to the next, if it may be trusted as the cache's is.
pub(super) fn folder(name: &str) -> Option<std::path::PathBuf> {
    #[cfg(unix)]
    {
        let folder = base()?.join("valor").join(name);
        crate::private_dir::make_private(&folder).ok()?;
        Some(folder)
    }
    #[cfg(not(unix))]
    {
        let _ = name;
        None
    }
}

/// The user's folder for caches.
#[cfg(unix)]
fn base() -> Option<std::path::PathBuf> {
    use std::{env, path::PathBuf};
    let named = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let below_home = match cfg!(target_vendor = "apple") {
        true => "Library/Caches",
        false => ".cache",
    };
    named
        .filter(|it| it.is_absolute())
        .or_else(|| Some(env::home_dir()?.join(below_home)))
        .filter(|it| it.is_absolute())
}

#[cfg(unix)]
fn config_in(base: &std::path::Path) -> Result<CacheConfig, NoCache> {
    use crate::private_dir::{NotPrivate, make_private};
    let folder = base.join("valor/modules");
    make_private(&folder).map_err(|error| match error {
        NotPrivate::System(error) => NoCache::Impossible(error.into()),
        NotPrivate::Untrusted(reason) => NoCache::Unsafe(format!(
            "compiled modules are not kept, and each start compiles them again: others could put code into {}: \
             {reason}, and remove {} with what they may have put there; or set XDG_CACHE_HOME to a folder of your own",
            folder.display(),
            folder.display()
        )),
    })?;
    let mut config = CacheConfig::new();
    config.with_directory(folder);
    Ok(config)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::private_dir::PrivateDir;
    use std::{
        fs,
        os::unix::fs::{MetadataExt, PermissionsExt},
        path::Path,
    };

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn refused(base: &Path) -> String {
        match config_in(base) {
            Ok(_) => panic!("there is a cache"),
            Err(NoCache::Impossible(error)) => panic!("{error}"),
            Err(NoCache::Unsafe(reason)) => reason,
        }
    }

    fn is_used(base: &Path) {
        assert!(config_in(base).is_ok());
    }

    #[test]
    fn machine_code_of_others_is_not_run() {
        let dir = PrivateDir::create("valor-test-").unwrap();
        let base = dir.path().join("cache");
        fs::create_dir(&base).unwrap();
        chmod(&base, 0o755);
        is_used(&base);
        let folder = base.join("valor/modules");
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!((mode(&folder), mode(&base.join("valor"))), (0o700, 0o700));

        // Anyone who may write to a folder on the way could put another one there.
        for at in [&base, &base.join("valor"), &folder] {
            let before = mode(at);
            chmod(at, 0o777);
            let said = refused(&base);
            let names = format!("{} may be written to by everybody", at.display());
            assert!(
                said.contains(&names) && said.contains("chmod go-w"),
                "{said}"
            );
            chmod(at, before);
        }
        // Not even with the sticky bit.
        chmod(&folder, 0o1777);
        assert!(refused(&base).contains("may be written to by everybody"));
        chmod(&folder, 0o700);
        is_used(&base);

        // A loose umask lets others at what wasmtime writes. A closed folder keeps them out, an open one does not.
        let file = folder.join("modules/wasmtime/code");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        chmod(&file, 0o666);
        is_used(&base);
        chmod(&folder, 0o755);
        assert!(refused(&base).contains(&file.display().to_string()));
        chmod(&file, 0o644);
        is_used(&base);
        assert_eq!(mode(&folder), 0o700);

        // Only root can act as another user.
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&file, Some(1), None).unwrap();
            let said = refused(&base);
            assert!(said.contains("belongs to the user 1"), "{said}");
        }
    }
}
