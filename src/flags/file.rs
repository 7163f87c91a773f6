//! flagd-format flag files: `{"flags": {"KEY": {"state": "ENABLED", "variants": {...}, "defaultVariant": "..."}}}`.
//! The state is the default variant's name. Everything else in the file is kept byte for byte.
//!
//! A file that flagd refuses says nothing: it goes on with what it read before. It reads strict JSON (Go's), without a
//! byte order mark, and takes no file in which some flag's default variant is none of its variants. Only where the plan
//! says that something else reads the file may it have comments and trailing commas. What a flag with targeting rules is
//! only flagd can say, for each of those who ask.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::Ranged as _;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use rustix::fs::{FlockOperation, flock};
use tokio::sync::Mutex;

use crate::base::sanitise::{quoted_name, visible_name, visible_names, visible_path, visible_text};
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

const STRICT_BUT_COMMENTS: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_loose_object_property_names: false,
    allow_trailing_commas: true,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// A flag as its file has it.
pub(super) struct FlagObservation {
    pub(super) variant: String,
    pub(super) changed: Option<At>,
    pub(super) detail: String,
}

/// Where a flag's default variant stands in the text.
struct FlagLiteral {
    variant: String,
    variants: Vec<String>,
    literal: Range<usize>,
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

/// The value of a property that must be there once: readers differ in which of two they take.
fn find_property<'a, 'b>(object: &'b Object<'a>, name: &str) -> Result<Option<&'b Value<'a>>, String> {
    let mut found = object.properties.iter().filter(|p| p.name.as_str() == name);
    match (found.next(), found.next()) {
        (first, None) => Ok(first.map(|p| &p.value)),
        (_, Some(_)) => Err(format!("{} is there twice", quoted_name(name))),
    }
}

/// Why flagd would refuse a file, and go on with what it had.
fn refused_by_flagd(text: &str, path: &Path) -> Result<(), Trouble> {
    let at = visible_path(path);
    let stays = "flagd refuses the whole file then, and goes on with what it read before";
    let advice = "write strict JSON, without comments, trailing commas and a byte order mark; or, where something else than \
                  flagd reads the file, say so in the plan: comments = true";
    if text.starts_with('\u{feff}') {
        let what = format!("the flag file {at} begins with a byte order mark: {stays}");
        return Err(Trouble::new(visible_text(&what), advice));
    }
    // By another parser than below: this one takes nothing but JSON, and that one tells where the text stands.
    serde_json::from_str::<serde::de::IgnoredAny>(text)
        .map(|_| ())
        .map_err(|e| Trouble::new(visible_text(&format!("the flag file {at} is not JSON: {e}: {stays}")), advice))
}

/// A flag whose default variant flagd does not take, and with it the whole file.
fn find_broken_neighbour(flags: &Object<'_>) -> Option<(String, String)> {
    flags.properties.iter().find_map(|flag| {
        let Value::Object(object) = &flag.value else {
            return Some((flag.name.as_str().to_owned(), "is not an object".to_owned()));
        };
        // A neighbour that has it twice is not judged: which of the two counts is its reader's matter.
        let Some(Value::StringLit(default)) = find_property(object, "defaultVariant").ok()? else { return None };
        let has = match find_property(object, "variants").ok()? {
            Some(Value::Object(v)) => v.properties.iter().any(|p| p.name.as_str() == default.value.as_ref()),
            _ => false,
        };
        let why =
            || format!("has the \"defaultVariant\" {}, which is none of its variants", quoted_name(&default.value));
        (!has && !default.value.is_empty()).then(|| (flag.name.as_str().to_owned(), why()))
    })
}

fn find_flag(text: &str, path: &Path, key: &str, by: FileDialect) -> Result<FlagLiteral, Trouble> {
    if by == FileDialect::Flagd {
        refused_by_flagd(text, path)?;
    }
    let at = visible_path(path);
    let shown = visible_name(key);
    let wrong = |what: String, advice: String| Trouble::new(visible_text(&what), visible_text(&advice));
    // The parser's ranges count from behind it: they are moved back at the end.
    let bom = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let parsed = parse_to_ast(&text[bom..], &CollectOptions::default(), &STRICT_BUT_COMMENTS)
        .map_err(|e| wrong(format!("the flag file {at} is not JSON: {e}"), "repair it; nothing was changed".into()))?;
    let twice = |why: String| wrong(format!("the flag file {at}: {why}"), "keep one of them".to_owned());
    let Some(Value::Object(root)) = &parsed.value else {
        return Err(wrong(format!("the flag file {at} holds no object"), "write { \"flags\": { ... } }".into()));
    };
    let write = format!(
        "write \"{shown}\": {{ \"state\": \"ENABLED\", \"variants\": {{ \"blue\": \"blue\", \"green\": \"green\", \"off\": \"off\" }}, \
         \"defaultVariant\": \"blue\" }} under \"flags\" (and \"dual\" or \"both\" where it is used)"
    );
    let Some(Value::Object(flags)) = find_property(root, "flags").map_err(twice)? else {
        return Err(wrong(format!("the flag file {at} has no \"flags\" object"), write));
    };
    let Some(value) = find_property(flags, key).map_err(twice)? else {
        return Err(wrong(format!("the flag file {at} has no flag \"{shown}\""), write));
    };
    let Value::Object(flag) = value else {
        return Err(wrong(format!("flag \"{shown}\" in {at} is not an object"), write));
    };
    // Before the variant: of a flag that is off the variant is true and means nothing.
    match find_property(flag, "state").map_err(twice)? {
        Some(Value::StringLit(s)) if s.value == "ENABLED" => {}
        Some(Value::StringLit(s)) if s.value == "DISABLED" => {
            return Err(wrong(
                format!(
                    "flag \"{shown}\" in {at} is DISABLED: applications use their built-in default, whatever it says"
                ),
                "set its \"state\" to \"ENABLED\", after checking that its \"defaultVariant\" is where things run now"
                    .into(),
            ));
        }
        _ => {
            let advice = "write \"state\": \"ENABLED\"".to_owned();
            return Err(wrong(format!("flag \"{shown}\" in {at} has no \"state\" that flagd knows"), advice));
        }
    }
    let Some(Value::Object(variants)) = find_property(flag, "variants").map_err(twice)? else {
        return Err(wrong(format!("flag \"{shown}\" in {at} has no \"variants\""), write));
    };
    let variants: Vec<String> = variants.properties.iter().map(|p| p.name.as_str().to_owned()).collect();
    let Some(Value::StringLit(literal)) = find_property(flag, "defaultVariant").map_err(twice)? else {
        return Err(wrong(
            format!("flag \"{shown}\" in {at} has no \"defaultVariant\" text"),
            format!("write \"defaultVariant\": one of {}", visible_names(&variants)),
        ));
    };
    let variant = literal.value.to_string();
    if !variants.contains(&variant) {
        return Err(wrong(
            format!(
                "flag \"{shown}\" in {at}: its \"defaultVariant\" {} is none of its variants",
                quoted_name(&variant)
            ),
            format!("set it to one of {}", visible_names(&variants)),
        ));
    }
    // An empty object is what the advice below asks for.
    let targeting = match find_property(flag, "targeting").map_err(twice)? {
        None | Some(Value::NullKeyword(_)) => false,
        Some(Value::Object(rules)) => !rules.properties.is_empty(),
        Some(_) => true,
    };
    if targeting {
        return Err(wrong(
            format!(
                "flag \"{shown}\" in {at} has targeting rules: they decide for each application what it gets, whatever \
                 its default variant says"
            ),
            "take the rules out (\"targeting\": {}), or ask and set it with provider = \"command\"".to_owned(),
        ));
    }
    // Last: what is wrong with the flag itself is worth more than what is wrong beside it.
    if let Some((name, why)) = find_broken_neighbour(flags).filter(|_| by == FileDialect::Flagd) {
        return Err(wrong(
            format!(
                "flag {} in {at} {why}: flagd refuses the whole file then, and goes on with what it read before",
                quoted_name(&name)
            ),
            "mend that flag".to_owned(),
        ));
    }
    let range = literal.range();
    Ok(FlagLiteral { variant, variants, literal: range.start + bom..range.end + bom })
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
