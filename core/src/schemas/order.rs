//! The order in which versions are imported: what is referenced comes before what references it. Ascending ids are not
//! enough: a schema may have been registered again before its reference was.

use std::collections::{BTreeMap, BTreeSet};

use super::subject::SubjectVersion;

/// An order, and what has none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImportOrder {
    /// Everything that has an order, what is referenced first; among equals the lower id, then by name.
    pub ordered: Vec<SubjectVersion>,
    /// Versions that reference each other in a circle, one circle a list.
    pub circles: Vec<Vec<SubjectVersion>>,
    /// What has no order because something that it references has none.
    pub behind: Vec<SubjectVersion>,
}

/// Orders versions, each with its id and the versions that it references. A reference to what is not among them holds
/// nothing up.
#[must_use]
pub fn order_by_references(versions: &BTreeMap<SubjectVersion, (u32, BTreeSet<SubjectVersion>)>) -> ImportOrder {
    let mut waits: BTreeMap<&SubjectVersion, usize> = BTreeMap::new();
    let mut used_by: BTreeMap<&SubjectVersion, Vec<&SubjectVersion>> = BTreeMap::new();
    for (at, (_, references)) in versions {
        let within = references.iter().filter(|r| versions.contains_key(*r));
        waits.insert(at, within.clone().count());
        within.for_each(|r| used_by.entry(r).or_default().push(at));
    }
    let ready = waits.iter().filter(|(_, n)| **n == 0).map(|(at, _)| (versions[*at].0, *at));
    let mut ready: BTreeSet<(u32, &SubjectVersion)> = ready.collect();
    let mut order = ImportOrder::default();
    while let Some((_, at)) = ready.pop_first() {
        waits.remove(at);
        order.ordered.push(at.clone());
        for next in used_by.get(at).into_iter().flatten() {
            if let Some(n) = waits.get_mut(next) {
                *n -= 1;
                if *n == 0 {
                    ready.insert((versions[*next].0, next));
                }
            }
        }
    }
    let left: BTreeSet<&SubjectVersion> = waits.into_keys().collect();
    let mut in_circles: BTreeSet<&SubjectVersion> = BTreeSet::new();
    for start in &left {
        let circle = follow_circle(start, &left, versions);
        if circle.iter().all(|at| !in_circles.contains(at)) {
            order.circles.push(circle.iter().map(|at| (*at).clone()).collect());
            in_circles.extend(circle);
        }
    }
    order.behind = left.into_iter().filter(|at| !in_circles.contains(at)).cloned().collect();
    order
}

/// The circle that one ends in who follows, from `start`, the first reference that has no order either: each has one.
fn follow_circle<'a>(
    start: &'a SubjectVersion,
    left: &BTreeSet<&'a SubjectVersion>,
    versions: &'a BTreeMap<SubjectVersion, (u32, BTreeSet<SubjectVersion>)>,
) -> Vec<&'a SubjectVersion> {
    let mut path: Vec<&SubjectVersion> = Vec::new();
    let mut seen: BTreeMap<&SubjectVersion, usize> = BTreeMap::new();
    let mut at = start;
    loop {
        if let Some(begun) = seen.get(at) {
            return path.split_off(*begun);
        }
        seen.insert(at, path.len());
        path.push(at);
        match versions[at].1.iter().find(|r| left.contains(r)) {
            Some(next) => at = next,
            None => return path,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Versions = BTreeMap<SubjectVersion, (u32, BTreeSet<SubjectVersion>)>;

    fn at(name: &str) -> SubjectVersion {
        SubjectVersion::new(name, 1)
    }

    fn of(list: &[(&str, u32, &[&str])]) -> Versions {
        list.iter().map(|(name, id, refs)| (at(name), (*id, refs.iter().map(|r| at(r)).collect()))).collect()
    }

    /// Rule 8.
    #[test]
    fn what_is_referenced_comes_first_whatever_its_id() {
        let order = order_by_references(&of(&[("a", 1, &["b"]), ("b", 7, &["elsewhere"]), ("c", 3, &[])]));
        assert_eq!(order.ordered, [at("c"), at("b"), at("a")]);
        assert!(order.circles.is_empty() && order.behind.is_empty());
    }

    #[test]
    fn a_circle_is_named_and_what_hangs_on_it_too() {
        let order = order_by_references(&of(&[
            ("a", 1, &["b"]),
            ("b", 2, &["c"]),
            ("c", 3, &["b"]),
            ("d", 4, &["d"]),
            ("e", 5, &[]),
        ]));
        assert_eq!(order.ordered, [at("e")]);
        assert_eq!(order.circles, [vec![at("b"), at("c")], vec![at("d")]]);
        assert_eq!(order.behind, [at("a")]);
    }

    proptest! {
        #[test]
        fn nothing_comes_before_what_it_references(edges in prop::collection::vec((0_u32..12, 0_u32..12), 0..40)) {
            let mut versions: Versions = (0..12).map(|n| (at(&n.to_string()), (100 - n, BTreeSet::new()))).collect();
            for (from, to) in edges {
                versions.get_mut(&at(&from.to_string())).unwrap().1.insert(at(&to.to_string()));
            }
            let order = order_by_references(&versions);
            for (place, one) in order.ordered.iter().enumerate() {
                let before = &order.ordered[..place];
                prop_assert!(versions[one].1.iter().all(|r| before.contains(r)), "{one} in {order:?}");
            }
            let circles: usize = order.circles.iter().map(Vec::len).sum();
            prop_assert_eq!(order.ordered.len() + circles + order.behind.len(), 12);
            for circle in &order.circles {
                for (i, one) in circle.iter().enumerate() {
                    prop_assert!(versions[one].1.contains(&circle[(i + 1) % circle.len()]), "{circle:?}");
                }
            }
        }
    }
}
