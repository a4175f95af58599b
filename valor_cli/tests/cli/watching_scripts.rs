//! `--watch` and scripts: changes at any moment, and files that do not belong to a script.

use crate::{
    scripting::deno,
    support::{Folder, Server, wait_for},
};
use std::os::unix::fs::PermissionsExt;

/// A Deno that changes a file each time after it has read a script for Valor and before it answers, as long as there
/// are further texts for that file: `1`, `2` and so on next to it.
fn changing(folder: &Folder, file: &str) -> String {
    let (file, program) = (folder.file(file), folder.file("deno"));
    let real = deno().display().to_string();
    folder.write(
        "deno",
        format!(
            "#!/bin/sh\n\
             case \"$1\" in\n\
             eval) echo 2.9.6; echo '{program}';;\n\
             info)\n\
               '{real}' \"$@\" > '{program}.answer.'$$\n\
               for n in 1 2 3 4 5 6 7 8; do\n\
                 if [ -e '{file}.'$n ]; then mv '{file}.'$n '{file}'; break; fi\n\
               done\n\
               cat '{program}.answer.'$$; rm '{program}.answer.'$$;;\n\
             *) exec '{real}' \"$@\";;\n\
             esac\n"
        ),
    );
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    program
}

fn watching(folder: &Folder, deno: &str) -> Server {
    let mut command = folder.run();
    command.args(["--watch", "--deno", deno]);
    Server::spawn(command)
}

const MAIN: &str =
    "import { text } from './lib.js'; export default { fetch: () => new Response(text) };";

/// Whatever a file contains while Deno reads it, the script is loaded as it is in the end.
#[test]
fn a_change_while_deno_is_asked_is_seen() {
    for broken in [
        "export const text = ;",
        "export const text = 'other'; throw new Error('broken');",
        "export { text } from './none.js';",
    ] {
        let folder = Folder::new(
            r#"{ "plugins": [{ "type": "js", "name": "main", "path": "app/main.js" }] }"#,
        );
        folder.write("app/main.js", MAIN);
        folder.write("app/lib.js", "export const text = 'first';");
        let program = changing(&folder, "app/lib.js");
        let server = watching(&folder, &program);
        assert_eq!(server.get("/main").body, "first");
        // As often as Deno is asked about files that keep changing, and more often; the last time, it has read the
        // broken file, and the file is fixed.
        for n in 1..=6 {
            folder.write(&format!("app/lib.js.{n}"), format!("{broken} // {n}"));
        }
        folder.write("app/lib.js.7", "export { text } from './further.js';");
        folder.write("app/further.js", "export const text = 'last';");
        folder.write("app/lib.js", format!("{broken} // 0"));
        wait_for("last", || server.get("/main").body == "last");
        // New imports are watched.
        folder.write("app/further.js", "export const text = 'very last';");
        wait_for("very last", || server.get("/main").body == "very last");
    }
}

/// For example the program's own log: each change of the folder would add a line to it.
#[test]
fn what_a_script_does_not_import_is_none_of_its_files() {
    let folder = Folder::new(
        r#"{ "plugins": [{ "type": "js", "name": "main", "path": "app/main.js", "files": [".", "data"] }] }"#,
    );
    folder.write("app/main.js", MAIN);
    folder.write("app/lib.js", "export const text = 'first';");
    folder.write("app/data/words.txt", "words");
    let server = watching(&folder, &deno().display().to_string());
    for other in [
        "app/log",
        "app/data/log",
        "app/data/words.txt",
        "app/other.js",
    ] {
        folder.write(other, "a line");
    }
    folder.write("app/lib.js", "export const text = 'second';");
    wait_for("second", || server.get("/main").body == "second");
    server.wait_until("1 changed in", 1);
    let err = server.err();
    let changed: Vec<_> = err.lines().filter(|it| it.contains("changed")).collect();
    // A change that comes before the imports are watched is found by asking for them again, without the first line.
    let [first @ .., last] = &changed[..] else {
        panic!("{err}");
    };
    assert!(first.len() <= 1, "{changed:#?}");
    let is_of_import = |line: &&str| line.contains("app/lib.js has changed");
    assert!(first.iter().all(is_of_import), "{changed:#?}");
    assert!(last.contains("1 changed in"), "{changed:#?}");
}

#[cfg(feature = "wasm")]
#[test]
fn the_log_in_a_scripts_folder_does_not_have_the_folder_written_again() {
    let folder = Folder::new(
        r#"{ "plugins": [
            { "type": "js", "name": "main", "path": "app/main.js" },
            { "type": "js", "name": "typed", "path": "app/typed.ts", "files": ["data"] }
        ] }"#,
    );
    let text = |said: &str| format!("export default {{ fetch: () => new Response('{said}') }};");
    folder.write("app/main.js", text("first"));
    folder.write("app/typed.ts", text("typed"));
    folder.write("app/data/words.txt", "words");
    for deno in [Some(deno()), None] {
        folder.write("app/main.js", text("first"));
        let mut command = folder.web();
        command
            .args(["--esbuild", &crate::web_scripts::esbuild()])
            .args(["--serve", "127.0.0.1:0", "--watch"])
            .args(
                deno.iter()
                    .flat_map(|it| ["--deno".as_ref(), it.as_os_str()]),
            )
            .env("PATH", folder.path())
            .env_remove("VALOR_DENO");
        let server = Server::spawn(command);
        let has =
            |text: &str| wait_for(text, || server.get("/vlugins/main.js").body.contains(text));
        has("first");
        for other in ["app/log", "app/data/words.txt", "app/other.js"] {
            folder.write(other, "a line");
        }
        folder.write("app/main.js", text("second"));
        has("second");
        server.wait_until("is written again", 1);
        folder.write("app/log", "another line");
        folder.write("app/main.js", text("third"));
        has("third");
        server.wait_until("is written again", 2);
        let err = server.err();
        let changed: Vec<_> = err.lines().filter(|it| it.contains("changed")).collect();
        assert!(
            changed.len() == 2
                && changed
                    .iter()
                    .all(|it| it.contains("app/main.js has changed")),
            "{changed:#?}"
        );
    }
}
