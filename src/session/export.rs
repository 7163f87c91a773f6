//! Files for people: what a plan would commit, in the format of Kafka's own tool.

use std::io::Write as _;
use std::path::Path;

use crate::base::Trouble;
use crate::base::sanitise::visible_path;

/// Writes a file that only its owner reads (0600). One that is there is replaced only with `force`, and then all at
/// once: a reader finds the old one or the new one. Errors name the file and what to do.
pub(crate) fn write_file(path: &Path, text: &str, force: bool) -> Result<(), Trouble> {
    let failed = |e: &std::io::Error| {
        let what = format!("{} can't be written: {e}", visible_path(path));
        match e.kind() {
            std::io::ErrorKind::AlreadyExists => {
                Trouble::new(format!("{} is there already", visible_path(path)), "name another file, or add --force")
            }
            _ => Trouble::new(what, "see whether its directory exists, and who may write there"),
        }
    };
    // Whether one is there is found out by making it: a look beforehand could be overtaken.
    if !force {
        return create_file(path, text).map_err(|e| failed(&e));
    }
    // Where a link leads to: a rename would put the file in the link's place, and never in that of a device.
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if real.exists() && !real.is_file() {
        let what = format!("{} can't be replaced: it is no regular file", visible_path(path));
        return Err(Trouble::new(what, "name another file"));
    }
    let path = real.as_path();
    // In the same directory, because a rename can't cross filesystems.
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(name);
    let written = create_file(&beside, text).and_then(|()| std::fs::rename(&beside, path));
    written.map_err(|e| {
        let _ = std::fs::remove_file(&beside); // it may not even be there
        failed(&e)
    })
}

/// Writes a file that is not there yet; what can't be written whole is taken away again.
pub(crate) fn create_file(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    // Synced also where it is renamed next: after a power loss the new name must not lead to an empty file.
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).inspect_err(|_| {
        let _ = std::fs::remove_file(path); // half a file is worse than none
    })
}

#[cfg(test)]
mod tests {
    use super::write_file;

    #[test]
    fn a_file_is_its_owners_and_is_never_overwritten_by_accident() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan.csv");
        write_file(&path, "a,0,1\n", false).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(write_file(&path, "b,0,2\n", false).unwrap_err().advice.contains("--force"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a,0,1\n");
        write_file(&path, "b,0,2\n", true).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "b,0,2\n");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write_file(&link, "c,0,3\n", true).unwrap();
        assert!(link.is_symlink(), "the file that it leads to is replaced");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "c,0,3\n");
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600,
            "whoever could read the old one"
        );
        assert!(write_file(dir.path(), "", true).unwrap_err().what.ends_with("it is no regular file"));
        let nowhere = write_file(&dir.path().join("no/such/plan.csv"), "", false).unwrap_err();
        assert!(nowhere.what.contains("no/such/plan.csv"), "{nowhere:?}");
    }
}
