//! The log for whoever is called at night: what went wrong on the way (connections, retries, time limits), a line an event,
//! in the file that `--log` names. The terminal belongs to the screen.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::args::GlobalArgs;
use super::out::clean_line;
use crate::base::sanitise::visible_path;

/// What is logged where `RUST_LOG` does not say.
const USUAL: &str = "cutover=debug,info";

/// Starts the log when one is asked for. It ends, with what it still holds, when the guard goes.
pub(super) fn start_log(global: &GlobalArgs) -> Option<WorkerGuard> {
    let path = global.log.as_ref()?;
    let file = match open_file(path) {
        Ok(file) => file,
        Err(e) => {
            say!("cutover: --log {}: {e}; going on without a log", visible_path(path));
            return None;
        }
    };
    if let Some(why) = doubt_mode(&file) {
        say!("cutover: --log {}: {why}", visible_path(path));
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| USUAL.into());
    let (writer, guard) = open_writer(file);
    build_subscriber(writer, filter).try_init().ok()?;
    log_panics();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), pid = std::process::id(), "started");
    Some(guard)
}

/// Names of groups, topics and hosts are nobody else's business, whatever the umask says.
fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// What is doubtful about the mode of a log that is appended to. Whoever made it may have meant it so: it is said, and left.
fn doubt_mode(file: &File) -> Option<String> {
    let meta = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    let mode = meta.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then(|| format!("mode {mode:03o}: others on this machine can open it; chmod 600 it"))
}

/// A writer that waits for nothing: a thread of its own writes, and where a slow disk keeps it busy lines are lost, not time.
fn open_writer(file: impl Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default().lossy(true).thread_name("log").finish(LogFile { file, torn: false })
}

fn build_subscriber(writer: NonBlocking, filter: EnvFilter) -> impl tracing::Subscriber + Send + Sync {
    // An event that can't be written would be told on standard error, over the screen.
    let lines = tracing_subscriber::fmt().with_ansi(false).log_internal_errors(false);
    lines.with_env_filter(filter).with_writer(writer).finish()
}

/// The screen takes what a panic prints with it; the log keeps it.
fn log_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        tracing::error!("panic: {info}");
        before(info);
    }));
}

/// The one way into the file: whatever brokers, libraries and commands say, each event is one line without a known secret, and
/// without anything that a terminal obeys. The subscriber hands over an event at once.
struct LogFile<W> {
    file: W,
    /// The last line was cut off: a disk that was full.
    torn: bool,
}

impl<W: Write> Write for LogFile<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = clean_line(text.strip_suffix('\n').unwrap_or(&text));
        // Half a line must not look like the beginning of the next.
        let before = if self.torn { "\n" } else { "" };
        let written = self.file.write_all(format!("{before}{line}\n").as_bytes());
        self.torn = written.is_err();
        written.map(|()| event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::redact::learn_secret;

    /// What is in the file after these events.
    fn log_to(path: &Path, filter: &str, events: impl FnOnce()) -> String {
        let (writer, guard) = open_writer(open_file(path).unwrap());
        tracing::subscriber::with_default(build_subscriber(writer, filter.into()), events);
        drop(guard);
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn the_log_holds_no_secret_and_drives_no_terminal() {
        let (dir, canary) = (tempfile::tempdir().unwrap(), "c4nary/of the \"log\"+\u{e9}");
        learn_secret(canary);
        let path = dir.path().join("log");
        let before = log_to(&path, "trace", || tracing::info!("before"));
        let text = log_to(&path, "trace", || {
            tracing::warn!(why = %format!("the broker said {canary}, twice: {canary}"), "refused");
            tracing::warn!(headers = ?[("authorization", "Bearer c4nary-of-a-stranger")], key = canary, "refused");
            tracing::info!(name = "g\u{1b}]0;x\u{7}\u{202e}", "a\nFORGED \u{1b}[2J\u{9b}\u{200b}\r");
            tracing::error!(name = %"\u{1b}[2J\nFORGED", "b");
        });
        assert!(text.starts_with(&before) && before.contains("before"), "it is appended to: {text}");
        assert!(text.contains("the broker said (hidden), twice: (hidden)"), "{text}");
        assert!(!text.contains("c4nary"), "{text}");
        let hostile = |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{202e}' | '\u{200b}'));
        assert_eq!((text.lines().count(), text.matches(hostile).count()), (5, 0), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("FORGED")), "{text}");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "for its owner alone");
        assert_eq!(doubt_mode(&open_file(&path).unwrap()), None);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let said = doubt_mode(&open_file(&path).unwrap()).unwrap();
        assert!(said.starts_with("mode 644: others"), "one that was there keeps its mode, and that is said: {said}");
    }

    #[test]
    fn the_filter_says_what_is_logged() {
        let dir = tempfile::tempdir().unwrap();
        let text = log_to(&dir.path().join("log"), USUAL, || {
            tracing::debug!("ours");
            tracing::debug!(target: "hyper", "theirs");
        });
        assert!(text.contains("ours") && !text.contains("theirs"), "{text}");
    }

    /// A disk with room for so many bytes.
    struct SmallDisk {
        room: usize,
        written: Vec<u8>,
    }

    impl Write for &mut SmallDisk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let fits = self.room.min(bytes.len());
            self.room -= fits;
            self.written.extend_from_slice(&bytes[..fits]);
            if fits == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(fits) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_a_full_disk_cut_off_is_no_part_of_the_next() {
        let mut disk = SmallDisk { room: 6, written: Vec::new() };
        let mut log = LogFile { file: &mut disk, torn: false };
        log.write_all(b"one\n").unwrap();
        assert!(log.write_all(b"two\n").is_err() && log.write_all(b"lost\n").is_err());
        log.file.room = 100;
        log.write_all(b"three\n\x1b\xff\n").unwrap();
        assert_eq!(String::from_utf8_lossy(&disk.written), "one\ntw\nthree\u{240a}\u{241b}\u{fffd}\n");
    }

    #[test]
    fn a_full_disk_is_nobodys_business() {
        let Ok(full) = OpenOptions::new().write(true).open("/dev/full") else { return };
        let (writer, guard) = open_writer(full);
        tracing::subscriber::with_default(build_subscriber(writer, "trace".into()), || tracing::error!("lost"));
        drop(guard);
    }
}
