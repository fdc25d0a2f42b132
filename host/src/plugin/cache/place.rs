//! The directory of entries: whose it is, and how its files are read and written.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::OFlags;

/// The rights of a directory that we make: nobody's but ours.
const DIR_MODE: u32 = 0o700;
/// What group and others must not have on the directory: whoever may write it may put files in place of ours.
const WRITABLE_BY_OTHERS: u32 = 0o022;
/// What group and others must not have on an entry: anything. We write them so; plugins, who cannot set rights, seldom could.
const ANYTHING_FOR_OTHERS: u32 = 0o077;
/// What the names of files begin with until they are whole.
pub(super) const UNFINISHED: &str = ".unfinished-";

/// A directory that is ours.
#[derive(Debug)]
pub(super) struct Place {
    dir: PathBuf,
    /// Whose files are believed.
    pub(super) user: u32,
}

/// A file in it.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) bytes: u64,
    /// When it was read or written last.
    pub(super) used: SystemTime,
}

impl Place {
    pub(super) fn new(dir: PathBuf) -> Place {
        Place {
            dir,
            user: rustix::process::geteuid().as_raw(),
        }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Makes the directory if it is missing.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(super) fn check(&self) -> Result<(), String> {
        let metadata = match fs::symlink_metadata(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new().recursive(true).mode(DIR_MODE).create(&self.dir).and_then(|()| fs::symlink_metadata(&self.dir))
            }
            found => found,
        };
        let metadata = metadata.map_err(|error| format!("it cannot be made or looked at ({error})"))?;
        if !metadata.is_dir() {
            return Err("it is not a directory itself; a symbolic link is not followed".into());
        }
        self.check_owner(&metadata)?;
        if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
            let mode = metadata.mode() & 0o7777;
            return Err(format!(
                "other users may write there (its mode is {mode:o}, expected {DIR_MODE:o}), and could have code of theirs run"
            ));
        }
        Ok(())
    }

    fn check_owner(&self, metadata: &Metadata) -> Result<(), String> {
        if metadata.uid() == self.user {
            return Ok(());
        }
        Err(format!("it belongs to the user {}, and meshtrace runs as {}", metadata.uid(), self.user))
    }

    /// The whole of a file; `None` when there is none.
    ///
    /// # Errors
    /// Why it cannot be read, or believed.
    pub(super) fn read(&self, name: &str, max_bytes: u64) -> Result<Option<Vec<u8>>, String> {
        // Without waiting: for whoever might write to a pipe of that name.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let mut file = match OpenOptions::new().read(true).custom_flags(flags).open(self.path(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|error| format!("it cannot be opened ({error})"))?,
        };
        let metadata = file.metadata().map_err(|error| error.to_string())?;
        if !metadata.is_file() {
            return Err("it is not a file".into());
        }
        self.check_owner(&metadata)?;
        if metadata.mode() & ANYTHING_FOR_OTHERS != 0 {
            return Err(format!("other users have rights on it (its mode is {:o}, expected 600)", metadata.mode() & 0o7777));
        }
        if metadata.len() > max_bytes {
            return Err(format!("it has {} bytes, more than all entries may have together ({max_bytes})", metadata.len()));
        }
        let bytes = read_all(&mut file, metadata.len()).map_err(|error| format!("it cannot be read ({error})"))?;
        // A directory that can only be read serves as well; entries then look older than they are.
        let _ = file.set_modified(SystemTime::now());
        Ok(Some(bytes))
    }

    /// Writes a file that is there whole or not at all.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn write(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        // Made with the rights 600, and removed with this value unless it gets its name.
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.dir)?;
        for part in parts {
            file.write_all(part)?;
        }
        file.persist(self.path(name))?;
        Ok(())
    }

    /// The files that lie there. One that vanishes meanwhile, or cannot be looked at, is left out.
    pub(super) fn files(&self) -> Vec<Listed> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let listed = entries.filter_map(|entry| {
            let metadata = entry.metadata().ok().filter(Metadata::is_file)?;
            Some(Listed {
                name: entry.file_name().into_string().ok()?,
                bytes: metadata.len(),
                used: metadata.modified().ok()?,
            })
        });
        listed.collect()
    }

    /// Removes a file if that is possible.
    pub(super) fn remove(&self, name: &str) {
        if let Err(error) = fs::remove_file(self.path(name)) {
            tracing::debug!(%error, file = %self.path(name).display(), "not removed");
        }
    }
}

/// At most the `bytes` that the file had when it was looked at.
fn read_all(file: &mut File, bytes: u64) -> io::Result<Vec<u8>> {
    let mut read = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
    file.take(bytes).read_to_end(&mut read)?;
    Ok(read)
}

/// Where `path` leads, links followed. What of it does not exist yet holds no links, so `..` there is taken for what it says.
pub(super) fn real_path(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let existing = path.ancestors().find_map(|existing| Some((fs::canonicalize(existing).ok()?, path.strip_prefix(existing).ok()?)));
    let Some((mut real, rest)) = existing else { return path };
    for part in rest.components() {
        match part {
            Component::ParentDir => _ = real.pop(),
            part => real.push(part),
        }
    }
    real
}
