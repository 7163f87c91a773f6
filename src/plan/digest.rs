//! Whether two readings of a plan are the same plan.

use sha2::{Digest as _, Sha256};

use super::Plan;

impl Plan {
    /// A digest of everything the plan says (SHA-256, hexadecimal). Secrets count by where they come from, not by what
    /// they are: a rotated password is the same plan.
    #[must_use]
    pub fn digest(&self) -> String {
        // A plan is plain data with string keys, so this can't fail; an empty text would only look like another plan.
        let text = serde_json::to_vec(self).unwrap_or_default();
        format!("{:x}", Sha256::digest(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_plan_says_is_what_counts() {
        let plan = |max: u32| {
            let text = format!(
                "[clusters]\nblue.bootstrap = 'a:1'\ngreen.bootstrap = 'b:1'\n[defaults]\nmax_re_read = {max}\n"
            );
            Plan::parse(&text, std::path::Path::new("cutover.toml")).unwrap().plan
        };
        assert_eq!(plan(7).digest(), plan(7).digest());
        assert_ne!(plan(7).digest(), plan(8).digest());
        assert_eq!(plan(7).digest().len(), 64);
    }

    #[test]
    fn one_file_is_one_plan_from_wherever_it_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, link) = (dir.path().join("plans"), dir.path().join("link"));
        std::fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        let text = "[clusters]\nblue.bootstrap = 'a:1'\ngreen.bootstrap = 'b:1'\n[[groups]]\nname = 'g'\n\
                    switch = { provider = 'file', path = 'flags.json', key = 'g' }\n";
        std::fs::write(folder.join("cutover.toml"), text).unwrap();
        let named = |folder: std::path::PathBuf| {
            let plan = Plan::load(&folder.join("cutover.toml")).unwrap().plan;
            (plan.digest(), plan.journal)
        };
        let one = named(folder.clone());
        assert_eq!(one, named(link));
        assert_eq!(one, named(folder.join("../plans/.")));
    }
}
