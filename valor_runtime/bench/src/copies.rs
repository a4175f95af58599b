//! Many vlugins of one: files that do the same, and that every loader and every cache takes for different ones. The
//! tables about many vlugins mount them.

use crate::{programs, valor};
use std::{fs, io, path::Path};

/// Libraries of the native hello.
///
/// # Errors
/// If a file cannot be read or written.
pub fn libraries(folder: &Path, count: usize) -> io::Result<()> {
    let mut bytes = fs::read(valor::library_dir()?.join("libhello_plugin.so"))?;
    for number in 0..count {
        // Other bytes make another image. Behind the last section they mean nothing.
        bytes.extend_from_slice(&[0; 8]);
        fs::write(folder.join(format!("libhello_{number}.so")), &bytes)?;
    }
    Ok(())
}

/// Copies of a module or of a component.
///
/// # Errors
/// If a file cannot be read or written.
pub fn modules(folder: &Path, file: &Path, count: usize) -> io::Result<()> {
    let bytes = fs::read(file)?;
    for number in 0..count {
        // A custom section called `n` that holds four bytes.
        let mut copy = [&*bytes, &[0, 6, 1, b'n']].concat();
        copy.extend_from_slice(&(number as u32).to_le_bytes());
        fs::write(folder.join(format!("hello_{number}.wasm")), copy)?;
    }
    Ok(())
}

/// Copies of the hello in JavaScript.
///
/// # Errors
/// If a file cannot be read or written.
pub fn scripts(folder: &Path, count: usize) -> io::Result<()> {
    let text = fs::read_to_string(programs::script())?;
    for number in 0..count {
        let copy = format!("{text}// {number}\n");
        fs::write(folder.join(format!("hello_{number}.js")), copy)?;
    }
    Ok(())
}
