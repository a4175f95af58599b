//! [`Group`]: the scripts that share a process, most often only one.
//!
//! To start a script, its group is asked for the process, and starts one if there is none. The process lasts as long as
//! a script in it runs.

use super::{
    command::Launch,
    process::{Process, Unstarted},
};
use std::sync::{Arc, Weak};

/// The scripts that share a process.
pub(super) struct Group {
    launch: Launch,
    process: smol::lock::Mutex<Weak<Process>>,
}

impl Group {
    pub(super) fn new(launch: Launch) -> Arc<Self> {
        Arc::new(Self {
            launch,
            process: smol::lock::Mutex::new(Weak::new()),
        })
    }

    /// The process, started if there is none.
    pub(super) async fn process(&self) -> Result<Arc<Process>, Unstarted> {
        let mut process = self.process.lock().await;
        if let Some(running) = process.upgrade().filter(|it| !it.is_gone()) {
            return Ok(running);
        }
        let started = Process::spawn(&self.launch).await?;
        *process = Arc::downgrade(&started);
        Ok(started)
    }
}
