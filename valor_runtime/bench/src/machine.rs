//! What a run was measured on and when, for the line above its tables. `main` prints it.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

/// Processor, cores, kernel, version and date, in one line.
pub fn describe() -> String {
    let cores = std::thread::available_parallelism();
    let cores = cores.map_or_else(|_| "unknown".to_owned(), |cores| cores.to_string());
    format!(
        "Processor: {}, {cores} cores. Kernel: {}. Valor {}, {}.",
        processor(&read("/proc/cpuinfo")),
        kernel(
            &read("/proc/sys/kernel/ostype"),
            &read("/proc/sys/kernel/osrelease")
        ),
        env!("CARGO_PKG_VERSION"),
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or_else(|_| "unknown".to_owned(), |since| day(since.as_secs()))
    )
}

/// The contents of a file, or nothing on a system that has none.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The model of the first processor in `/proc/cpuinfo`. Not every architecture names one there.
fn processor(cpuinfo: &str) -> &str {
    let models = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    let mut model = models
        .filter(|(name, _)| name.trim() == "model name")
        .map(|(_, model)| model.trim());
    model.find(|model| !model.is_empty()).unwrap_or("unknown")
}

/// The kernel's name and the numbers of its version. What a distribution appends to them says nothing more.
fn kernel(name: &str, release: &str) -> String {
    let numbers = release
        .trim()
        .split(|c: char| !c.is_ascii_digit() && c != '.');
    match (name.trim(), numbers.into_iter().next().unwrap_or_default()) {
        ("", _) | (_, "") => "unknown".to_owned(),
        (name, numbers) => format!("{name} {}", numbers.trim_end_matches('.')),
    }
}

/// The day in UTC, as year, month and day.
fn day(seconds: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + std::time::Duration::from_secs(seconds))
        .get(5..16)
        .unwrap_or("unknown")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_named_or_unknown() {
        let x86 = "processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC\nprocessor\t: 1\nmodel name\t: B\n";
        assert_eq!(processor(x86), "AMD EPYC");
        assert_eq!(processor("processor\t: 0\nBogoMIPS\t: 50.00\n"), "unknown");
        assert_eq!(processor("model name\t:\n"), "unknown");
        assert_eq!(processor(""), "unknown");
    }

    #[test]
    fn a_kernel_is_named_without_what_a_distribution_appends() {
        assert_eq!(kernel("Linux\n", "6.1.0-48-amd64\n"), "Linux 6.1.0");
        assert_eq!(kernel("Linux", "6.18.5+"), "Linux 6.18.5");
        assert_eq!(kernel("", ""), "unknown");
    }

    #[test]
    fn a_day_is_written_out() {
        assert_eq!(day(1_791_801_000), "12 Oct 2026");
    }
}
