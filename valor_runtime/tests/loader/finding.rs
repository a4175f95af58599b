//! From a definition to a readable file: where it is looked for, and what is refused there.

use super::*;

#[test]
fn a_library_is_created_and_answers() {
    let loaded = load(&loader_in(Path::new("")), &definition_of(hello_plugin())).unwrap();
    assert_eq!(loaded.metadata.as_ref().unwrap().name, "hello_plugin");
    assert_eq!(loaded.file, hello_plugin());
    assert_eq!(loaded.sha256.as_ref().map(String::len), Some(64));
    assert_eq!(
        text(&loaded.vlugin, "/any/path"),
        "OK response from a plugin"
    );
}

#[test]
fn a_bare_name_is_looked_for_in_plugin_dirs_then_beside_then_on_the_library_path() {
    let [first, second, beside, system] = [temp(), temp(), temp(), temp()];
    let loader = NativeLoader::new(beside.path())
        .plugin_dirs([first.path(), second.path()])
        .library_path([system.path()]);
    let by_name = Definition {
        path: None,
        ..definition("the-name", "")
    };
    let by_path = definition("anything", "the-name");

    let line = load(&loader, &by_name).unwrap_err().to_string();
    assert_eq!(
        line,
        format!(
            "no library for `the-name` was found: {} or {} is not in {}, {}, {} or {}; put it \
             there, or give its file in `path`",
            file_name("the-name"),
            file_name("the_name"),
            first.path().display(),
            second.path().display(),
            beside.path().display(),
            system.path().display(),
        )
    );
    for dir in [&system, &beside, &second, &first] {
        let file = dir.path().join(file_name("the_name"));
        fs::copy(hello_plugin(), &file).unwrap();
        for definition in [&by_name, &by_path] {
            assert_eq!(loader.locate(definition, false).unwrap(), file);
        }
    }
    assert_eq!(
        text(&load(&loader, &by_name).unwrap().vlugin, "/"),
        "OK response from a plugin"
    );
}

#[test]
fn a_bare_name_is_found_on_the_library_path_of_the_environment() {
    let variable = if cfg!(windows) {
        "PATH"
    } else if cfg!(target_vendor = "apple") {
        "DYLD_LIBRARY_PATH"
    } else {
        "LD_LIBRARY_PATH"
    };
    let dir = hello_plugin().parent().unwrap();
    let test = "finding::a_bare_name_is_found_on_the_library_path_of_the_environment";
    if in_a_process_of_its_own(test, (variable, dir)) {
        let elsewhere = temp();
        let loader = NativeLoader::new(elsewhere.path());
        let loaded = load(&loader, &definition("x", "hello_plugin")).unwrap();
        assert_eq!(loaded.file, hello_plugin());
        assert_eq!(text(&loaded.vlugin, "/"), "OK response from a plugin");
    }
}

#[test]
fn a_path_is_relative_to_the_folder_of_plugins_json() {
    let dir = temp();
    fs::create_dir(dir.path().join("sub")).unwrap();
    let file = dir.path().join("sub").join(file_name("moved"));
    fs::copy(hello_plugin(), &file).unwrap();
    let loader = loader_in(dir.path());
    let relative = definition("x", Path::new("sub").join(file_name("moved")));
    assert_eq!(load(&loader, &relative).unwrap().file, file);
    assert_eq!(load(&loader, &definition("x", &file)).unwrap().file, file);
}

#[test]
fn one_image_serves_several_mounts_and_leaves_no_file_behind() {
    let tmpdir = temp();
    let test = "finding::one_image_serves_several_mounts_and_leaves_no_file_behind";
    if !in_a_process_of_its_own(test, ("TMPDIR", tmpdir.path())) {
        return;
    }
    let loader = loader_in(Path::new(""));
    let before = images_mapped();
    let alice = load(&loader, &misbehaving_with("Alice")).unwrap();
    let bob = load(&loader, &misbehaving_with("Bob")).unwrap();
    assert_eq!(text(&alice.vlugin, "/config"), "Alice");
    assert_eq!(text(&bob.vlugin, "/config"), "Bob");
    assert_eq!(images_mapped() - before, 1);

    // Not in the temporary folder, whose contents are checked at the end.
    let elsewhere = temp();
    let copied = write(&elsewhere, "copied", &fs::read(misbehaving()).unwrap());
    load(&loader, &definition_of(&copied)).unwrap();
    assert_eq!(images_mapped() - before, 1, "the same bytes elsewhere");
    load(&loader, &definition_of(hello_plugin())).unwrap();
    assert_eq!(images_mapped() - before, 2, "other bytes");
    let odd = patched(misbehaving(), SYMBOL, b"valor_module_other_shape");
    let odd = write(&elsewhere, "odd", &odd);
    for _ in 0..2 {
        load(&loader, &definition_of(&odd)).unwrap_err();
        assert_eq!(
            images_mapped() - before,
            3,
            "what does not fit is mapped once"
        );
    }
    if cfg!(unix) {
        let left: Vec<_> = fs::read_dir(std::env::temp_dir()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_file_that_is_overwritten_or_replaced_while_it_is_loaded_is_loaded_anew() {
    let dir = temp();
    let file = write(&dir, "changing", &fs::read(hello_plugin()).unwrap());
    let loader = loader_in(dir.path());
    let old = load(&loader, &definition_of(&file)).unwrap();
    assert_eq!(text(&old.vlugin, "/config"), "OK response from a plugin");

    // In place: the same inode has other bytes, and fewer of them.
    fs::write(&file, b"gone").unwrap();
    assert_eq!(text(&old.vlugin, "/config"), "OK response from a plugin");
    fs::write(&file, fs::read(misbehaving()).unwrap()).unwrap();
    let new = load(&loader, &definition_of(&file)).unwrap();
    assert_eq!(text(&new.vlugin, "/"), "fine");
    assert_eq!(text(&old.vlugin, "/"), "OK response from a plugin");

    // By rename: the same path leads to another file.
    let other = dir.path().join("other");
    fs::copy(hello_plugin(), &other).unwrap();
    fs::rename(&other, &file).unwrap();
    let newest = load(&loader, &definition_of(&file)).unwrap();
    assert_eq!(text(&newest.vlugin, "/"), "OK response from a plugin");
    assert_eq!(text(&new.vlugin, "/"), "fine");
}

#[test]
fn what_is_not_a_readable_file_is_refused() {
    let dir = temp();
    let line = |path: &str| refused(dir.path(), &definition("tested", path));
    assert_eq!(
        line("missing.so"),
        "DIR/missing.so does not exist: put it there, or correct `path`"
    );
    assert_eq!(
        line("hello_plugin"),
        format!(
            "no library for `hello_plugin` was found: {} is not in DIR; put it there, or give \
             its file in `path`",
            file_name("hello_plugin")
        )
    );
    fs::create_dir(dir.path().join("folder.so")).unwrap();
    assert_eq!(
        line("folder.so"),
        "DIR/folder.so is a directory: give the vlugin's file in `path`"
    );
    fs::write(dir.path().join("file"), "").unwrap();
    assert_eq!(
        line("file/below.so"),
        "DIR/file/below.so does not exist: put it there, or correct `path`"
    );
}

#[cfg(unix)]
#[test]
fn a_device_and_a_pipe_are_not_waited_for() {
    let dir = temp();
    let pipe = dir.path().join("pipe.so");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    assert_eq!(
        refused(dir.path(), &definition_of(&pipe)),
        "DIR/pipe.so is not a regular file: give the vlugin's file in `path`"
    );
    assert_eq!(
        refused(dir.path(), &definition_of(Path::new("/dev/null"))),
        "/dev/null is not a regular file: give the vlugin's file in `path`"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn what_the_system_does_not_let_be_read_is_refused_in_its_words() {
    let dir = temp();
    std::os::unix::fs::symlink("loop.so", dir.path().join("loop.so")).unwrap();
    assert_eq!(
        refused(dir.path(), &definition("tested", "loop.so")),
        "DIR/loop.so cannot be read: Too many levels of symbolic links (os error 40); point \
         its symbolic links at a file"
    );
}

#[cfg(unix)]
#[test]
fn a_restricted_load_stays_inside_the_plugin_directories() {
    use std::os::unix::fs::symlink;
    let [base, plugins, more] = [temp(), temp(), temp()];
    let loader = NativeLoader::new(base.path())
        .plugin_dirs([plugins.path(), more.path()])
        .library_path([base.path()]);
    let load = |path: &Path| {
        let definition = definition("tested", path);
        let loading = loader.load(&definition, true, TestHost::new("tested"));
        smol::block_on(loading)
    };
    let outside = write(&base, "outside", &fs::read(hello_plugin()).unwrap());
    let inside = write(&more, "inside", &fs::read(hello_plugin()).unwrap());
    let alias = plugins.path().join("alias.so");
    symlink(&inside, &alias).unwrap();
    let escape = plugins.path().join("escape.so");
    symlink(&outside, &escape).unwrap();
    let folder = plugins.path().join("folder");
    symlink(base.path(), &folder).unwrap();

    // By name, by path, and through a link from one plugin directory to another.
    for path in [Path::new("inside"), &inside, &alias] {
        assert_eq!(load(path).unwrap().file, inside);
    }
    let out_and_back = base
        .path()
        .join("nowhere/../..")
        .join(inside.strip_prefix("/").unwrap());
    let not_inside = |path: &Path| {
        format!(
            "{} is not inside one of the plugin directories {} or {}",
            path.display(),
            plugins.path().display(),
            more.path().display()
        )
    };
    let put = "put it there";
    for path in [&escape, &folder.join(file_name("outside"))] {
        assert_eq!(
            load(path).unwrap_err().to_string(),
            format!(
                "{} once its symbolic links are resolved: {put}",
                not_inside(path)
            )
        );
    }
    for path in [
        outside.as_path(),
        Path::new("/etc/valor/missing.so"),
        &base.path().join("missing.so"),
        &plugins.path().join("../missing.so"),
    ] {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(
            load(path).unwrap_err().to_string(),
            format!(
                "{}, and there is no `{name}` in them: {put}",
                not_inside(path)
            )
        );
    }
    // One that is there by its name.
    assert_eq!(
        load(&out_and_back).unwrap_err().to_string(),
        format!(
            "{}; did you mean {}?",
            not_inside(&out_and_back),
            inside.display()
        )
    );
    let missing = plugins.path().join("missing.so");
    assert_eq!(
        load(&missing).unwrap_err().to_string(),
        format!(
            "{} does not exist: put it there, or correct `path`",
            missing.display()
        )
    );
    let line = load(Path::new("outside")).unwrap_err().to_string();
    assert!(
        line.starts_with("no library for `outside` was found"),
        "{line}"
    );

    let loader = NativeLoader::new(base.path());
    let loading = loader.locate(&definition("tested", &inside), true);
    assert_eq!(
        loading.unwrap_err().to_string(),
        format!(
            "{} is not inside a plugin directory (none is set)",
            inside.display()
        )
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_library_finds_what_stands_beside_it() {
    let dir = temp();
    let file = write(&dir, "beside", &fs::read(beside()).unwrap());
    assert_eq!(
        refused(dir.path(), &definition_of(&file)),
        "DIR/libbeside.so is refused by the system's loader: libbeside_dependency.so: cannot open \
         shared object file: No such file or directory; make sure that its dependencies are installed"
    );
    let dependency = "libbeside_dependency.so";
    fs::copy(
        beside().with_file_name(dependency),
        dir.path().join(dependency),
    )
    .unwrap();
    let loaded = load(&loader_in(dir.path()), &definition_of(&file)).unwrap();
    assert_eq!(text(&loaded.vlugin, "/"), "the answer beside is 42");
    // The copy that was loaded is gone.
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn a_folder_that_cannot_be_written_to_is_named() {
    let missing = temp().path().join("missing");
    let test = "finding::a_folder_that_cannot_be_written_to_is_named";
    let variable = if cfg!(windows) { "TMP" } else { "TMPDIR" };
    if !in_a_process_of_its_own(test, (variable, &missing)) {
        return;
    }
    let line = load(&loader_in(Path::new("")), &definition_of(hello_plugin())).unwrap_err();
    let line = line.to_string();
    assert!(
        line.starts_with(&format!(
            "{} cannot be copied to {}, from where it is loaded: ",
            hello_plugin().display(),
            std::env::temp_dir().display()
        )),
        "{line}"
    );
    assert!(
        line.ends_with(&format!(
            "; set {variable} to a folder that can be written to and has room"
        )),
        "{line}"
    );
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let dir = temp();
    let file = dir.path().join("large.so");
    // Sparse: it takes no space.
    fs::File::create(&file)
        .unwrap()
        .set_len((1 << 30) + 1)
        .unwrap();
    assert_eq!(
        refused(dir.path(), &definition_of(&file)),
        "DIR/large.so has more than 1073741824 bytes, which no library needs: strip its debug \
         information"
    );
}
