//! `valor_cli keygen`, `package --sign` and `valor_cli verify`: minisign's keys and signatures.
//!
//! Signing needs a secret key and is not a host's task, so it is here. Verifying is in `valor_runtime::package`,
//! because `--trust` needs it too. Both formats are minisign's: each program reads what the other writes.

use crate::{
    args::{KeygenArgs, TrustArgs, VerifyArgs},
    exit::{FAULTS, Failure, USAGE},
    faults::{of_command_line, unread},
    output::{print_line, print_warning},
    remedies,
    whole_file::{unwritten, write},
};
use ct_codecs::{Base64, Decoder};
use minisign::{KeyPair, PublicKey, PublicKeyBox, SecretKey, SecretKeyBox};
use std::{
    fs::OpenOptions,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
};
use valor_runtime::{
    PackageInspection,
    file::{Readers, SECRET, read_given_text, strange_readers},
    loader::{LoadError, read},
    package::{SignatureError, TrustedKeys, is_package, signature_of},
};

/// Writes a new key pair; neither file may exist yet.
///
/// # Errors
/// If one cannot be written.
pub fn keygen(args: &KeygenArgs) -> Result<(), Failure> {
    if args.key == Path::new("-") {
        let line =
            "`-` stands for no file, and a pair of keys is two: give a name, such as alice.key";
        return Err(Failure::new(USAGE, [line.to_owned()]));
    }
    let pair = KeyPair::generate_unencrypted_keypair();
    let pair = pair.map_err(|error| failed(format!("no key can be made: {error}")))?;
    let public = pair.pk.to_box().map_err(failed)?.into_string();
    let secret = pair
        .sk
        .to_box(Some("minisign secret key"))
        .map_err(failed)?
        .into_string();
    let mut public_file = args.key.clone().into_os_string();
    public_file.push(".pub");
    let public_file = PathBuf::from(public_file);
    if public_file.exists() {
        return Err(exists(&public_file));
    }
    write_secret(&args.key, &secret)?;
    write(&public_file, public.as_bytes())?;
    print_line(format_args!("wrote {}: keep it secret", args.key.display()));
    print_line(format_args!(
        "wrote {}: give it to everyone who should trust you",
        public_file.display()
    ));
    Ok(())
}

fn exists(file: &Path) -> Failure {
    failed(format!(
        "{} already exists: a key is never overwritten; give another name",
        file.display()
    ))
}

/// Writes a file that nobody else may read.
fn write_secret(file: &Path, text: &str) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    // On Windows, the folder decides who may read the files in it.
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut opened = options.open(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => exists(file),
        _ => unwritten(file, &error),
    })?;
    opened
        .write_all(text.as_bytes())
        .map_err(|error| unwritten(file, &error))
}

/// A secret key; if it has a password, that is asked for on the terminal.
///
/// # Errors
/// If it is not a secret key, or the password is wrong.
pub fn secret_key(file: &Path) -> Result<SecretKey, Failure> {
    let shown = file.display();
    let text =
        read_given_text(file, SECRET).map_err(|error| failed(unread("the key ", file, &error)))?;
    if let Ok(public) = PublicKeyBox::from_string(&text)
        && public.into_public_key().is_ok()
    {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let secret = match name.strip_suffix(".pub") {
            Some(name) => format!(", such as {}", file.with_file_name(name).display()),
            None => String::new(),
        };
        return Err(failed(format!(
            "{shown} is a public key, and signing takes the secret one: give the file that was written beside \
             it{secret}"
        )));
    }
    if let Some(line) = strange_readers(file, "the secret key", Readers::Owner) {
        print_warning(&line);
    }
    let key = || SecretKeyBox::from_string(&text);
    let unusable = |error: minisign::PError| {
        let error = error.to_string().escape_debug().to_string();
        failed(format!(
            "{shown} cannot be used as a secret key: {error}; give one of `valor_cli keygen` or \
             `minisign -G`, and one with a password at a terminal"
        ))
    };
    if let Some(key) = without_checksum(&text) {
        return Ok(key);
    }
    match key().and_then(SecretKeyBox::into_unencrypted_secret_key) {
        Ok(key) => Ok(key),
        Err(_) if std::io::stdin().is_terminal() => key()
            .and_then(|key| key.into_secret_key(None))
            .map_err(unusable),
        Err(error) => Err(unusable(error)),
    }
}

/// A key as `minisign -G -W` writes it: without a password, and with zeros as its checksum, which the crate would
/// report as damage. Real damage shows when the first signature is verified.
fn without_checksum(text: &str) -> Option<SecretKey> {
    let bytes = Base64::decode_to_vec(text.lines().nth(1)?.trim(), None).ok()?;
    // Two letters for the signature's algorithm come before those for the password's.
    let no_password = bytes.get(2..4)? == [0, 0];
    let checksum = bytes.get(bytes.len().checked_sub(32)?..)?;
    let without = no_password && checksum.iter().all(|byte| *byte == 0);
    without
        .then(|| SecretKey::from_bytes(&bytes).ok())
        .flatten()
}

/// Writes the signature of a file's bytes next to the file.
///
/// # Errors
/// If it cannot be made or written.
pub fn sign(file: &Path, bytes: &[u8], key: &SecretKey, what: &str) -> Result<(), Failure> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    // The comment is one line.
    let name = name.escape_debug();
    let comment = format!("file:{name}\tvlugin:{what}");
    let public = PublicKey::from_secret_key(key);
    let signature = public
        .and_then(|public| minisign::sign(Some(&public), key, bytes, Some(&comment), None))
        .map_err(|error| failed(format!("{} cannot be signed: {error}", file.display())))?;
    write(&signature_of(file), signature.into_string().as_bytes())
}

/// Verifies the signature of a file, and everything else that can be verified of a package.
///
/// # Errors
/// What is wrong with it.
pub fn verify(args: &VerifyArgs) -> Result<(), Failure> {
    let keys = TrustedKeys::read(&args.trust).map_err(untrusted)?;
    let file = &args.file;
    let bytes = read(file).map_err(|error| {
        failed(of_command_line(
            &error,
            "a library, a module, a component or a package",
        ))
    })?;
    let signed = keys.verify(file, &bytes).map_err(untrusted)?;
    if is_package(file) {
        let inspection = PackageInspection::of(file, &bytes).map_err(unsound)?;
        inspection.agrees().map_err(unsound)?;
    }
    print_line(format_args!(
        "{} is signed with {} ({})",
        file.display(),
        signed.key.display(),
        signed.comment
    ));
    Ok(())
}

/// The keys that `--trust` names, if it is given.
///
/// # Errors
/// If one of them is not a key.
pub fn trusted(args: &TrustArgs) -> Result<Option<TrustedKeys>, Failure> {
    if args.trust.is_empty() {
        return Ok(None);
    }
    let keys = TrustedKeys::read(&args.trust).map_err(untrusted)?;
    #[cfg(feature = "wasm")]
    if args.compile_all {
        return Ok(Some(keys.compile_all()));
    }
    Ok(Some(keys))
}

fn untrusted(error: SignatureError) -> Failure {
    failed(remedies::of_signature(&error))
}

fn unsound(error: LoadError) -> Failure {
    failed(remedies::of(&error))
}

fn failed(error: impl ToString) -> Failure {
    Failure::new(FAULTS, [error.to_string()])
}
