//! The file: a bounded queue, and a thread that writes lines.
//!
//! Promises: a line is written whole or not at all as far as the disk allows, and one that was torn is ended before
//! the next; a full queue or a write that fails drops the line and counts it; the file is created for its owner alone.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use palisade_model::audit::AuditRecord;

/// Lines that wait to be written: some seconds of a flood of denials.
pub const QUEUE_LINES: usize = 4096;
/// Bytes of lines that wait, about: a sidecar's memory is the workload's.
pub const QUEUE_BYTES: usize = 8 * 1024 * 1024;
/// Who may read the file.
const MODE: u32 = 0o600;
/// Between two warnings about a file that cannot be written.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// Why an audit log cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("audit log {path}: {error}")]
pub struct AuditFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub error: io::Error,
}

/// What the thread is told.
#[derive(Debug)]
enum Message {
    Line(Box<AuditRecord>, usize),
    /// Look at `reopen`.
    Wake,
    /// Say so when everything before was written.
    Flush(SyncSender<()>),
}

/// What queue and thread share.
#[derive(Debug, Default)]
struct Shared {
    waiting_bytes: AtomicUsize,
    reopen: AtomicBool,
    written: AtomicU64,
    queue_full: AtomicU64,
    failed: AtomicU64,
}

/// An audit log in a file.
#[derive(Debug)]
pub struct AuditFile {
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
}

impl AuditFile {
    /// Opens the file to append to it, and starts the thread that writes.
    pub fn open(path: &Path) -> Result<Self, AuditFileError> {
        let failed = |error| AuditFileError { path: path.to_owned(), error };
        let file = append(path).map_err(failed)?;
        let (queue, messages) = sync_channel(QUEUE_LINES);
        let shared = Arc::<Shared>::default();
        let writer =
            Writer { path: path.to_owned(), file, torn: false, shared: shared.clone(), warned: None };
        std::thread::Builder::new()
            .name("audit-log".to_owned())
            .spawn(move || writer.run(&messages))
            .map_err(failed)?;
        Ok(Self { queue, shared })
    }

    /// Queues a line; never waits.
    pub fn write(&self, record: AuditRecord) {
        let bytes = weight(&record);
        let waiting = &self.shared.waiting_bytes;
        let fits = waiting.fetch_add(bytes, Ordering::AcqRel) + bytes <= QUEUE_BYTES;
        if !fits || self.queue.try_send(Message::Line(Box::new(record), bytes)).is_err() {
            waiting.fetch_sub(bytes, Ordering::AcqRel);
            self.shared.queue_full.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Opens the file again before the next line, since somebody moved it away.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
        // If the queue is full, the thread is awake and looks.
        let _ = self.queue.try_send(Message::Wake);
    }

    /// Waits until what was queued is written, at most `patience`. Blocks; whether everything was written.
    pub fn flush(&self, patience: Duration) -> bool {
        let (done, written) = sync_channel(1);
        let end = Instant::now() + patience;
        while self.queue.try_send(Message::Flush(done.clone())).is_err() {
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        written.recv_timeout(end.saturating_duration_since(Instant::now())).is_ok()
    }

    /// Lines that were written.
    pub fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Relaxed)
    }

    /// Lines that were dropped: because the queue was full, and because the file could not be written.
    pub fn dropped(&self) -> (u64, u64) {
        (self.shared.queue_full.load(Ordering::Relaxed), self.shared.failed.load(Ordering::Relaxed))
    }
}

/// What a record takes in memory, about.
fn weight(record: &AuditRecord) -> usize {
    let pairs = |pairs: &[(String, String)]| -> usize {
        pairs.iter().map(|(name, value)| name.len() + value.len() + size_of::<(String, String)>()).sum()
    };
    let request = record.request.as_ref();
    let request = request.map_or(0, |request| {
        pairs(&request.headers) + request.path.len() + request.query.as_ref().map_or(0, String::len)
    });
    let matches = record.trailer.iter().flat_map(|trailer| &trailer.matches);
    let matches: usize = matches.map(|found| found.message.len() * 2 + found.value.len() + 512).sum();
    let response = record.response.as_ref().map_or(0, |response| pairs(&response.headers));
    let bodies = [&record.request_body, &record.response_body, &record.form];
    let bodies: usize = bodies.into_iter().flatten().map(|body| body.text.len()).sum();
    let files: usize =
        record.files.iter().flatten().map(|file| file.field.len() + file.name.len() + 64).sum();
    size_of::<AuditRecord>() + request + matches + response + bodies + files
}

/// Opens a regular file, and nothing else: opening a pipe could wait for ever.
fn append(path: &Path) -> io::Result<File> {
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(_) | Err(_) => {}
    }
    OpenOptions::new().append(true).create(true).mode(MODE).open(path)
}

/// The thread's part.
struct Writer {
    path: PathBuf,
    file: File,
    /// Whether the last line in the file has no end.
    torn: bool,
    shared: Arc<Shared>,
    warned: Option<Instant>,
}

impl Writer {
    fn run(mut self, messages: &Receiver<Message>) {
        while let Ok(message) = messages.recv() {
            if self.shared.reopen.swap(false, Ordering::AcqRel) {
                self.reopen();
            }
            match message {
                Message::Line(record, bytes) => {
                    self.line(&record);
                    self.shared.waiting_bytes.fetch_sub(bytes, Ordering::AcqRel);
                }
                Message::Wake => {}
                // Whoever asked may have stopped waiting.
                Message::Flush(done) => drop(done.try_send(())),
            }
        }
    }

    fn line(&mut self, record: &AuditRecord) {
        let mut line = Vec::with_capacity(1024);
        if self.torn {
            line.push(b'\n');
        }
        let written = match serde_json::to_writer(&mut line, record) {
            Ok(()) => {
                line.push(b'\n');
                self.put(&line)
            }
            Err(error) => Err(error.into()),
        };
        match written {
            Ok(()) => drop(self.shared.written.fetch_add(1, Ordering::Relaxed)),
            Err(error) => {
                self.shared.failed.fetch_add(1, Ordering::Relaxed);
                self.warn(&error, "a line of the audit log was not written");
            }
        }
    }

    /// One `write` for a line, unless the disk takes only a part of it.
    fn put(&mut self, mut line: &[u8]) -> io::Result<()> {
        while !line.is_empty() {
            match self.file.write(line) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => line = line.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            self.torn = !line.is_empty();
        }
        Ok(())
    }

    fn reopen(&mut self) {
        match append(&self.path) {
            Ok(file) => {
                self.file = file;
                self.torn = false;
            }
            Err(error) => {
                self.warn(&error, "the audit log cannot be opened again; the old file is written on");
            }
        }
    }

    fn warn(&mut self, error: &io::Error, what: &str) {
        if self.warned.is_none_or(|last| last.elapsed() >= WARNING_INTERVAL) {
            self.warned = Some(Instant::now());
            tracing::warn!(%error, path = %self.path.display(), "{what}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use palisade_model::WorkloadId;
    use palisade_model::audit::{AuditBody, AuditHeader};

    fn record(body: usize) -> AuditRecord {
        let body = AuditBody { bytes: 0, truncated: false, text: "x".repeat(body) };
        AuditRecord {
            audit: 1,
            parts: "AZ".into(),
            header: AuditHeader {
                time: String::new(),
                time_ms: 0,
                reference: "r".into(),
                workload: WorkloadId::local("shop", "web"),
                listener: String::new(),
                direction: palisade_model::Direction::Gateway,
                client: String::new(),
                peer: String::new(),
                local: String::new(),
                principal: None,
                sni: None,
                host: None,
            },
            request: None,
            request_body: Some(body),
            response_body: None,
            response: None,
            trailer: None,
            form: None,
            files: None,
            rules: None,
        }
    }

    /// A queue that nobody empties.
    fn stuck() -> (AuditFile, Receiver<Message>) {
        let (queue, messages) = sync_channel(QUEUE_LINES);
        (AuditFile { queue, shared: Arc::default() }, messages)
    }

    #[test]
    fn the_queue_is_bounded_in_lines_and_what_is_over_is_counted() {
        let (audit, _messages) = stuck();
        for _ in 0..QUEUE_LINES {
            audit.write(record(0));
        }
        assert_eq!(audit.dropped(), (0, 0), "at the limit");
        audit.write(record(0));
        assert_eq!(audit.dropped(), (1, 0), "one over");
        assert!(!audit.flush(Duration::from_millis(2)), "a queue that is stuck does not hold the exit");
    }

    #[test]
    fn the_queue_is_bounded_in_bytes() {
        let (audit, _messages) = stuck();
        let rest = weight(&record(0));
        audit.write(record(QUEUE_BYTES - rest - 1));
        assert_eq!(audit.dropped(), (0, 0), "one under");
        audit.write(record(0));
        assert_eq!(audit.dropped(), (1, 0), "over");
        let (audit, _messages) = stuck();
        audit.write(record(QUEUE_BYTES - rest));
        assert_eq!(audit.dropped(), (0, 0), "at the limit");
        let (audit, _messages) = stuck();
        audit.write(record(QUEUE_BYTES - rest + 1));
        assert_eq!(audit.dropped(), (1, 0), "one over");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_counted_and_tried_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.log");
        std::fs::write(&path, "").unwrap();
        let file = File::open(&path).unwrap();
        let shared = Arc::<Shared>::default();
        let mut writer =
            Writer { path: path.clone(), file, torn: false, shared: shared.clone(), warned: None };
        writer.line(&record(1));
        assert_eq!(shared.failed.load(Ordering::Relaxed), 1, "it is open for reading only");
        writer.reopen();
        writer.line(&record(1));
        assert_eq!(shared.written.load(Ordering::Relaxed), 1);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
    }

    #[test]
    fn a_line_after_a_torn_one_begins_on_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.log");
        std::fs::write(&path, "{\"audit\":1,\"par").unwrap();
        let file = append(&path).unwrap();
        let mut writer =
            Writer { path: path.clone(), file, torn: true, shared: Arc::default(), warned: None };
        writer.line(&record(1));
        writer.line(&record(1));
        let text = std::fs::read_to_string(&path).unwrap();
        let whole: Vec<bool> =
            text.lines().map(|line| serde_json::from_str::<AuditRecord>(line).is_ok()).collect();
        assert_eq!(whole, [false, true, true]);
    }
}
