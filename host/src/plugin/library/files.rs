//! Files of the plugin directory, and the directory itself: what tells one state of them from another.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What tells one state of a file from another without reading it. A file that a symbolic link leads to is looked at, not the link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    pub path: PathBuf,
    bytes: u64,
    file: (u64, u64),
    changed: (i64, i64),
    /// When the content was last written, as far as the file system tells.
    written: Option<SystemTime>,
}

impl Stamp {
    pub(super) fn of(path: &Path, metadata: &Metadata) -> Stamp {
        Stamp {
            path: path.to_owned(),
            bytes: metadata.len(),
            file: (metadata.dev(), metadata.ino()),
            // Of the inode, since a copy may keep the time of the content.
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            written: metadata.modified().ok(),
        }
    }

    /// Whether nothing has been written to it for so long: a file that was finished elsewhere and moved here.
    pub(super) fn is_older_than(&self, age: Duration) -> bool {
        self.written.and_then(|written| written.elapsed().ok()).is_some_and(|own| own >= age)
    }
}

/// What tells a directory from another that has its name later. A number is given again, so when it was made counts too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::plugin) struct Identity {
    file: (u64, u64),
    made: Option<SystemTime>,
}

impl Identity {
    /// Of the directory that has this name now, whichever link leads there; `None` when there is none.
    pub fn of(dir: &Path) -> Option<Identity> {
        let metadata = std::fs::metadata(dir).ok()?;
        Some(Identity {
            file: (metadata.dev(), metadata.ino()),
            made: metadata.created().ok(),
        })
    }
}

/// The files that may define instances, by name. Hidden files, such as editors and mounts leave behind, are none; nor are names that are not UTF-8.
pub(super) fn files(dir: &Path) -> io::Result<BTreeMap<String, Stamp>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let stem = name.strip_suffix(".wasm").or_else(|| name.strip_suffix(".toml")).unwrap_or_default();
        if stem.is_empty() || name.starts_with('.') {
            continue;
        }
        // A link that leads nowhere, or a file that has just gone, is as good as none.
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        if metadata.is_file() {
            files.insert(name.to_owned(), Stamp::of(&path, &metadata));
        }
    }
    Ok(files)
}

/// All of a file; `None` when there is more than `max` bytes of it, whatever size it says it has: it may grow while it is read.
pub(super) fn read_at_most(path: &Path, max: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= max))
}
