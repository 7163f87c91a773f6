//! Counts in sentences.

/// So many of a thing: `1 member`, `3 members`.
#[must_use]
pub fn format_plural(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural_and_none_is_one() {
        let told = [0, 1, 2].map(|n| format_plural(n, "member"));
        assert_eq!(told, ["0 members", "1 member", "2 members"]);
    }
}
