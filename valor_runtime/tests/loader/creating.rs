//! The creation of a vlugin, and its end.

use super::*;

#[test]
fn a_creation_that_fails_or_panics_is_refused() {
    let dir = temp();
    assert_eq!(
        refused(dir.path(), &misbehaving_with("fail")),
        "vlugin `tested` could not be created: no such table: users"
    );
    for config in ["panic", "panic later"] {
        let line = refused(dir.path(), &misbehaving_with(config));
        let place = line
            .strip_prefix("vlugin `tested` panicked as it was created: created for trouble at ")
            .unwrap_or_else(|| panic!("{line}"));
        assert!(place.starts_with("misbehaving/src/lib.rs:"), "{place}");
    }
    let number = Definition {
        config: Value::from(1),
        ..misbehaving_with("")
    };
    assert_eq!(
        refused(dir.path(), &number),
        "vlugin `tested` could not be created: `config` does not fit: invalid type: integer \
         `1`, expected a string"
    );
}

#[test]
fn a_creation_that_never_ends_is_given_up() {
    let dir = temp();
    let loader = loader_in(dir.path()).create_timeout(Duration::from_secs(2));
    let line = |config| {
        load(&loader, &misbehaving_with(config))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        line("hang"),
        "vlugin `tested` was not created within 2 s: its `on_create` waits for something that never comes"
    );
    assert_eq!(
        line("block"),
        "vlugin `tested` was not created within 2 s: its `on_create` blocks its thread; let it \
         wait with `.await` and `valor::sleep`"
    );
    // Meanwhile others are served, even from the same library.
    assert_eq!(
        text(
            &load(&loader, &misbehaving_with("slow")).unwrap().vlugin,
            "/"
        ),
        "fine"
    );
}

#[test]
fn a_load_that_nobody_waits_for_is_given_up() {
    let loader = loader_in(Path::new(""));
    // The first host of a library is kept, for code outside any vlugin's scope.
    load(&loader, &misbehaving_with("fine")).unwrap();
    let host = TestHost::new("given up");
    let kept: Weak<TestHost> = Arc::downgrade(&host);
    let definition = misbehaving_with("hang");
    let mut loading = Box::pin(loader.load(&definition, false, host));
    smol::block_on(async {
        let is_waiting = || {
            let host = kept.upgrade();
            host.is_some_and(|host| !host.log.lock().unwrap().is_empty())
        };
        while !is_waiting() {
            assert!(
                futures_lite::future::poll_once(&mut loading)
                    .await
                    .is_none()
            );
            smol::Timer::after(Duration::from_millis(5)).await;
        }
    });
    drop(loading);
    let start = Instant::now();
    while kept.strong_count() > 0 {
        assert!(start.elapsed() < Duration::from_secs(20), "it goes on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_vlugin_that_panics_as_it_is_dropped_is_logged() {
    let host = TestHost::new("dropped");
    let loader = loader_in(Path::new(""));
    let definition = misbehaving_with("drop");
    drop(smol::block_on(loader.load(&definition, false, host.clone())).unwrap());
    let log = host.log.lock().unwrap().join("\n");
    assert!(
        log.starts_with("ERROR dropped for trouble at misbehaving/src/lib.rs:"),
        "{log}"
    );
}
