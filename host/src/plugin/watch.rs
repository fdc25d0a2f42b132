//! Notices that something happens in the plugin directory.
//!
//! The system's notices make it quick; that it is noticed at all does not depend on them: they are lost on network mounts, and when the
//! directory itself is replaced. So it is looked at now and then anyway.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::sync::Notify;

/// Without a notice, the directory is looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Watches one directory, which may vanish and come back.
pub(super) struct Watch {
    dir: PathBuf,
    noticed: Arc<Notify>,
    watching: Option<(notify::RecommendedWatcher, (u64, u64))>,
    told: bool,
}

impl Watch {
    pub fn new(dir: &Path) -> Watch {
        Watch {
            dir: dir.to_owned(),
            noticed: Arc::default(),
            watching: None,
            told: false,
        }
    }

    /// Waits until it is time to look: something happened, or some time has passed.
    pub async fn something(&mut self) {
        self.follow();
        tokio::select! {
            () = self.noticed.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }

    /// Watches the directory that has the name now, if it is not the one that is watched.
    fn follow(&mut self) {
        let Ok(metadata) = std::fs::metadata(&self.dir) else {
            self.watching = None;
            return;
        };
        let identity = (metadata.dev(), metadata.ino());
        if self.watching.as_ref().is_some_and(|(_, watched)| *watched == identity) {
            return;
        }
        let noticed = Arc::clone(&self.noticed);
        let tell = move |event: notify::Result<notify::Event>| {
            // Reading is what looking does.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                noticed.notify_one();
            }
        };
        let watcher = notify::recommended_watcher(tell).and_then(|mut watcher| {
            watcher.watch(&self.dir, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        match watcher {
            Ok(watcher) => self.watching = Some((watcher, identity)),
            Err(error) => {
                self.watching = None;
                if !std::mem::replace(&mut self.told, true) {
                    tracing::warn!(dir = %self.dir.display(), %error, "the plugin directory cannot be watched; it is looked at every second instead");
                }
            }
        }
    }
}
