//! What never gets out: paths and links that lead elsewhere, hidden files, and anything that is not a file.

use super::*;

/// A site with a secret beside it, and a hidden one inside it.
fn site() -> Site {
    let site = Site::new(&[
        ("a.txt", b"a"),
        ("folder/b.txt", b"b"),
        (".env", b"secret"),
        (".git/config", b"secret"),
        ("folder/.htaccess", b"secret"),
    ]);
    write(&site.dir.path().join("secret.txt"), b"secret");
    site
}

#[test]
fn no_path_leads_out() {
    let site = site();
    for target in [
        "/site/../secret.txt",
        "/site/..%2fsecret.txt",
        "/site/..%2Fsecret.txt",
        "/site/%2e%2e/secret.txt",
        "/site/%2e%2e%2fsecret.txt",
        "/site/folder/..%2f..%2fsecret.txt",
        "/site/folder/../../secret.txt",
        "/site/..%5csecret.txt",
        "/site/..\\secret.txt",
        "/site/folder%2fb.txt",
        "/site/%2fetc/passwd",
        "/site//etc/passwd",
        "/site/%252e%252e/secret.txt",
        "/site/%c0%ae%c0%ae/secret.txt",
        "/site/a.txt%00",
        "/site/a.txt%00.html",
        "/site/a.txt%",
        "/site/a.txt%0a",
        "/site/%ff",
        "/site/.env",
        "/site/%2eenv",
        "/site/.git/config",
        "/site/.git/",
        "/site/folder/.htaccess",
        "/site/CON",
        "/site/NUL.txt",
        "/site/C:/secret.txt",
        "/site/a.txt::$DATA",
        "/site/a.txt.",
        "/site/a.txt%20",
        "/site/GIT~1/config",
    ] {
        let answer = site.get(target);
        assert_eq!(answer.status, 404, "{target}: {}", answer.text());
        let media = answer.header("content-type");
        assert_eq!(media, Some("application/problem+json"), "{target}");
    }
    let long = format!("/site/{}", "a".repeat(4000));
    assert_eq!(site.get(&long).status, 404);
    let deep = format!("/site{}", "/a".repeat(2000));
    assert_eq!(site.get(&deep).status, 404);
    assert_eq!(site.get("/site/a.txt").text(), "a");
}

#[cfg(unix)]
mod links {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_lead_where_they_may() {
        let site = site();
        let folder = site.folder();
        let link = |target: &Path, name: &str| symlink(target, folder.join(name)).unwrap();
        link(&site.dir.path().join("secret.txt"), "absolute");
        link(Path::new("../secret.txt"), "relative");
        link(Path::new(".."), "parent");
        link(Path::new("/etc"), "etc");
        link(Path::new("relative"), "link-to-a-link");
        link(Path::new("nowhere"), "dangling");
        link(Path::new("circle"), "circle");
        link(Path::new("/proc/self/root/etc/passwd"), "magic");
        for target in [
            "/site/absolute",
            "/site/relative",
            "/site/parent/secret.txt",
            "/site/parent/",
            "/site/etc/passwd",
            "/site/etc/",
            "/site/link-to-a-link",
            "/site/dangling",
            "/site/circle",
            "/site/circle/",
            "/site/magic",
        ] {
            let answer = site.get(target);
            assert_eq!(answer.status, 404, "{target}: {}", answer.text());
        }

        link(Path::new("folder/b.txt"), "inner");
        link(Path::new("folder"), "inner-folder");
        link(&folder.join("folder/b.txt"), "inner-absolute");
        link(&folder.join("folder"), "inner-absolute-folder");
        fs::write(folder.join("folder/index.html"), "index").unwrap();
        for (target, body) in [
            ("/site/inner", "b"),
            ("/site/inner-folder/b.txt", "b"),
            ("/site/inner-folder/", "index"),
            ("/site/inner-absolute", "b"),
            ("/site/inner-absolute-folder/b.txt", "b"),
            ("/site/inner-absolute-folder/", "index"),
        ] {
            let answer = site.get(target);
            assert_eq!((answer.status, answer.text()), (200, body), "{target}");
        }
        let answer = site.get("/site/inner-absolute-folder");
        assert_eq!(answer.status, 301);
    }

    #[test]
    fn the_folder_itself_may_be_a_link() {
        let site = site();
        symlink("public", site.dir.path().join("current")).unwrap();
        let runtime = Runtime::builder()
            .base_dir(site.dir.path())
            .build()
            .unwrap();
        let definition = r#"{ "type": "files", "name": "site", "path": "current" }"#;
        let definition = Definition::from_json(definition).unwrap();
        smol::block_on(runtime.load(&definition)).unwrap();
        let serving = serve(runtime);
        assert_eq!(serving.get("/site/a.txt").text(), "a");

        // As a deployment does.
        write(&site.dir.path().join("next/a.txt"), b"next");
        symlink("next", site.dir.path().join("new")).unwrap();
        fs::rename(site.dir.path().join("new"), site.dir.path().join("current")).unwrap();
        assert_eq!(serving.get("/site/a.txt").text(), "next");
    }

    #[test]
    fn what_is_no_file_is_not_there() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let site = site();
        let pipe = site.folder().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::from(0o600), 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(site.folder().join("socket")).unwrap();
        // Nobody writes to the pipe, so waiting for it would take for ever.
        for target in ["/site/pipe", "/site/socket", "/site/pipe/", "/site/socket/"] {
            assert_eq!(site.get(target).status, 404, "{target}");
            assert_eq!(site.head(target).status, 404, "{target}");
        }
    }

    #[test]
    fn a_link_that_changes_all_the_time_leads_nowhere_else() {
        use std::sync::atomic::{AtomicBool, Ordering};
        let site = site();
        let (folder, stop) = (site.folder(), AtomicBool::new(false));
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let new = folder.join("new");
                while !stop.load(Ordering::Relaxed) {
                    for target in ["folder", "../..", ".."] {
                        symlink(target, &new).unwrap();
                        fs::rename(&new, folder.join("turning")).unwrap();
                    }
                }
            });
            // Stops even if an assertion fails.
            let _stop = Stop(&stop);
            let mut connection = site.serving.connect();
            for _ in 0..500 {
                let answer = connection.get("/site/turning/secret.txt").unwrap();
                assert_eq!(answer.status, 404, "{}", answer.text());
            }
        });
    }

    #[test]
    fn what_may_not_be_read_is_not_there() {
        use std::os::unix::fs::PermissionsExt;
        let site = site();
        let closed = |name: &str| {
            let permissions = fs::Permissions::from_mode(0o000);
            fs::set_permissions(site.folder().join(name), permissions).unwrap();
        };
        closed("a.txt");
        // If root runs this, it may read everything.
        let status = match fs::read(site.folder().join("a.txt")) {
            Ok(_) => 200,
            Err(_) => 404,
        };
        assert_eq!(site.get("/site/a.txt").status, status);
    }
}
