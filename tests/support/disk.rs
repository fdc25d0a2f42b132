//! A disk for the json exporter that can be filled up, made read-only, and made slow, where we may mount one.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// More than the lines that wait to be read, with room for some of the largest.
const BYTES: u64 = 96 * 1024 * 1024;

/// Hosts that can have a directory on it.
pub const HOSTS: usize = 3;

/// Freezes the file system that it runs in for `$1` seconds, `$2` times at most, with a moment between two times in which it takes what has waited. It
/// does so by itself, in a group of its own: whatever becomes of the tests, it thaws what it froze. SIGTERM makes this time the last one. It names the
/// file system by where it stands: a path would lead to another one as soon as this one is unmounted.
const SLOW: &str = r#"
trap '' INT HUP
trap 'left=0' TERM
left=$2
while [ "$left" -gt 0 ]; do
    left=$((left - 1))
    fsfreeze --freeze . || exit
    echo frozen
    sleep "$1" & wait $!
    # It stands in the file system, and would keep it.
    kill $! 2>/dev/null
    until fsfreeze --unfreeze .; do sleep 0.1; done
    sleep 0.01
done
"#;

/// A directory, on a small file system of its own if that can be had.
pub struct Disk {
    /// In an option: it goes after the file system in it.
    dir: Option<TempDir>,
    is_own: bool,
    can_freeze: bool,
}

/// While it is there, the disk is slow; when it goes, so is that.
pub struct Slowness(Child);

impl Disk {
    pub fn new() -> Disk {
        let dir = tempfile::tempdir().expect("a directory");
        let mut disk = Disk {
            dir: Some(dir),
            is_own: false,
            can_freeze: false,
        };
        fs::create_dir(disk.path()).expect("a directory");
        disk.can_freeze = disk.mount();
        disk.is_own = disk.can_freeze || disk.mount_memory();
        if disk.is_own && !disk.can_freeze {
            println!("left out: a slow disk; there are no loop devices here");
        }
        if !disk.is_own {
            assert!(!super::on_ci(), "no file system can be mounted here; these tests are left out only outside of CI");
            println!("left out: a full, a read-only and a slow disk; mounting a file system is not permitted here");
        }
        for host in 0..HOSTS {
            fs::create_dir(disk.json_of(host)).expect("a directory");
        }
        disk
    }

    /// A file system in a file: one in memory could not be frozen.
    fn mount(&self) -> bool {
        let image = self.root().join("image");
        fs::File::create(&image).and_then(|file| file.set_len(BYTES)).expect("a file");
        let image = image.to_str().expect("UTF-8");
        // No journal: what would outlive a crash of the machine is not looked at. No blocks kept back for us, who are to find it full.
        run("mkfs.ext4", &["-q", "-O", "^has_journal", "-m", "0", image], None) && run("mount", &["-o", "loop", image], Some(self.path()))
    }

    /// Where there are no loop devices: one in memory can be full and read-only.
    fn mount_memory(&self) -> bool {
        run("mount", &["-t", "tmpfs", "-o", &format!("size={BYTES}"), "tmpfs"], Some(self.path()))
    }

    fn root(&self) -> &Path {
        self.dir.as_ref().expect("it is there until it is dropped").path()
    }

    fn path(&self) -> PathBuf {
        self.root().join("disk")
    }

    /// Where the json exporter writes.
    pub fn json(&self) -> PathBuf {
        self.json_of(0)
    }

    /// Likewise that of another host.
    pub fn json_of(&self, host: usize) -> PathBuf {
        self.path().join(format!("json-{host}"))
    }

    /// Whether it is one of our own. Where it is not, nothing can go wrong with it.
    pub fn is_own(&self) -> bool {
        self.is_own
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
        self.is_own && (0..50).any(|_| run("mount", &["-o", "remount,ro"], Some(self.path())))
    }

    /// Whatever is written, made or moved there stands still for so long, up to so many times; reading does not. `None` where that cannot be had. It has
    /// begun when this returns.
    pub fn slow(&self, each: Duration, times: u32) -> Option<Slowness> {
        if !self.can_freeze {
            return None;
        }
        let mut command = Command::new("sh");
        command.args(["-c", SLOW, "sh", &each.as_secs_f64().to_string(), &times.to_string()]);
        command.current_dir(self.path()).process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("sh starts");
        let said = child.stdout.as_mut().map(|stdout| std::io::Read::read(stdout, &mut [0; 64]));
        assert!(matches!(said, Some(Ok(1..))), "a mounted file system can be frozen");
        Some(Slowness(child))
    }

    /// Takes writes again.
    pub fn heal(&self) {
        if self.is_own {
            assert!(run("mount", &["-o", "remount,rw"], Some(self.path())), "it was writable once");
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
            run("umount", &["-l"], Some(self.path()));
        }
    }
}

impl Slowness {
    /// Waits until it is over by itself.
    pub fn wait(mut self) {
        self.0.wait().expect("a process");
    }
}

impl Drop for Slowness {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            super::signal(self.0.id(), libc::SIGTERM);
        }
        let _ = self.0.wait();
    }
}

fn run(program: &str, arguments: &[&str], path: Option<PathBuf>) -> bool {
    let status = Command::new(program).args(arguments).args(path).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
