//! The reset file of a translation, written beside the plan: what `kafka-consumer-groups --reset-offsets --from-file`
//! reads.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tokio::sync::Semaphore;

use super::Core;
use crate::base::sanitise::{visible_name, visible_path};
use crate::base::{Side, Trouble};
use crate::migration::facts::command::Refusal;
use crate::offsets::{Chosen, reset_file};
use crate::session::export::create_file;
use crate::snapshot::Reply;

/// Most files of one group and side: nothing is ever overwritten, and a held key must not fill the disk.
const MOST: usize = 100;
/// Most bytes of a group's id in a file's name.
const NAME: usize = 80;

/// One is written at a time: a disk that hangs must not gather writers.
static ONE: Semaphore = Semaphore::const_new(1);

impl Core {
    /// Writes what a screen shows of a group: its newest translation, or that by a chosen strategy. The loop does not
    /// wait for the disk; the answer comes when it is written.
    pub(super) fn export_offsets(&self, id: u64, group: &str, to: Side, chosen: Option<&Chosen>) {
        let replies = self.ends.replies.clone();
        let text = self.format_reset_file(group, to, chosen);
        let (file, group) = (self.plan.file.clone(), group.to_owned());
        tokio::spawn(async move {
            let result = match text {
                Ok(text) => write_reset_file(file, group, to, text).await,
                Err(refusal) => Err(refusal),
            };
            if replies.try_send(Reply::Exported { id, result }).is_err() {
                tracing::warn!("a reply was dropped: nobody reads them");
            }
        });
    }

    fn format_reset_file(&self, group: &str, to: Side, chosen: Option<&Chosen>) -> Result<String, Refusal> {
        match self.find_shown_plan(group, to, chosen) {
            Some(plan) => Ok(reset_file::format_lines(&plan).into_iter().map(|l| l + "\n").collect()),
            None => Err(Refusal::unknown(
                format!("{group} was not measured to {to} yet", group = visible_name(group)),
                "measure it first",
            )),
        }
    }
}

async fn write_reset_file(plan: Option<PathBuf>, group: String, to: Side, text: String) -> Result<String, Refusal> {
    let Ok(_one) = ONE.try_acquire() else {
        return Err(Refusal::refused("another file is being written", "wait for it"));
    };
    match tokio::task::spawn_blocking(move || write_new_file(plan.as_deref(), &group, to, &text)).await {
        Ok(Ok(path)) => Ok(visible_path(&path)),
        Ok(Err(trouble)) => Err(Refusal::refused(trouble.what, trouble.advice)),
        Err(e) => Err(Refusal::refused(format!("the file was not written: {e}"), "try again")),
    }
}

/// Writes a new file, readable by its owner alone, into the directory of the plan; blocking. Returns its path.
///
/// # Errors
/// It can't be written, or there are too many of them.
fn write_new_file(plan: Option<&Path>, group: &str, to: Side, text: &str) -> Result<PathBuf, Trouble> {
    let dir = plan.and_then(Path::parent).filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = group.chars().map(plain).take(NAME).collect();
    for n in 1..=MOST {
        let number = if n == 1 { String::new() } else { format!("-{n}") };
        let path = dir.join(format!("offsets-{name}-{to}{number}.csv"));
        match create_file(&path, text) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            written => {
                let trouble = |e| {
                    Trouble::new(
                        format!("{}: {e}", visible_path(&path)),
                        "make room, or the directory of the plan writable",
                    )
                };
                // The whole path is only for whoever reads the answer: the file is written by now.
                return written.map_err(trouble).map(|()| path.canonicalize().unwrap_or(path));
            }
        }
    }
    let what = format!("{} holds {MOST} reset files of {name} already", visible_path(dir), name = visible_name(&name));
    Err(Trouble::new(what, "take away those that nobody needs: none is overwritten"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_beside_the_plan_that_overwrites_nothing_and_is_its_owners() {
        let dir = tempfile::tempdir().unwrap();
        let plan = dir.path().join("cutover.toml");
        let write = |text: &str| super::write_new_file(Some(&plan), "../etc/pass wd\n\u{202e}", Side::Green, text);
        let first = write("t,0,7\n").unwrap();
        assert_eq!(first.file_name().unwrap().to_str(), Some("offsets-.._etc_pass_wd__-green.csv"));
        assert_eq!(first.parent(), Some(dir.path().canonicalize().unwrap().as_path()));
        assert_eq!(std::fs::metadata(&first).unwrap().permissions().mode() & 0o777, 0o600);
        let second = write("t,0,8\n").unwrap();
        assert_ne!(first, second);
        assert_eq!(std::fs::read_to_string(&first).unwrap(), "t,0,7\n");
        assert_eq!(std::fs::read_to_string(&second).unwrap(), "t,0,8\n");
        for _ in 2..MOST {
            write("").unwrap();
        }
        assert!(write("").unwrap_err().what.contains("already"), "bounded");
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let plan = dir.path().join("gone/cutover.toml");
        let why = write_new_file(Some(&plan), "g", Side::Blue, "").unwrap_err();
        assert!(why.what.contains("gone") && why.what.contains("offsets-g-blue.csv"), "{why:?}");
    }
}
