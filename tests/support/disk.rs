//! A disk for the json exporter that can be filled up and made read-only, where we may mount one.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// More than the lines that wait to be read, with room for some of the largest.
const SIZE: &str = "size=96m";

/// A directory, on a small file system of its own if that can be had.
pub struct Disk {
    /// In an option: it goes after the file system in it.
    dir: Option<TempDir>,
    is_own: bool,
}

impl Disk {
    pub fn new() -> Disk {
        let dir = tempfile::tempdir().expect("a directory");
        let is_own = run("mount", &["-t", "tmpfs", "-o", SIZE, "tmpfs"], dir.path());
        if !is_own {
            println!("left out: a full and a read-only disk; mounting a tmpfs is not permitted here");
        }
        let disk = Disk { dir: Some(dir), is_own };
        fs::create_dir(disk.path().join("json")).expect("a directory");
        disk
    }

    pub fn path(&self) -> &Path {
        self.dir.as_ref().expect("it is there until it is dropped").path()
    }

    /// Where the json exporter writes.
    pub fn json(&self) -> PathBuf {
        self.path().join("json")
    }

    /// Leaves no byte free; false where we have no disk of our own.
    pub fn fill(&self) -> bool {
        if !self.is_own {
            return false;
        }
        let mut ballast = fs::File::create(self.ballast()).expect("a file");
        for size in [1024 * 1024, 4096, 1] {
            while ballast.write_all(&vec![0; size]).is_ok() {}
        }
        true
    }

    /// Takes no more writes; false where that cannot be had.
    pub fn seal(&self) -> bool {
        // Busy while somebody is writing.
        self.is_own && (0..50).any(|_| run("mount", &["-o", "remount,ro"], self.path()))
    }

    /// Takes writes again.
    pub fn heal(&self) {
        if self.is_own {
            assert!(run("mount", &["-o", "remount,rw"], self.path()), "it was writable once");
            let _ = fs::remove_file(self.ballast());
        }
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_own {
            run("umount", &["-l"], self.path());
        }
    }
}

fn run(program: &str, arguments: &[&str], path: &Path) -> bool {
    let status = Command::new(program).args(arguments).arg(path).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
