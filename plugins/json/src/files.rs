//! Mode `files`: one document per trace, written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use meshtrace_plugin::{Level, log};

use crate::document::Document;
use crate::name::file_name;

/// Our unfinished files are called `.meshtrace-{16 hex digits}.tmp`.
const TEMP_PREFIX: &str = ".meshtrace-";
const TEMP_SUFFIX: &str = ".tmp";
/// How often a file is united anew that another host has changed meanwhile.
const ATTEMPTS: u32 = 5;

/// Why a trace was not stored.
#[derive(Debug)]
pub enum Failure {
    /// The directory would not take it now.
    Retry(String),
    /// It can never be stored.
    Reject(String),
}

/// A directory with one file per trace.
pub struct Files {
    dir: PathBuf,
    temp: PathBuf,
}

impl Files {
    /// Opens the directory: shows that it can be written, and removes what a killed instance left unfinished.
    ///
    /// # Errors
    /// Names the directory and what it refused.
    pub fn open(dir: &Path) -> Result<Self, String> {
        let temp = probe(dir)?;
        let removed = remove_stale(dir).map_err(|error| format!("json: cannot list {}: {error}", dir.display()))?;
        if removed > 0 {
            log!(Level::Info, "removed {removed} unfinished files from {}", dir.display());
        }
        Ok(Files { dir: dir.to_owned(), temp })
    }

    /// Stores a trace's document, united with the file that may be there. Answers whether the file changed.
    ///
    /// # Errors
    /// Nothing half-written stays; an existing file stays as it was.
    pub fn store(&self, id: &str, document: &[u8]) -> Result<bool, Failure> {
        self.store_while(id, document, || ())
    }

    /// Likewise; `meanwhile` is done when the new file is written, and not yet in its place.
    fn store_while(&self, id: &str, document: &[u8], mut meanwhile: impl FnMut()) -> Result<bool, Failure> {
        let path = self.dir.join(file_name(id));
        let fresh = [document, b"\n"].concat();
        for _ in 0..ATTEMPTS {
            let (existing, known) = match self.read(&path)? {
                Some(bytes) if bytes == fresh => return Ok(false),
                Some(bytes) => match Document::parse(&bytes) {
                    Ok(known) if known.trace_id() == id => (Some(bytes), Some(known)),
                    Ok(other) => set_aside(&path, &format!("it holds another trace, {:?}", other.trace_id())).map(|()| (None, None))?,
                    Err(why) => set_aside(&path, &why).map(|()| (None, None))?,
                },
                None => (None, None),
            };
            let united = known.map(|known| -> Result<Vec<u8>, Failure> {
                let incoming = Document::parse(document)
                    .map_err(|why| Failure::Reject(format!("the host's document cannot be united with {}: {why}", path.display())))?;
                Ok(known.unite(incoming).to_bytes())
            });
            let wanted = united.unwrap_or_else(|| Ok(fresh.clone()))?;
            if existing.as_ref() == Some(&wanted) {
                return Ok(false);
            }
            if self.replace(&path, &wanted, existing.as_deref(), &mut meanwhile)? {
                return Ok(true);
            }
        }
        Err(Failure::Retry(format!("{} is being changed again and again; does another program write it?", path.display())))
    }

    /// The file's bytes, `None` when there is no such file, or none that can be read: that one is set aside.
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, Failure> {
        match fs::symlink_metadata(path) {
            Ok(found) if found.is_file() => {}
            // A pipe, say: reading it could wait for ever.
            Ok(_) => return set_aside(path, "it is not an ordinary file").map(|()| None),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(retry(path, "look at", &error)),
        }
        match fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => set_aside(path, &error.to_string()).map(|()| None),
            Err(error) => Err(retry(path, "read", &error)),
        }
    }

    /// Writes beside the file and renames, so that a reader sees the old file or the new one, never half of one. Answers false, and changes nothing, if the
    /// file does not hold what was `expected` any more: another host, which has taken over from us or from which we have, writes to the same directory.
    fn replace(&self, path: &Path, bytes: &[u8], expected: Option<&[u8]>, meanwhile: &mut impl FnMut()) -> Result<bool, Failure> {
        let replaced = match self.try_replace(path, bytes, expected, meanwhile) {
            // A later instance that starts in this directory removes unfinished files, and may have met ours.
            Ok(Err(error)) if error.kind() == ErrorKind::NotFound => self.try_replace(path, bytes, expected, meanwhile),
            other => other,
        };
        if !matches!(replaced, Ok(Ok(true))) {
            let _ = fs::remove_file(&self.temp);
        }
        replaced?.map_err(|error| retry(path, "write", &error))
    }

    /// Likewise, once. The inner error is that of writing.
    fn try_replace(
        &self,
        path: &Path,
        bytes: &[u8],
        expected: Option<&[u8]>,
        meanwhile: &mut impl FnMut(),
    ) -> Result<io::Result<bool>, Failure> {
        if let Err(error) = write_new(&self.temp, bytes) {
            return Ok(Err(error));
        }
        meanwhile();
        // All of it: WASI tells no inode, and two versions may have the same size and time. There is nothing to read of a trace that is new.
        if self.read(path)?.as_deref() != expected {
            return Ok(Ok(false));
        }
        Ok(fs::rename(&self.temp, path).map(|()| true))
    }
}

/// Shows that `dir` takes files. Answers the path for unfinished ones: hard to guess, as the directory may be everybody's.
///
/// # Errors
/// Names the directory, the cause and what to do.
pub(crate) fn probe(dir: &Path) -> Result<PathBuf, String> {
    let unique = RandomState::new().hash_one(dir);
    let temp = dir.join(format!("{TEMP_PREFIX}{unique:016x}{TEMP_SUFFIX}"));
    // Empty, as a full disk is no reason not to start: traces wait until there is room.
    write_new(&temp, b"").and_then(|()| fs::remove_file(&temp)).map_err(|error| {
        let _ = fs::remove_file(&temp);
        format!(
            "json: cannot write to the directory {}: {error}. Give a directory that exists and that the plugin may write to",
            dir.display()
        )
    })?;
    Ok(temp)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file: File = match OpenOptions::new().write(true).create_new(true).open(path) {
        // What an earlier failure could not remove.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            OpenOptions::new().write(true).create_new(true).open(path)?
        }
        opened => opened?,
    };
    file.write_all(bytes)
}

fn remove_stale(dir: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(dir)?.flatten() {
        let name = entry.file_name();
        let Some(unique) = name.to_str().and_then(|name| name.strip_prefix(TEMP_PREFIX)?.strip_suffix(TEMP_SUFFIX)) else { continue };
        if unique.len() == 16 && unique.bytes().all(|byte| byte.is_ascii_hexdigit()) && fs::remove_file(entry.path()).is_ok() {
            removed += 1;
        }
    }
    Ok(removed)
}

/// Renames a file that cannot be used to `….corrupt` (`….corrupt.1` …), so that nothing is overwritten.
fn set_aside(path: &Path, why: &str) -> Result<(), Failure> {
    let free = (0..1000).map(|number| aside_path(path, number)).find(|aside| fs::symlink_metadata(aside).is_err());
    let Some(aside) = free else {
        return Err(Failure::Retry(format!("{} cannot be used ({why}), and 1000 such files are set aside already", path.display())));
    };
    fs::rename(path, &aside).map_err(|error| retry(path, "set aside", &error))?;
    log!(Level::Warning, "{} could not be used ({why}) and is now {}", path.display(), aside.display());
    Ok(())
}

fn aside_path(path: &Path, number: u32) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(if number == 0 { ".corrupt".to_owned() } else { format!(".corrupt.{number}") });
    name.into()
}

/// The cause for people. WASI streams tell every failed write as the same I/O error, also that of a full disk.
pub(crate) fn cause(error: &io::Error) -> String {
    const WASI_IO: i32 = 29;
    let hint = if cfg!(target_family = "wasm") && error.raw_os_error() == Some(WASI_IO) { ", as when the disk is full" } else { "" };
    format!("{error}{hint}")
}

fn retry(path: &Path, what: &str, error: &io::Error) -> Failure {
    Failure::Retry(format!("cannot {what} {}: {}", path.display(), cause(error)))
}

#[cfg(test)]
#[path = "files_test.rs"]
mod tests;
