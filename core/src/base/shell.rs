//! Words of a shell, for lines that people copy.

use super::sanitise::is_legible;

/// A word as a POSIX shell reads it back: group ids may hold anything, and these lines are made to be copied from where
/// they are shown. What can't be copied from a screen is written as bytes for `printf` (`$'..'` is not in every shell).
#[must_use]
pub fn shell_word(word: &str) -> String {
    // As an argument none of these means anything to a POSIX shell.
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into();
    }
    if is_legible(word) {
        return format!("'{}'", word.replace('\'', "'\\''"));
    }
    // `$(..)` takes line breaks at the end away: those stand after it, in quotes of a shell that has them.
    let kept = word.trim_end_matches('\n');
    let octal = |b: u8| match b {
        b'%' => "%%".to_owned(),
        b if b.is_ascii_alphanumeric() || b" ._-/:@+=,".contains(&b) => char::from(b).to_string(),
        b => format!("\\{b:03o}"),
    };
    let bytes: String = kept.bytes().map(octal).collect();
    // printf takes a word that begins with a dash for an option.
    let dash = if bytes.starts_with('-') { "-- " } else { "" };
    let breaks = "$'\\n'".repeat(word.len() - kept.len());
    if kept.is_empty() { breaks } else { format!("\"$(printf {dash}'{bytes}')\"{breaks}") }
}

#[cfg(test)]
mod tests {
    use super::shell_word;

    #[test]
    fn a_hostile_group_id_is_one_word_of_a_shell() {
        for plain in ["loan-audit", "a.b_c:d@e"].iter() {
            assert_eq!(shell_word(plain), *plain);
        }
        for hostile in [
            "",
            "a b",
            "x; rm -rf ~",
            "$(reboot)",
            "it's",
            "`id`",
            "a\nb",
            "#",
            "команда",
            "\u{1b}]0;x\u{7}",
            "a\u{200b}b",
            "p\u{430}y 100%d's",
            "-n\t\"\\",
            "\r 'x'",
            "a\\101\u{9b}",
        ] {
            let out =
                std::process::Command::new("sh").arg("-c").arg(format!("printf %s {}", shell_word(hostile))).output();
            assert_eq!(String::from_utf8(out.unwrap().stdout).unwrap(), hostile);
            assert!(crate::base::sanitise::is_clean(&shell_word(hostile)), "it can be shown and copied: {hostile:?}");
        }
    }
}
