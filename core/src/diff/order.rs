//! How many records have moved: the smallest number to take out so that the rest are in the same order on both logs.

/// Indices of the records that have moved, given each record's place on the target in the order of the source; the
/// rest is a longest increasing subsequence. Of several such choices the one that keeps the lowest places: of two
/// records that swapped, the one that came late on the target has moved. O(n log n), no work when all are in order.
pub(super) fn find_moved(places: &[i64]) -> Vec<usize> {
    if places.is_sorted() {
        return Vec::new();
    }
    // tails[l]: the index that ends the best run of length l + 1 so far; before[i]: what precedes i in its run.
    let mut tails: Vec<usize> = Vec::new();
    let mut before = vec![usize::MAX; places.len()];
    for (i, place) in places.iter().enumerate() {
        let length = tails.partition_point(|t| places[*t] < *place);
        if length > 0 {
            before[i] = tails[length - 1];
        }
        if length == tails.len() {
            tails.push(i);
        } else {
            tails[length] = i;
        }
    }
    let mut stays = vec![false; places.len()];
    let mut next = tails.last().copied();
    while let Some(i) = next {
        stays[i] = true;
        next = (before[i] != usize::MAX).then(|| before[i]);
    }
    (0..places.len()).filter(|i| !stays[*i]).collect()
}

/// How far each of the given records is from its place: the difference of its ranks on the two logs.
pub(super) fn measure_displacements(places: &[i64], which: &[usize]) -> Vec<u64> {
    let mut sorted = places.to_vec();
    sorted.sort_unstable();
    let rank = |i: usize| sorted.partition_point(|p| *p < places[i]);
    which.iter().map(|i| i.abs_diff(rank(*i)) as u64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_records_that_explain_the_difference_have_moved() {
        let cases: &[(&[i64], &[usize], &[u64])] = &[
            (&[], &[], &[]),
            (&[1, 2, 3], &[], &[]),
            (&[2, 1, 3], &[0], &[1]),
            (&[1, 5, 2, 3, 4], &[1], &[3]),
            (&[5, 2, 3, 4, 1], &[0, 4], &[4, 4]),
            (&[2, 3, 4, 1], &[3], &[3]),
            (&[10, 30, 20, 40, 60, 50], &[1, 4], &[1, 1]),
        ];
        for (places, out, far) in cases {
            assert_eq!(find_moved(places), *out, "{places:?}");
            assert_eq!(measure_displacements(places, out), *far, "{places:?}");
        }
    }
}
