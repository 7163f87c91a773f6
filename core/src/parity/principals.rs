//! Who stands on green for whom of blue: `User:blue-x` is `User:green-x` there.

use std::borrow::Cow;

use serde::Serialize;

use crate::base::sanitise::quoted_name;

/// Everybody, as Kafka's authorizers read it: no pattern of ours, and the same on both clusters.
pub(super) const EVERYBODY: &str = "User:*";

/// The type of principals that Kafka makes itself; quotas and SCRAM users are named without it.
const USER: &str = "User:";

/// What green calls blue's principals. An exact name beats a pattern, and the first pattern wins, as among the plan's topics;
/// whoever no rule is for keeps the name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct PrincipalMap {
    rules: Vec<PrincipalRule>,
}

/// One line of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct PrincipalRule {
    from: String,
    to: String,
}

impl PrincipalMap {
    /// A map of these rules, blue's principal to green's, in the order of their weight. `*` in both stands for the same
    /// part of the name, one in each at most.
    ///
    /// # Errors
    /// Which rule is wrong, and how.
    pub fn new(rules: impl IntoIterator<Item = (String, String)>) -> Result<Self, String> {
        let mut map = Self::default();
        rules.into_iter().try_for_each(|(from, to)| map.add_rule(from, to))?;
        Ok(map)
    }

    /// Adds a rule behind those that are there.
    ///
    /// # Errors
    /// How it is wrong; nothing is added then.
    pub fn add_rule(&mut self, from: String, to: String) -> Result<(), String> {
        let stars = |text: &str| text.matches('*').count();
        let rule = format!("{} to {}", quoted_name(&from), quoted_name(&to));
        for principal in [&from, &to] {
            if principal.split_once(':').is_none_or(|(kind, name)| kind.is_empty() || name.is_empty()) {
                return Err(format!("{rule}: {} is no TYPE:NAME", quoted_name(principal)));
            }
        }
        if stars(&from) > 1 || stars(&to) > 1 {
            return Err(format!("{rule}: one * in each at most"));
        }
        if stars(&to) > stars(&from) {
            return Err(format!("{rule}: a * on green's side alone stands for nothing"));
        }
        if self.rules.iter().any(|known| known.from == from) {
            return Err(format!("{rule}: {} has a rule already", quoted_name(&from)));
        }
        self.rules.push(PrincipalRule { from, to });
        Ok(())
    }

    /// Who stands on green for this principal of blue.
    #[must_use]
    pub fn map_principal<'a>(&self, principal: &'a str) -> Cow<'a, str> {
        if principal == EVERYBODY {
            return principal.into();
        }
        let exact = self.rules.iter().find(|rule| rule.from == principal);
        if let Some(rule) = exact {
            return rule.to.clone().into();
        }
        let matched = self.rules.iter().find_map(|rule| Some((rule, match_star(&rule.from, principal)?)));
        matched.map_or(principal.into(), |(rule, part)| rule.to.replacen('*', part, 1).into())
    }

    /// The name on green of a user that quotas and passwords know without `User:`; `None` where it becomes a principal of
    /// another type, which has neither.
    #[must_use]
    pub fn map_user(&self, user: &str) -> Option<String> {
        // A user that is called `*` is somebody, other than in an ACL.
        if user == "*" {
            return Some(user.to_owned());
        }
        self.map_principal(&format!("{USER}{user}")).strip_prefix(USER).map(str::to_owned)
    }
}

/// What stands for the `*` of a pattern.
fn match_star<'a>(pattern: &str, name: &'a str) -> Option<&'a str> {
    let (before, after) = pattern.split_once('*')?;
    name.strip_prefix(before)?.strip_suffix(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(rules: &[(&str, &str)]) -> Result<PrincipalMap, String> {
        PrincipalMap::new(rules.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())))
    }

    #[test]
    fn an_exact_name_beats_a_pattern_and_the_first_pattern_wins() {
        let map = map(&[
            ("User:blue-*", "User:green-*"),
            ("User:*-app", "User:CN=*,O=x"),
            ("User:blue-app", "User:one"),
            ("User:svc-*", "User:all"),
        ])
        .unwrap();
        for (blue, green) in [
            ("User:blue-app", "User:one"),
            ("User:blue-x-app", "User:green-x-app"),
            ("User:y-app", "User:CN=y,O=x"),
            ("User:blue-", "User:green-"),
            ("User:svc-1", "User:all"),
            ("User:else", "User:else"),
            ("User:*", "User:*"),
            ("Group:blue-x", "Group:blue-x"),
        ] {
            assert_eq!(map.map_principal(blue), green, "{blue}");
        }
        assert_eq!(map.map_user("blue-x").as_deref(), Some("green-x"));
    }

    #[test]
    fn everybody_stays_everybody() {
        let map = map(&[("User:*", "User:g-*")]).unwrap();
        assert_eq!(map.map_principal("User:*"), "User:*", "and is not the user that is called `g-*`");
        assert_eq!(map.map_principal("User:a"), "User:g-a");
        assert_eq!(map.map_user("*").as_deref(), Some("*"));
    }

    #[test]
    fn a_user_that_becomes_another_type_of_principal_has_no_quota() {
        let map = map(&[("User:a", "Role:a")]).unwrap();
        assert_eq!((map.map_user("a"), map.map_user("b").as_deref()), (None, Some("b")));
    }

    #[test]
    fn a_wrong_rule_is_named() {
        for (from, to, said) in [
            ("User:a*b*", "User:x", "one * in each at most"),
            ("User:a", "User:*", "stands for nothing"),
            ("a", "User:b", "\"a\" is no TYPE:NAME"),
            ("User:a", "User:", "\"User:\" is no TYPE:NAME"),
        ] {
            let wrong = map(&[(from, to)]).unwrap_err();
            assert!(wrong.contains(said), "{wrong}");
        }
        assert!(map(&[("User:a", "User:b"), ("User:a", "User:c")]).unwrap_err().contains("has a rule already"));
    }
}
