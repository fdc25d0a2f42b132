//! Mode `lines`: one line per trace or late part, appended to `traces.jsonl`, which is rotated by size.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use meshtrace_plugin::{Level, log};

use crate::files::probe;

/// How long the file must have been left alone before it is repaired by one who has nothing to append. On a reload the old instance still
/// writes while the new one opens, and so does a host that leads while another one begins to stand by: what looks torn may be half of a write.
const QUIET: Duration = Duration::from_secs(2);
/// How far back a torn line is searched for at a time.
const CHUNK_BYTES: u64 = 64 << 10;

/// The file that lines are appended to, and its rotated predecessors.
pub struct Lines {
    dir: PathBuf,
    max_bytes: u64,
    max_files: u32,
}

impl Lines {
    /// Opens the directory, and cuts a torn last line off `traces.jsonl`, if nobody seems to be writing it.
    ///
    /// # Errors
    /// Names the directory or file and what it refused.
    pub fn open(dir: &Path, max_bytes: u64, max_files: u32) -> Result<Self, String> {
        probe(dir)?;
        let lines = Lines {
            dir: dir.to_owned(),
            max_bytes,
            max_files,
        };
        lines.repair()?;
        Ok(lines)
    }

    /// Cuts a torn last line off, unless the file was written a moment ago: then the next trace does it, or the next one who asks.
    ///
    /// # Errors
    /// Names the file and what it refused, or that it is none.
    pub fn repair(&self) -> Result<(), String> {
        let path = self.current();
        match fs::metadata(&path) {
            Ok(found) if !found.is_file() => {
                Err(format!("json: {} is there and is not an ordinary file; move it away or give another dir", path.display()))
            }
            Ok(found) if found.modified().is_ok_and(was_left_alone) => {
                self.open_repaired().map(drop).map_err(|error| format!("json: cannot open {}: {error}", path.display()))
            }
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(format!("json: cannot look at {}: {error}", path.display())),
        }
    }

    /// Appends whole lines with one write. The file is opened anew each time, so that it may be moved away under us.
    ///
    /// # Errors
    /// Then the file is as long as it was before.
    pub fn append(&self, text: &[u8]) -> io::Result<()> {
        let (mut file, mut length) = self.open_repaired()?;
        if length > 0 && length.saturating_add(text.len() as u64) > self.max_bytes {
            drop(file);
            self.rotate()?;
            (file, length) = self.open_repaired()?;
        }
        file.write_all(text).and_then(|()| file.flush()).inspect_err(|_| {
            // If this fails too, the next `open_repaired` cuts off the torn line.
            let _ = file.set_len(length);
        })
    }

    /// What lines are appended to.
    fn current(&self) -> PathBuf {
        self.dir.join("traces.jsonl")
    }

    fn rotated(&self, number: u32) -> PathBuf {
        self.dir.join(format!("traces.{number}.jsonl"))
    }

    /// The file and its length, after a last line without a newline was cut off: its trace was never acknowledged.
    fn open_repaired(&self) -> io::Result<(File, u64)> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(self.current())?;
        let length = file.metadata()?.len();
        let whole = whole_lines(&mut file, length)?;
        if whole < length {
            file.set_len(whole)?;
            log!(Level::Warning, "cut a torn last line of {} bytes off {}", length - whole, self.current().display());
        }
        Ok((file, whole))
    }

    /// `traces.jsonl` becomes `traces.1.jsonl`, which becomes `traces.2.jsonl` …; the oldest goes when all places are taken.
    fn rotate(&self) -> io::Result<()> {
        if self.max_files == 0 {
            return fs::remove_file(self.current());
        }
        // Files move up only as far as the first free place: after a rotation that failed half-way nothing more is lost.
        let free = (1..self.max_files).find(|number| !self.rotated(*number).exists()).unwrap_or(self.max_files);
        for number in (1..free).rev() {
            fs::rename(self.rotated(number), self.rotated(number + 1))?;
        }
        fs::rename(self.current(), self.rotated(1))?;
        // Left over from a larger `max_files`.
        let mut beyond = self.max_files + 1;
        while fs::remove_file(self.rotated(beyond)).is_ok() {
            beyond += 1;
        }
        Ok(())
    }
}

/// Whether nobody has written for a while what was last written then. A time in the future is as good as one in the past: a clock was set
/// back since, and a write of now would have left the time of now.
fn was_left_alone(written: SystemTime) -> bool {
    let now = SystemTime::now();
    now.duration_since(written).unwrap_or_else(|ahead| ahead.duration()) >= QUIET
}

/// Length of the file up to its last newline.
fn whole_lines(file: &mut File, length: u64) -> io::Result<u64> {
    let mut end = length;
    let mut buffer = Vec::new();
    // Nearly always the last byte is the newline: look at it alone first.
    let mut chunk = 1;
    while end > 0 {
        let begin = end.saturating_sub(chunk);
        file.seek(SeekFrom::Start(begin))?;
        buffer.clear();
        file.take(end - begin).read_to_end(&mut buffer)?;
        if let Some(at) = buffer.iter().rposition(|byte| *byte == b'\n') {
            return Ok(begin + at as u64 + 1);
        }
        (end, chunk) = (begin, CHUNK_BYTES);
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn read(dir: &Scratch, name: &str) -> Option<String> {
        fs::read_to_string(dir.path().join(name)).ok()
    }

    fn torn(dir: &Scratch, content: &str) -> PathBuf {
        let path = dir.path().join("traces.jsonl");
        fs::write(&path, content).unwrap();
        path
    }

    #[test]
    fn lines_are_appended() {
        let dir = Scratch::new();
        let lines = Lines::open(dir.path(), 100, 2).unwrap();
        lines.append(b"one\ntwo\n").unwrap();
        lines.append(b"three\n").unwrap();
        assert_eq!(read(&dir, "traces.jsonl").unwrap(), "one\ntwo\nthree\n");
    }

    #[test]
    fn a_torn_last_line_is_cut_off_before_anything_is_appended() {
        let long = "x".repeat(3 * CHUNK_BYTES as usize);
        for (before, after) in
            [("one\ntw", "one\n"), ("tw", ""), (&*format!("one\n{long}"), "one\n"), (&*format!("{long}\n"), &*format!("{long}\n"))]
        {
            let dir = Scratch::new();
            torn(&dir, before);
            Lines::open(dir.path(), 1 << 30, 2).unwrap().append(b"next\n").unwrap();
            assert_eq!(read(&dir, "traces.jsonl").unwrap(), format!("{after}next\n"));
        }
    }

    #[test]
    fn what_nobody_writes_any_more_is_repaired_also_when_its_time_lies_ahead() {
        let (now, day) = (SystemTime::now(), Duration::from_secs(86_400));
        for (written, after) in [
            (now, "one\ntw"),
            (now + Duration::from_secs(1), "one\ntw"),
            (now - 2 * QUIET, "one\n"),
            // The clock that wrote it was ahead, and has been set back.
            (now + day, "one\n"),
        ] {
            let dir = Scratch::new();
            let path = torn(&dir, "one\ntw");
            let lines = Lines::open(dir.path(), 100, 2).unwrap();
            assert_eq!(read(&dir, "traces.jsonl").unwrap(), "one\ntw", "somebody may be writing it");
            OpenOptions::new().append(true).open(&path).unwrap().set_modified(written).unwrap();
            lines.repair().unwrap();
            assert_eq!(read(&dir, "traces.jsonl").unwrap(), after, "{written:?}");
            OpenOptions::new().append(true).open(&path).unwrap().set_modified(written).unwrap();
            Lines::open(dir.path(), 100, 2).unwrap();
            assert_eq!(read(&dir, "traces.jsonl").unwrap(), after, "{written:?}");
        }
    }

    #[test]
    fn files_rotate_by_size_and_the_oldest_goes() {
        let dir = Scratch::new();
        let lines = Lines::open(dir.path(), 8, 2).unwrap();
        for text in ["1111\n", "22\n", "3333\n", "444444444444\n", "5555\n"] {
            lines.append(text.as_bytes()).unwrap();
        }
        let found = ["traces.jsonl", "traces.1.jsonl", "traces.2.jsonl", "traces.3.jsonl"].map(|name| read(&dir, name));
        let expected = [Some("5555\n"), Some("444444444444\n"), Some("3333\n"), None].map(|text| text.map(str::to_owned));
        assert_eq!(found, expected);
    }

    #[test]
    fn fewer_files_than_before_are_kept() {
        let dir = Scratch::new();
        for number in 1..=4 {
            fs::write(dir.path().join(format!("traces.{number}.jsonl")), format!("{number}\n")).unwrap();
        }
        torn(&dir, "current\n");
        Lines::open(dir.path(), 8, 1).unwrap().append(b"x\n").unwrap();
        assert_eq!(read(&dir, "traces.1.jsonl").unwrap(), "current\n");
        assert!((2..=4).all(|number| read(&dir, &format!("traces.{number}.jsonl")).is_none()));
        Lines::open(dir.path(), 1, 0).unwrap().append(b"y\n").unwrap();
        assert_eq!(read(&dir, "traces.jsonl").unwrap(), "y\n");
    }

    #[test]
    fn a_gap_in_the_rotated_files_loses_none() {
        let dir = Scratch::new();
        fs::write(dir.path().join("traces.1.jsonl"), "1\n").unwrap();
        fs::write(dir.path().join("traces.3.jsonl"), "3\n").unwrap();
        torn(&dir, "current\n");
        Lines::open(dir.path(), 8, 3).unwrap().append(b"x\n").unwrap();
        let found = [1, 2, 3].map(|number| read(&dir, &format!("traces.{number}.jsonl")).unwrap());
        assert_eq!(found, ["current\n", "1\n", "3\n"]);
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let dir = Scratch::new();
        fs::create_dir(dir.path().join("traces.jsonl")).unwrap();
        assert!(Lines::open(dir.path(), 8, 1).err().unwrap().contains("not an ordinary file"));
    }
}
