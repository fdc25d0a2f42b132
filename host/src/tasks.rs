//! Every task and thread has a name and an owner, who can say at the end who still runs.

mod alarm;

pub use alarm::Alarm;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle as Runtime;
use tokio::sync::Notify;

/// The owner of all tasks of a host.
#[derive(Debug, Clone)]
pub struct Tasks {
    runtime: Runtime,
    running: Arc<Running>,
}

#[derive(Debug, Default)]
struct Running {
    /// Name → how many of it run.
    names: Mutex<BTreeMap<String, usize>>,
    changed: Notify,
}

/// Says that a task has ended, also when it panicked.
struct Ends {
    name: String,
    running: Arc<Running>,
}

impl Drop for Ends {
    fn drop(&mut self) {
        let mut names = self.running.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = names.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                names.remove(&self.name);
            }
        }
        self.running.changed.notify_waiters();
    }
}

impl Tasks {
    /// Tasks run on `runtime`.
    pub fn new(runtime: Runtime) -> Tasks {
        Tasks { runtime, running: Arc::default() }
    }

    /// The runtime that tasks run on.
    pub fn runtime(&self) -> Runtime {
        self.runtime.clone()
    }

    fn begin(&self, name: String) -> Ends {
        *self.running.names.lock().unwrap_or_else(PoisonError::into_inner).entry(name.clone()).or_default() += 1;
        Ends { name, running: Arc::clone(&self.running) }
    }

    /// Runs `task` under a name.
    pub fn spawn(&self, name: &str, task: impl Future<Output = ()> + Send + 'static) {
        let ends = self.begin(name.to_owned());
        #[expect(clippy::disallowed_methods, reason = "the one place where tasks are spawned: they are counted here")]
        self.runtime.spawn(async move {
            let _ends = ends;
            task.await;
        });
    }

    /// Runs `work` on a thread of its own, under a name.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn spawn_thread(&self, name: String, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let ends = self.begin(name.clone());
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            let _ends = ends;
            work();
        })?;
        // Waited for by name in `ended`, not joined: a thread that hangs in a plugin must not hang the end.
        drop(thread);
        Ok(())
    }

    /// Waits until all have ended; when `patience` ends first, says who has not.
    pub async fn ended(&self, patience: Duration) -> Result<(), Vec<String>> {
        let all = async {
            loop {
                let changed = self.running.changed.notified();
                if self.names().is_empty() {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(patience, all).await.map_err(|_| self.names())
    }

    fn names(&self) -> Vec<String> {
        self.running.names.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}
