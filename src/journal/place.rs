//! Where a journal is: its directory, its mode, its filesystem.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::base::Trouble;
use crate::base::sanitise::visible_path;

const ELSEWHERE: &str = "name another place with the key `journal` under [migration]";

/// Makes the directory, refuses what can't hold a journal, and resolves links, so that everyone locks the same file.
pub(super) fn prepare_path(path: &Path) -> Result<PathBuf, Trouble> {
    let Some(name) = path.file_name() else {
        return Err(Trouble::new(format!("{} is no file name for a journal", visible_path(path)), ELSEWHERE));
    };
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| {
        Trouble::new(format!("can't make the journal's directory {}: {e}", visible_path(dir)), ELSEWHERE)
    })?;
    let at = |e: std::io::Error| Trouble::new(format!("can't use the directory {}: {e}", visible_path(dir)), ELSEWHERE);
    let dir = dir.canonicalize().map_err(at)?;
    let path = dir.join(name);
    let path = if path.is_symlink() {
        let seen =
            |e: std::io::Error| Trouble::new(format!("can't follow the link {}: {e}", visible_path(&path)), ELSEWHERE);
        path.canonicalize().map_err(seen)?
    } else {
        path
    };
    if path.is_dir() {
        return Err(Trouble::new(format!("the journal {} is a directory", visible_path(&path)), ELSEWHERE));
    }
    if let Some(kind) = find_network_filesystem(path.parent().unwrap_or(&dir)) {
        return Err(Trouble::new(
            format!(
                "the journal {} is on a network filesystem ({kind}), where locks and shared memory can't be relied on",
                visible_path(&path)
            ),
            "put it on a local disk: key `journal` under [migration]",
        ));
    }
    Ok(path)
}

/// Creates the file, readable by its owner alone, if there is none.
pub(super) fn create_file(path: &Path) -> Result<(), Trouble> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(Trouble::new(format!("can't create the journal {}: {e}", visible_path(path)), ELSEWHERE)),
    }
}

/// What is doubtful about a journal's mode.
pub(super) fn describe_doubt(path: &Path) -> Option<String> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o077 != 0).then(|| {
        format!(
            "the journal {} has mode {:03o}: others on this machine can open it; chmod 600 it",
            visible_path(path),
            mode & 0o777
        )
    })
}

/// The name of the network filesystem that a directory is on, by the magic numbers of statfs(2).
fn find_network_filesystem(dir: &Path) -> Option<&'static str> {
    // One that can't be asked is not refused: where shared memory is lacking, WAL mode says so when the file is opened.
    let magic = rustix::fs::statfs(dir).ok()?.f_type;
    // f_type has another width and sign on other platforms: the low 32 bits are the number everywhere
    network_kind(magic as u64 & 0xffff_ffff)
}

fn network_kind(magic: u64) -> Option<&'static str> {
    match magic {
        0x6969 => Some("NFS"),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => Some("SMB"),
        0x5346_414f | 0x6b41_4653 => Some("AFS"),
        0x00c3_6400 => Some("Ceph"),
        0x0102_1997 => Some("9p"),
        0x0bd0_0bd0 => Some("Lustre"),
        0x4750_4653 => Some("GPFS"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_made_for_its_owner_alone_and_links_are_resolved() {
        let dir = tempfile::tempdir().unwrap();
        let path = prepare_path(&dir.path().join("new/.cutover/x.journal")).unwrap();
        let mode = std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        create_file(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(prepare_path(&link).unwrap(), path);
        assert!(prepare_path(dir.path()).unwrap_err().what.contains("is a directory"));
        assert!(prepare_path(Path::new("/proc/none/x")).unwrap_err().what.contains("/proc/none"));
    }

    #[test]
    fn network_filesystems_are_known_by_their_numbers() {
        assert_eq!(network_kind(0x6969), Some("NFS"));
        assert_eq!(network_kind(0xff53_4d42), Some("SMB"));
        assert_eq!(network_kind(0xef53), None, "ext4");
        assert_eq!(network_kind(0x0102_1994), None, "tmpfs");
    }
}
