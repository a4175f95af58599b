//! `valor_cli package`: makes a `.vlugin` file from libraries, a module and a component among them, and a crate's
//! Cargo.toml, or from a script.
//!
//! This module gathers the parts; `valor_runtime::package` writes packages, and reads them. A package is only written
//! if every library in it is sound and they all hold the same vlugin. The same input gives the same bytes. The file is
//! written completely or not at all.

mod declared;
#[cfg(feature = "wasm")]
mod precompile;
mod script;

use crate::{
    args::PackageArgs,
    build_sources::{manifest, metadata},
    exit::{FAULTS, Failure},
    faults::{of_command_line, unread},
    output::print,
    programs::Stop,
    sign::{secret_key, sign},
    whole_file::write,
};
use serde_json::Value;
use std::path::{Path, PathBuf};
use valor_runtime::{
    Inspection, PackageInspection,
    loader::{LoadError, NativeError, code, read},
    package::{EXTENSION, Manifest, Package, SCRIPT_TARGET, WASM_TARGET, is_package},
};

/// Writes a package and lists its contents.
///
/// # Errors
/// Everything that prevents writing it.
pub fn package(args: &PackageArgs) -> Result<(), Failure> {
    // Before the work: a wrong key is reported at once.
    let key = args.sign.as_deref().map(secret_key).transpose()?;
    let Parts {
        manifest,
        contents,
        #[cfg(feature = "wasm")]
        compiled,
    } = Parts::of(args)?;
    let file = args
        .output
        .clone()
        .unwrap_or_else(|| format!("{}.{EXTENSION}", manifest.name).into());
    if !is_package(&file) {
        return Err(failed(format!(
            "{} is no name for a package, which is known by its end: give one such as greet.{EXTENSION}",
            file.display()
        )));
    }
    let contents = contents.iter();
    let contents = contents.map(|(target, bytes)| (&**target, &**bytes));
    #[cfg(feature = "wasm")]
    let compiled = compiled.iter().map(precompile::Piece::as_code).collect();
    #[cfg(not(feature = "wasm"))]
    let compiled = Vec::new();
    let bytes = Package::write_compiled(manifest, contents.collect(), compiled).map_err(failed)?;
    let inspection = PackageInspection::of(&file, &bytes).map_err(failed)?;
    inspection.agrees().map_err(failed)?;
    if let Some(key) = &key {
        sign(
            &file,
            &bytes,
            key,
            &format!(
                "{} {}",
                inspection.manifest.name, inspection.manifest.version
            ),
        )?;
    }
    write(&file, &bytes)?;
    print(&format!("{inspection}\n"));
    Ok(())
}

/// What goes into a package.
struct Parts {
    manifest: Manifest,
    /// The bytes of each library or script, with its target.
    contents: Vec<(String, Vec<u8>)>,
    #[cfg(feature = "wasm")]
    compiled: Vec<precompile::Piece>,
}

impl Parts {
    fn of(args: &PackageArgs) -> Result<Self, Failure> {
        #[cfg(feature = "wasm")]
        {
            let mut parts = match precompile::package_among(args)? {
                Some(file) => precompile::opened(file)?,
                None => Self::made(args)?,
            };
            if let Some(targets) = &args.precompile {
                precompile::add(&mut parts, targets)?;
            }
            Ok(parts)
        }
        #[cfg(not(feature = "wasm"))]
        Self::made(args)
    }

    fn made(args: &PackageArgs) -> Result<Self, Failure> {
        let (manifest, contents) = match args.libraries.iter().any(|file| code::is_script(file)) {
            true => {
                let (mut manifest, module) = script::read(args)?;
                let schema = args.config_schema.as_deref();
                manifest.config_schema = schema.map(declared::schema).transpose()?;
                (manifest, vec![(SCRIPT_TARGET.to_owned(), module)])
            }
            false => {
                let libraries = args.libraries.iter().map(|file| Library::read(file));
                let libraries: Vec<_> = libraries.collect::<Result<_, _>>()?;
                let manifest = described(args, &libraries)?;
                let libraries = libraries.into_iter();
                let contents = libraries.map(|it| (it.target, it.bytes));
                (manifest, contents.collect())
            }
        };
        Ok(Self {
            manifest,
            contents,
            #[cfg(feature = "wasm")]
            compiled: Vec::new(),
        })
    }
}

/// A library for a package.
struct Library {
    file: PathBuf,
    bytes: Vec<u8>,
    target: String,
    /// A component has none of it.
    said: Option<Said>,
}

/// What a library says about itself.
struct Said {
    name: String,
    version: String,
    abi: String,
}

impl Library {
    /// Reads a library that some host could load, perhaps not this one.
    fn read(file: &Path) -> Result<Self, Failure> {
        if is_package(file) {
            return Err(failed(format!(
                "{} is a package: give the libraries that go into one, or a script; with `--precompile`, give it \
                 alone",
                file.display()
            )));
        }
        let wanted = "a library, a module, a component or a script";
        let bytes = read(file).map_err(|error| failed(of_command_line(&error, wanted)))?;
        let inspection = Inspection::of(file, &bytes).map_err(|error| match error {
            LoadError::Native {
                error: NativeError::NotALibrary { .. },
                ..
            } => failed(format!(
                "{error}, or a script, whose name ends in .{}",
                code::SCRIPTS.join(", .")
            )),
            error => failed(error),
        })?;
        match &inspection.verdict {
            Ok(()) => {}
            Err(error) if error.is_for_another_host() => {}
            Err(error) if is_allowed_by_limits(error) => {}
            Err(error) => return Err(failed(error)),
        }
        // For a library of another platform, that is all the verdict says.
        let target = inspection.target().ok_or_else(|| LoadError::NoMetadata {
            file: file.to_owned(),
        });
        let target = target.map_err(failed)?.to_owned();
        let metadata = inspection.metadata;
        // In a module, a panic ends an instance.
        if metadata.as_ref().is_some_and(|it| !it.unwinds) && target != WASM_TARGET {
            let file = file.to_owned();
            let error = NativeError::PanicAborts;
            return Err(failed(LoadError::Native { file, error }));
        }
        Ok(Self {
            file: file.to_owned(),
            bytes,
            target,
            said: metadata.map(|it| Said {
                name: it.name,
                version: it.version,
                abi: format!("{}.{}", it.abi_major, it.abi_minor),
            }),
        })
    }

    /// Whether it holds the same vlugin as another one, for another target.
    fn goes_with(&self, first: &Self) -> Result<(), Failure> {
        let (Some(said), Some(of_first)) = (&self.said, &first.said) else {
            return Ok(());
        };
        for (key, mine, other) in [
            ("name", &said.name, &of_first.name),
            ("version", &said.version, &of_first.version),
            ("ABI", &said.abi, &of_first.abi),
        ] {
            if mine != other {
                return Err(failed(format!(
                    "{} is of {key} `{mine}`, but {} of {key} `{other}`: a package holds one vlugin; build both from \
                     the same source",
                    self.file.display(),
                    first.file.display()
                )));
            }
        }
        Ok(())
    }
}

/// Whether a module or a component is refused only for something that its definition may allow: the package does not
/// know the definition.
fn is_allowed_by_limits(error: &LoadError) -> bool {
    #[cfg(feature = "wasm")]
    {
        use valor_runtime::loader::{ComponentError, wasm::GuestError};
        match error {
            LoadError::Guest { error, .. } => {
                return matches!(
                    error,
                    GuestError::TooLarge { .. } | GuestError::Memory { .. }
                );
            }
            LoadError::Component { error, .. } => {
                return matches!(
                    **error,
                    ComponentError::TooLarge { .. } | ComponentError::Memory { .. }
                );
            }
            _ => {}
        }
    }
    let _ = error;
    false
}

fn described(args: &PackageArgs, libraries: &[Library]) -> Result<Manifest, Failure> {
    let first = libraries.iter().find(|it| it.said.is_some());
    let Some(first) = first.or(libraries.first()) else {
        return Err(failed("there is no library to package"));
    };
    for (at, library) in libraries.iter().enumerate() {
        library.goes_with(first)?;
        let twin = libraries[..at]
            .iter()
            .find(|it| it.target == library.target);
        if let Some(twin) = twin {
            return Err(failed(format!(
                "{} and {} are both for {}: give one of them",
                twin.file.display(),
                library.file.display(),
                library.target
            )));
        }
    }
    let source = args.source.as_deref().map(Source::read).transpose()?;
    let mut manifest = match (&first.said, &source) {
        (Some(said), _) => Manifest::new(&said.name, &said.version, &said.abi),
        (None, Some(source)) => Manifest::component(&source.name, &source.version),
        // As a script.
        (None, None) => {
            let stem = first.file.file_stem().unwrap_or_default();
            Manifest::component(stem.to_string_lossy(), "0.0.0")
        }
    };
    let mut schema = args.config_schema.clone();
    if let Some(source) = source {
        source.is_of(first)?;
        let of = format!("`license` in the Cargo.toml of {}", source.folder.display());
        let said = source.license.filter(|_| args.license.is_none());
        manifest.license = said.map(|text| declared::license(&of, &text)).transpose()?;
        schema = schema.or(source.config_schema);
    }
    if let Some(text) = &args.license {
        manifest.license = Some(declared::license("--license", text)?);
    }
    manifest.config_schema = schema.as_deref().map(declared::schema).transpose()?;
    Ok(manifest)
}

/// The facts in a Cargo.toml.
struct Source {
    folder: PathBuf,
    name: String,
    version: String,
    license: Option<String>,
    config_schema: Option<PathBuf>,
}

impl Source {
    fn read(folder: &Path) -> Result<Self, Failure> {
        let shown = folder.display();
        let manifest = manifest(folder).map_err(|error| match error {
            error if error.is_absent() => failed(format!(
                "{shown} has no Cargo.toml: give the folder of the vlugin's crate in --source"
            )),
            error => failed(unread("the Cargo.toml of ", folder, &error)),
        })?;
        // cargo resolves what is inherited from a workspace.
        let metadata = metadata("the source", folder, &manifest, &Stop::default());
        let metadata = metadata.map_err(|fault| failed(fault.line))?;
        let is_it = |path: &Path| path.canonicalize().is_ok_and(|path| path == manifest);
        let mut packages = metadata.packages.into_iter();
        let package = packages
            .find(|package| is_it(package.manifest_path.as_std_path()))
            .ok_or_else(|| {
                failed(format!(
                    "{shown} is a workspace: give the folder of a crate in it in --source"
                ))
            })?;
        let config_schema = match package.metadata.pointer("/valor/config-schema") {
            None => None,
            Some(Value::String(file)) => Some(folder.join(file)),
            Some(_) => {
                return Err(failed(format!(
                    "{shown}: `config-schema` in [package.metadata.valor] is not the name of a file"
                )));
            }
        };
        Ok(Self {
            folder: folder.to_owned(),
            name: package.name.to_string(),
            version: package.version.to_string(),
            license: package.license,
            config_schema,
        })
    }

    /// Whether a library may have been built from it.
    fn is_of(&self, library: &Library) -> Result<(), Failure> {
        let Some(said) = &library.said else {
            return Ok(());
        };
        for (key, mine, of_library) in [
            ("name", &self.name, &said.name),
            ("version", &self.version, &said.version),
        ] {
            if mine != of_library {
                return Err(failed(format!(
                    "{} is of {key} `{of_library}`, but the crate in {} of {key} `{mine}`: build it again",
                    library.file.display(),
                    self.folder.display()
                )));
            }
        }
        Ok(())
    }
}

fn failed(error: impl ToString) -> Failure {
    Failure::new(FAULTS, [error.to_string()])
}
