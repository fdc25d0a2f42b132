//! Whether something was built from what is there now, judged by content: a checkout changes every file's time.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// A hash over the names and contents of files.
pub struct Stamp(u64);

impl Stamp {
    /// Of these files and of all files below these folders.
    pub fn of(paths: &[PathBuf]) -> Result<Self> {
        let mut hasher = DefaultHasher::new();
        for path in paths {
            add(path, &mut hasher).with_context(|| format!("cannot read {}", path.display()))?;
        }
        Ok(Self(hasher.finish()))
    }

    /// Whether the file beside `product` holds this stamp.
    pub fn is_at(&self, product: &Path) -> bool {
        fs::read_to_string(beside(product)).is_ok_and(|text| text == self.text())
    }

    pub fn put_at(&self, product: &Path) -> Result<()> {
        let path = beside(product);
        fs::write(&path, self.text()).with_context(|| format!("cannot write {}", path.display()))
    }

    fn text(&self) -> String {
        format!("{:016x}", self.0)
    }
}

fn beside(product: &Path) -> PathBuf {
    product.with_extension("stamp")
}

fn add(path: &Path, hasher: &mut DefaultHasher) -> std::io::Result<()> {
    if path.is_dir() {
        let mut entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        entries.retain(|entry| !entry.ends_with("__pycache__"));
        entries.sort();
        return entries.iter().try_for_each(|entry| add(entry, hasher));
    }
    path.file_name().hash(hasher);
    fs::read(path)?.hash(hasher);
    Ok(())
}
