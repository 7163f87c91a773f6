//! flagd-format flag files: `{"flags": {"KEY": {"state": "ENABLED", "variants": {...}, "defaultVariant": "..."}}}`.
//! The state is the default variant's name. Everything else in the file is kept byte for byte.

mod find;

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};
use tokio::sync::Mutex;

use find::find_flag;

use crate::base::sanitise::{quoted_name, visible_name, visible_names, visible_path};
use crate::base::{At, Trouble};

/// Largest flag file, bytes.
const MAX_FILE: u64 = 16 * 1024 * 1024;
/// How often a set starts again because someone else wrote the file meanwhile.
const ATTEMPTS: usize = 5;
/// How long a set waits for its turn in this process.
const TURN: Duration = Duration::from_secs(10);

/// One writer at a time in this process; others are kept out by a lock on the directory.
static WRITING: Mutex<()> = Mutex::const_new(());

/// What reads the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileDialect {
    /// flagd: strict JSON, and the whole file or nothing.
    Flagd,
    /// Something that knows comments and trailing commas, as the plan says.
    Comments,
}

/// A flag as its file has it.
pub(super) struct FlagObservation {
    pub(super) variant: String,
    pub(super) changed: Option<At>,
    pub(super) detail: String,
}

/// Reads a flag.
pub(super) async fn read_flag(path: PathBuf, key: String, by: FileDialect) -> Result<FlagObservation, Trouble> {
    run_blocking(move || {
        let (text, meta) = load_file(&path)?;
        let flag = find_flag(&text, &path, &key, by)?;
        // A time before 1970 is a filesystem that keeps none: unknown, and not the epoch.
        let changed = meta.modified().ok().and_then(|m| m.duration_since(UNIX_EPOCH).ok());
        let changed = changed.and_then(|d| i64::try_from(d.as_millis()).ok()).map(At);
        let detail = format!("{} in {}", visible_name(&key), visible_path(&path));
        Ok(FlagObservation { variant: flag.variant, changed, detail })
    })
    .await?
}

/// Sets a flag's default variant by replacing the file. The outer error means that nothing was changed; the inner
/// one that the file was replaced and may not survive a power loss.
pub(super) async fn set_flag(
    path: PathBuf,
    key: String,
    variant: String,
    by: FileDialect,
) -> Result<Result<(), Trouble>, Trouble> {
    // Waited for here and not at the directory's lock, which would refuse two flags of one file that are set together.
    let Ok(turn) = tokio::time::timeout(TURN, WRITING.lock()).await else {
        let what = format!("{}: other flags are being written for over {} s", visible_path(&path), TURN.as_secs());
        tracing::warn!(key = %visible_name(&key), ms = TURN.as_millis(), "no turn to write a flag file");
        return Err(Trouble::new(what, "check the disk there, then try again"));
    };
    let done = run_blocking(move || replace_variant(&path, &key, &variant, by, || ())).await?;
    drop(turn);
    done
}

async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Trouble> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Trouble::new(format!("reading a flag file failed: {e}"), ""))
}

fn file_trouble(path: &Path, doing: &str, e: &std::io::Error) -> Trouble {
    let advice = match e.kind() {
        std::io::ErrorKind::NotFound => "check `path` in the plan: it is relative to the plan file",
        std::io::ErrorKind::PermissionDenied => "give this user access to the file and its directory",
        std::io::ErrorKind::ReadOnlyFilesystem => "this file can't be changed here: use the provider `command`",
        // Whoever is mounted as a file is not replaced, and who reads it elsewhere would not see the new one.
        std::io::ErrorKind::ResourceBusy => {
            "it is mounted as a single file: mount its directory instead, or use the provider `command`"
        }
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => "free some space there",
        _ => "check the file and its disk",
    };
    Trouble::new(format!("can't {doing} the flag file {}: {e}", visible_path(path)), advice)
}

fn load_file(path: &Path) -> Result<(String, std::fs::Metadata), Trouble> {
    let failed = |e: std::io::Error| file_trouble(path, "read", &e);
    // Before it is opened: opening a FIFO waits for somebody to write into it.
    let meta = std::fs::metadata(path).map_err(failed)?;
    if !meta.is_file() {
        return Err(Trouble::new(format!("{} is not a file", visible_path(path)), "check `path` in the plan"));
    }
    let file = File::open(path).map_err(failed)?;
    // Of what was opened: by now the name may be another file's, and its owner and mode are given to the new one.
    let meta = file.metadata().map_err(failed)?;
    let mut bytes = Vec::new();
    // One byte more than is allowed: so a file that is too large is told from one that just fits.
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        let what = format!("the flag file {} is larger than {} MiB", visible_path(path), MAX_FILE >> 20);
        return Err(Trouble::new(what, "check `path` in the plan"));
    }
    let text = String::from_utf8(bytes).map_err(|_| {
        Trouble::new(format!("the flag file {} is not UTF-8 text", visible_path(path)), "check `path` in the plan")
    })?;
    Ok((text, meta))
}

/// Nobody else changes flag files in a directory while this lives.
struct DirectoryLock(File);

impl DirectoryLock {
    fn in_directory(dir: &Path) -> Result<Self, Trouble> {
        let failed = |e: std::io::Error| file_trouble(dir, "lock", &e);
        let directory = File::open(dir).map_err(failed)?;
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            // a filesystem without locks: the comparison before the replacement has to do
            Ok(()) | Err(rustix::io::Errno::NOLCK | rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::BADF) => {
                Ok(Self(directory))
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Trouble::new(
                format!("another program is changing flag files in {} right now", visible_path(dir)),
                "try again",
            )),
            Err(e) => Err(failed(e.into())),
        }
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Closing it is not enough: a child that is being forked (a switch's command) holds the lock with its copy of
        // the descriptor until it runs its program.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// `before` runs between the writing of the new file and the last look at the old one: where a test can interfere.
fn replace_variant(
    path: &Path,
    key: &str,
    variant: &str,
    by: FileDialect,
    mut before: impl FnMut(),
) -> Result<Result<(), Trouble>, Trouble> {
    // a link stays a link: the file it points to is replaced
    let path = &path.canonicalize().map_err(|e| file_trouble(path, "read", &e))?;
    let failed = |e: std::io::Error| file_trouble(path, "write", &e);
    let dir = path.parent().unwrap_or(Path::new("/"));
    let alone = DirectoryLock::in_directory(dir)?;
    for _ in 0..ATTEMPTS {
        let (text, meta) = load_file(path)?;
        let flag = find_flag(&text, path, key, by)?;
        // Not written again: the file's time says since when it is so, and readers need not load it anew.
        if flag.variant == variant {
            return Ok(Ok(()));
        }
        if !flag.variants.iter().any(|v| v == variant) {
            return Err(Trouble::new(
                format!("flag {} in {} has no variant {}", quoted_name(key), visible_path(path), quoted_name(variant)),
                format!(
                    "add {} to its \"variants\" ({} are there), or map it with `states` in the plan",
                    quoted_name(variant),
                    visible_names(&flag.variants)
                ),
            ));
        }
        refuse_shared(path, &meta)?;
        // the file must be ours to write even though the directory would let it be replaced
        drop(OpenOptions::new().write(true).open(path).map_err(failed)?);
        let literal = serde_json::to_string(variant).map_err(|e| failed(e.into()))?;
        let new = format!("{}{literal}{}", &text[..flag.literal.start], &text[flag.literal.end..]);
        // The owner's and mode's refusals come here, while the old file still stands.
        let temporary = TemporaryFile::write(path, new.as_bytes(), &meta)?;
        before();
        // As late as possible: a rename compares nothing, so what is written between here and there is lost. Who uses
        // the lock on the directory is kept out of even that.
        let (now, _) = load_file(path)?;
        if now != text {
            continue;
        }
        std::fs::rename(&temporary.0, path).map_err(failed)?;
        temporary.keep();
        // Until the directory is synced the rename may be undone by a power loss: done, but not for good.
        return Ok(alone.0.sync_all().map_err(|e| {
            let what = format!("{} was replaced, and its directory can't be synced: {e}", visible_path(path));
            Trouble::new(what, "check the disk there")
        }));
    }
    Err(Trouble::new(
        format!("{} is changed by something else again and again", visible_path(path)),
        "find out what writes it, then try again",
    ))
}

/// A file with several names (hard links) is not replaced: the others would go on with the old one, and with them whoever
/// reads it there, while a look at this name says that it is done.
fn refuse_shared(path: &Path, meta: &std::fs::Metadata) -> Result<(), Trouble> {
    if meta.nlink() <= 1 {
        return Ok(());
    }
    Err(Trouble::new(
        format!(
            "the flag file {} has {} names (hard links): it would be replaced under this one alone",
            visible_path(path),
            meta.nlink()
        ),
        "let its readers use one name, or symbolic links to it; or use the provider `command`",
    ))
}

/// A new file beside the old one, removed unless it is kept.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn write(path: &Path, bytes: &[u8], like: &std::fs::Metadata) -> Result<Self, Trouble> {
        let failed = |e: std::io::Error| file_trouble(path, "write", &e);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Beside it: a rename replaces at once only within one filesystem.
        let temporary = path.with_file_name(format!(".{name}.cutover-{}", std::process::id()));
        // one writer at a time: what has this name was left by a process that was killed
        let _ = std::fs::remove_file(&temporary);
        // Its own user's until it has the old one's owner and mode: flags may not be everybody's to read.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).map_err(failed)?;
        let temporary = Self(temporary);
        let mine = file.metadata().map_err(failed)?;
        // Owner before mode: a change of owner takes set-id bits away.
        if (mine.uid(), mine.gid()) != (like.uid(), like.gid()) {
            std::os::unix::fs::fchown(&file, Some(like.uid()), Some(like.gid())).map_err(|e| {
                Trouble::new(
                    format!(
                        "can't replace {}: it belongs to another user or group, and would lose that: {e}",
                        visible_path(path)
                    ),
                    "run as its owner, or use the provider `command`",
                )
            })?;
        }
        let mode = std::fs::Permissions::from_mode(like.permissions().mode() & 0o7777);
        file.set_permissions(mode).map_err(failed)?;
        // Synced before the rename: else a power loss may leave the name with an empty file.
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
        Ok(temporary)
    }

    fn keep(self) {
        // The name has become the flag file's: nothing is left to remove.
        std::mem::forget(self);
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        r#"{"flags": {"k": {"state": "ENABLED", "variants": {"blue": 1, "green": 2}, "defaultVariant": "blue"}}}"#;

    #[test]
    fn what_someone_else_writes_meanwhile_is_not_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("flags.json");
        std::fs::write(&path, TEXT).unwrap();
        let mut times = 0;
        let interfere = || {
            times += 1;
            if times < 3 {
                std::fs::write(&path, format!("// edit {times}\n{TEXT}")).unwrap();
            }
        };
        replace_variant(&path, "k", "green", FileDialect::Comments, interfere).unwrap().unwrap();
        let now = std::fs::read_to_string(&path).unwrap();
        assert_eq!(now, format!("// edit 2\n{}", TEXT.replace(": \"blue\"", ": \"green\"")));
        std::fs::write(&path, TEXT).unwrap();
        let mut n = 0;
        let always = || {
            n += 1;
            std::fs::write(&path, format!("// edit {n}\n{TEXT}")).unwrap();
        };
        let e = replace_variant(&path, "k", "green", FileDialect::Comments, always).unwrap_err();
        assert!(e.what.contains("again and again"), "{}", e.what);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn a_file_with_a_second_name_is_refused_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("flags.json"), dir.path().join("flagd.json"));
        std::fs::write(&path, TEXT).unwrap();
        std::fs::hard_link(&path, &other).unwrap();
        let e = replace_variant(&path, "k", "green", FileDialect::Flagd, || ()).unwrap_err();
        assert!(e.what.contains("has 2 names (hard links)"), "{}", e.what);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), TEXT, "nothing was changed");
        replace_variant(&path, "k", "blue", FileDialect::Flagd, || ()).unwrap().unwrap(); // it is so already
        std::fs::remove_file(&other).unwrap();
        replace_variant(&path, "k", "green", FileDialect::Flagd, || ()).unwrap().unwrap();
    }

    #[test]
    fn a_copy_of_the_descriptor_in_a_child_that_is_being_forked_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let alone = DirectoryLock::in_directory(dir.path()).unwrap();
        let _copy = alone.0.try_clone().unwrap();
        drop(alone);
        DirectoryLock::in_directory(dir.path()).unwrap();
    }

    #[test]
    fn a_lock_on_the_directory_keeps_us_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("flags.json");
        std::fs::write(&path, TEXT).unwrap();
        let other = File::open(dir.path()).unwrap();
        flock(&other, FlockOperation::LockExclusive).unwrap();
        let e = replace_variant(&path, "k", "green", FileDialect::Flagd, || ()).unwrap_err();
        assert!(e.what.starts_with("another program is changing flag files"), "{}", e.what);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), TEXT);
        drop(other);
        replace_variant(&path, "k", "green", FileDialect::Flagd, || ()).unwrap().unwrap();
    }
}
