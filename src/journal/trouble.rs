//! SQLite's errors in words that say what to do.

use std::path::Path;

use rusqlite::ErrorCode;

use super::reserve::is_read_only;
use crate::base::Trouble;
use crate::base::sanitise::visible_path;

/// What to do about a filesystem that takes no writes.
pub(super) const READ_ONLY: &str = "a disk error may have caused it (see the system log); `--read-only` looks all the same, and `journal` names another place";

/// `doing`: "read", "write to", "open".
pub(super) fn sqlite_trouble(path: &Path, doing: &str, e: &rusqlite::Error) -> Trouble {
    let at = visible_path(path);
    let code = e.sqlite_error_code();
    tracing::error!(journal = %at, doing, ?code, error = %e, "journal");
    // SQLite tells a filesystem that takes no writes from no other failed write.
    let may_be_read_only =
        matches!(code, Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::SystemIoFailure));
    if may_be_read_only && is_read_only(path) {
        return Trouble::new(format!("can't {doing} the journal {at}: Read-only file system"), READ_ONLY);
    }
    let (what, advice) = match code {
        Some(ErrorCode::DiskFull) => (
            format!("can't {doing} the journal {at}: the disk is full"),
            "free some space there; nothing is done that is not in the journal".to_owned(),
        ),
        Some(ErrorCode::NotADatabase) => (
            format!("{at} is not a journal"),
            "name another place with the key `journal` under [migration], or move that file away".to_owned(),
        ),
        Some(ErrorCode::DatabaseCorrupt) => (
            format!("the journal {at} is damaged: {e}"),
            "keep a copy of it, and `cutover journal verify` shows how far it can be read".to_owned(),
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => (
            format!("can't {doing} the journal {at}: {e}"),
            "check its permissions and those of its directory".to_owned(),
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            format!("can't {doing} the journal {at}: another program keeps it locked"),
            "close whatever else has the file open, such as an SQLite shell".to_owned(),
        ),
        Some(ErrorCode::SystemIoFailure) => (
            format!("can't {doing} the journal {at}: the disk fails ({e})"),
            "look at the system log; keep a copy of the journal".to_owned(),
        ),
        _ => (format!("can't {doing} the journal {at}: {e}"), "`cutover journal verify` checks the file".to_owned()),
    };
    Trouble::new(what, advice)
}
