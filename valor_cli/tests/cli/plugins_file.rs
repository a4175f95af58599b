//! Which plugins.json a command reads if `-p` names none.

use crate::support::{Folder, Server, finish, valor_cli};

#[test]
fn without_a_file_to_serve_it_says_what_to_give() {
    let folder = tempfile::tempdir().unwrap();
    let commands: &[(&[&str], &str)] = &[
        (&["run"], "name one with -p, or start with none with -w"),
        (&["check"], "name one with -p"),
        (&["build"], "name one with -p"),
        #[cfg(feature = "wasm")]
        (&["web", "-o", "page"], "name one with -p"),
    ];
    for (args, remedy) in commands {
        let mut command = valor_cli();
        command.args(*args).current_dir(folder.path());
        let ended = finish(command);
        let line = format!("plugins.json: there is no such file; {remedy}");
        assert_eq!((ended.code, ended.faults()), (Some(1), vec![&*line]));
    }
}

/// With the registry too: what is in the folder is not silently left out.
#[test]
fn the_file_in_the_working_directory_is_served_without_being_named() {
    let folder =
        Folder::new(r#"{ "plugins": [{ "type": "files", "name": "page", "path": "public" }] }"#);
    folder.write("public/a.txt", "a");
    for more in [&[][..], &["-w"]] {
        let mut command = valor_cli();
        command.args(["run", "--addr", "127.0.0.1:0"]).args(more);
        command.current_dir(folder.path());
        let server = Server::spawn(command);
        assert_eq!(server.get("/page/a.txt").body, "a", "{more:?}");
    }
}
