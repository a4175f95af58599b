//! Signed packages: `keygen`, `package --sign`, `verify`, and `--trust` on `run` and `check`.

use crate::{
    packaging::library,
    support::{Folder, Server, run},
};
use std::fs;

const PLUGINS: &str = "{ \"plugins\": [\n{ \"type\": \"native\", \"name\": \"hello\", \"path\": \"hello.vlugin\" }] }";

/// A folder with a key pair, `alice.key`, and a package that is signed with it.
fn signed() -> Folder {
    let folder = Folder::new(PLUGINS);
    let key = folder.file("alice.key");
    let made = run(&["keygen", &key]);
    assert_eq!(made.code, Some(0), "{}", made.err);
    let library = library("hello_plugin").display().to_string();
    let package = folder.file("hello.vlugin");
    let made = run(&["package", "-o", &package, "--sign", &key, &library]);
    assert_eq!(made.code, Some(0), "{}", made.err);
    folder
}

/// The line that `verify` refuses it with. `check` must refuse it with the same, followed by `more`.
#[track_caller]
fn refusal_and(folder: &Folder, key: &str, more: &str) -> String {
    let key = folder.file(key);
    let failed = run(&["verify", "--trust", &key, &folder.file("hello.vlugin")]);
    assert_eq!((failed.code, &*failed.out), (Some(1), ""));
    let verified = failed.faults().join("\n");
    let plugins = folder.file("plugins.json");
    let checked = run(&["check", "-p", &plugins, "--trust", &key]);
    assert_eq!(checked.code, Some(1));
    let start = format!("{plugins}:2:46: plugins[0].path: vlugin `hello`: ");
    assert_eq!(checked.faults(), [[&*start, &verified, more].concat()]);
    verified.replace(&folder.file(""), "DIR/")
}

/// The same, if `check` has no more to say.
#[track_caller]
fn refusal(folder: &Folder, key: &str) -> String {
    refusal_and(folder, key, "")
}

#[test]
fn a_signed_package_is_verified_and_served() {
    let folder = signed();
    let (key, package) = (folder.file("alice.key.pub"), folder.file("hello.vlugin"));
    let verified = run(&["verify", "--trust", &key, &package]);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        verified.out,
        format!(
            "{package} is signed with {key} (file:hello.vlugin vlugin:hello_plugin {version})\n"
        )
    );
    let plugins = folder.file("plugins.json");
    let server = Server::start(&["-p", &plugins, "--trust", &key]);
    assert_eq!(server.get("/hello").body, "OK response from a plugin");

    // One of several keys is enough.
    let bob = folder.file("bob.key");
    assert_eq!(run(&["keygen", &bob]).code, Some(0));
    let bob = [&*bob, ".pub"].concat();
    let verified = run(&["verify", "--trust", &bob, "--trust", &key, &package]);
    assert_eq!(verified.code, Some(0), "{}", verified.err);
    assert_eq!(
        refusal(&folder, "bob.key.pub"),
        "DIR/hello.vlugin is signed with a key that is not trusted: get the file from someone you trust, \
         or name its public key with --trust"
    );
}

#[test]
fn what_is_unsigned_or_altered_is_refused() {
    let folder = signed();
    let (package, signature) = (
        folder.file("hello.vlugin"),
        folder.file("hello.vlugin.minisig"),
    );
    let good = fs::read(&package).unwrap();
    let good_signature = fs::read_to_string(&signature).unwrap();
    let altered = "DIR/hello.vlugin is not what was signed with DIR/alice.key.pub: it or its signature \
                   was altered; get both again";

    let mut bytes = good.clone();
    // A digit of the time, on which nothing else depends, and the end.
    for at in [136, good.len() - 1] {
        bytes[at] ^= 1;
        fs::write(&package, &bytes).unwrap();
        assert_eq!(refusal(&folder, "alice.key.pub"), altered);
        bytes[at] ^= 1;
    }
    fs::write(&package, &good).unwrap();

    let renamed = good_signature.replace("file:hello", "file:other");
    for (text, line) in [
        (&*renamed, altered),
        (
            "no signature",
            "the signature DIR/hello.vlugin.minisig cannot be read: it is not one of minisign's; sign the file again",
        ),
        (
            &"x".repeat(8193),
            "the signature DIR/hello.vlugin.minisig cannot be read: it has more than 8192 bytes; sign the file again",
        ),
    ] {
        fs::write(&signature, text).unwrap();
        assert_eq!(refusal(&folder, "alice.key.pub"), line);
    }

    fs::remove_file(&signature).unwrap();
    let unsigned = "is not signed: DIR/hello.vlugin.minisig is not there; sign it with \
                    `minisign -S` or with `valor_cli package --sign`";
    // Nothing is started by `verify`.
    assert_eq!(
        refusal_and(&folder, "alice.key.pub", ", or start without --trust"),
        format!("DIR/hello.vlugin {unsigned}")
    );
    // Without `--trust` nothing is checked.
    let checked = run(&["check", "-p", &folder.file("plugins.json")]);
    assert_eq!(checked.code, Some(0), "{}", checked.err);
}

#[test]
fn a_plain_library_is_no_way_around_it() {
    let folder = signed();
    let library = library("hello_plugin");
    let path = serde_json::to_string(&library).unwrap();
    folder.write(
        "plugins.json",
        format!(r#"{{ "plugins": [{{ "type": "native", "name": "hello", "path": {path} }}] }}"#),
    );
    let key = folder.file("alice.key.pub");
    let checked = run(&["check", "-p", &folder.file("plugins.json"), "--trust", &key]);
    assert_eq!(checked.code, Some(1));
    let line = format!("{} is not signed: ", library.display());
    assert!(checked.err.contains(&line), "{}", checked.err);
}

#[cfg(feature = "wasm")]
#[test]
fn modules_are_signed_as_libraries_are() {
    let folder = Folder::new(
        r#"{ "plugins": [{ "type": "wasm", "name": "hello", "path": "hello.wasm" }] }"#,
    );
    fs::copy(crate::support::module(), folder.path().join("hello.wasm")).unwrap();
    let secret = folder.file("alice.key");
    assert_eq!(run(&["keygen", &secret]).code, Some(0));
    let key = [&*secret, ".pub"].concat();
    let check = || run(&["check", "-p", &folder.file("plugins.json"), "--trust", &key]);
    // A plain module is no way around it.
    let checked = check();
    assert_eq!(checked.code, Some(1));
    let line = format!("{} is not signed: ", folder.file("hello.wasm"));
    assert!(checked.err.contains(&line), "{}", checked.err);

    folder.write(
        "plugins.json",
        r#"{ "plugins": [{ "type": "wasm", "name": "hello", "path": "hello.vlugin" }] }"#,
    );
    let (package, module) = (folder.file("hello.vlugin"), folder.file("hello.wasm"));
    let made = run(&["package", "-o", &package, "--sign", &secret, &module]);
    assert_eq!(made.code, Some(0), "{}", made.err);
    let verified = run(&["verify", "--trust", &key, &package]);
    assert_eq!(verified.code, Some(0), "{}", verified.err);
    assert_eq!(check().code, Some(0));
    let mut bytes = fs::read(&package).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&package, bytes).unwrap();
    let checked = check();
    assert!(
        checked
            .err
            .contains("hello.vlugin is not what was signed with "),
        "{}",
        checked.err
    );
}

#[test]
fn a_signature_of_minisign_itself_is_taken() {
    let folder = Folder::new("");
    // The example in the documentation of minisign's own libraries.
    folder.write(
        "jedisct1.pub",
        "untrusted comment: minisign public key\n\
         RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\n",
    );
    folder.write("test", "test");
    folder.write(
        "test.minisig",
        "untrusted comment: signature from minisign secret key\n\
         RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\n\
         trusted comment: timestamp:1633700835\tfile:test\tprehashed\n\
         wLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==\n",
    );
    let key = folder.file("jedisct1.pub");
    let verified = run(&["verify", "--trust", &key, &folder.file("test")]);
    assert_eq!(verified.code, Some(0), "{}", verified.err);
}

#[test]
fn a_key_of_minisign_itself_signs() {
    let folder = signed();
    // Made for this test by `minisign -G -W` of version 0.10.
    folder.write(
        "m.key",
        "untrusted comment: minisign encrypted secret key\n\
         RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAd7SAGIvRZ1FGfVvxxVW69BArPMZ3UAPHKSWKkqZ4vfHNKlhvlMVof4VxH72VD38JZShyPg+vBRwYbJCRB7Q2CSyW6zCeoeomAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
    );
    folder.write(
        "m.key.pub",
        "untrusted comment: minisign public key 5167D18B1880B477\n\
         RWR3tIAYi9FnUYVxH72VD38JZShyPg+vBRwYbJCRB7Q2CSyW6zCeoeom\n",
    );
    let (key, package) = (folder.file("m.key"), folder.file("hello.vlugin"));
    keep_secret(&key);
    let library = library("hello_plugin").display().to_string();
    let sign = || run(&["package", "-o", &package, "--sign", &key, &library]);
    assert_eq!(sign().code, Some(0));
    let trusted = folder.file("m.key.pub");
    let verified = run(&["verify", "--trust", &trusted, &package]);
    assert_eq!(verified.code, Some(0), "{}", verified.err);

    // It has no checksum.
    let text = fs::read_to_string(&key).unwrap();
    fs::write(&key, text.replace("fVvxxVW", "fVvxyVW")).unwrap();
    let failed = sign();
    assert_eq!(failed.code, Some(1));
    let line = format!("error: {package} cannot be signed: ");
    assert!(failed.err.starts_with(&line), "{}", failed.err);
}

/// A key's file must be like this: the program warns if others may read it.
fn keep_secret(file: &str) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    #[cfg(not(unix))]
    let _ = file;
}

#[test]
fn keys_that_are_none() {
    let folder = signed();
    let (secret, public) = (folder.file("alice.key"), folder.file("alice.key.pub"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&secret).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let before = fs::read(&secret).unwrap();
    for taken in [&public, &secret] {
        let failed = run(&["keygen", &secret]);
        assert_eq!(
            failed.faults(),
            [format!(
                "{taken} already exists: a key is never overwritten; give another name"
            )]
        );
        // It is asked for first.
        let _ = fs::remove_file(&public);
    }
    assert_eq!(fs::read(&secret).unwrap(), before);

    let package = folder.file("hello.vlugin");
    let failed = run(&["verify", "--trust", &secret, &package]);
    assert!(
        failed.err.starts_with(&format!(
            "error: {secret} is not a public key of minisign: "
        )),
        "{}",
        failed.err
    );
    let none = folder.file("none.pub");
    let failed = run(&["verify", "--trust", &none, &package]);
    assert!(
        failed
            .err
            .starts_with(&format!("error: the key {none} cannot be read: ")),
        "{}",
        failed.err
    );
    let library = library("hello_plugin").display().to_string();
    folder.write("text.key", "a\nb\n");
    let text = folder.file("text.key");
    keep_secret(&text);
    let other = folder.file("other.vlugin");
    let failed = run(&["package", "-o", &other, "--sign", &text, &library]);
    assert!(
        failed
            .err
            .starts_with(&format!("error: {text} cannot be used as a secret key: ")),
        "{}",
        failed.err
    );
    assert_eq!(failed.err.lines().count(), 1);
    assert!(!folder.path().join("other.vlugin").exists());
    // Nobody has signed what is built here.
    let both = run(&["check", "-p", "x", "--build", "--trust", &public]);
    assert_eq!(both.code, Some(2));
}

#[test]
fn a_pair_of_keys_has_a_name() {
    let made = run(&["keygen", "-"]);
    assert_eq!(made.code, Some(2), "{made:?}");
    assert_eq!(
        made.faults(),
        ["`-` stands for no file, and a pair of keys is two: give a name, such as alice.key"]
    );
}

#[test]
fn a_public_key_does_not_sign() {
    let folder = signed();
    let (secret, public) = (folder.file("alice.key"), folder.file("alice.key.pub"));
    let library = library("hello_plugin").display().to_string();
    let package = folder.file("other.vlugin");
    let failed = run(&["package", "-o", &package, "--sign", &public, &library]);
    assert_eq!(
        failed.err,
        format!(
            "error: {public} is a public key, and signing takes the secret one: give the file that was written \
             beside it, such as {secret}\n"
        )
    );
    assert_eq!(failed.code, Some(1));
    assert!(!folder.path().join("other.vlugin").exists());
}

#[cfg(unix)]
#[test]
fn nobody_waits_for_a_signature() {
    let folder = signed();
    let signature = folder.file("hello.vlugin.minisig");
    fs::remove_file(&signature).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(&signature)
        .status();
    assert!(made.unwrap().success());
    assert_eq!(
        refusal(&folder, "alice.key.pub"),
        "the signature DIR/hello.vlugin.minisig cannot be read: it is not a regular file; sign the file again"
    );
}
