//! The options of the log, which every command that has one shares.

use super::values::log_filter;
use clap::{Args, ValueEnum};

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Log, on standard error")]
pub struct LogArgs {
    /// Lines for people, or one JSON object per line
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// What to log: off, error, warn, info, debug or trace, for everything or for single targets
    ///
    /// Separate them by commas: `warn,vlugin::hello=debug,valor::access=info`. A vlugin's own lines
    /// have the target `vlugin::` and its name.
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = log_filter)]
    pub log: String,

    /// The format of requests in a text log; a JSON log has all their data as keys
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = AccessLog::Brief)]
    pub access_log: AccessLog,

    /// Log no requests
    #[arg(long, conflicts_with = "access_log")]
    pub no_access_log: bool,

    /// Log only warnings and errors: no requests, no table, even if --log says so
    #[arg(short, long)]
    pub quiet: bool,

    /// Whether a request that failed is an error, with the reason. `dev` sets it.
    #[arg(skip)]
    pub failures: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object per line
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AccessLog {
    /// Method, path, status, vlugin, time and id
    Brief,
    /// The combined log format of Apache and nginx, for tools that read it
    Combined,
}
