//! Sparklines as levels: which cell is how high. Glyphs come from the theme.

/// Levels of one cell: 0 is the lowest bar, 7 a full one.
pub(crate) const LEVELS: u64 = 8;

/// One column of a sparkline: `None` is a hole (nothing measured), else eighths of the whole height, at least 1,
/// so that a measured zero is a line at the foot and a hole is nothing.
pub(crate) type Column = Option<u64>;

/// The newest `columns` samples of a trend as columns of a chart `rows` cells high, on the scale `0..=max`.
/// Missing history on the left is `None`. Long trends keep their newest end: one sample, one column.
#[must_use]
pub(crate) fn scale_columns(trend: &[Option<u64>], columns: usize, rows: u64, max: u64) -> Vec<Column> {
    let newest = &trend[trend.len().saturating_sub(columns)..];
    let mut out = vec![None; columns - newest.len()];
    let top = rows.max(1) * LEVELS;
    out.extend(newest.iter().map(|s| {
        s.map(|v| {
            if max == 0 {
                return 1;
            }
            // In 128 bits: a large lag times the height would not fit.
            let level = u128::from(v.min(max)) * u128::from(top - 1) / u128::from(max);
            u64::try_from(level).unwrap_or(top - 1) + 1
        })
    }));
    out
}

/// The bar in one cell of a column: `row` counts from the foot. `None`: nothing is drawn there.
#[must_use]
pub(crate) fn bar_in_cell(column: Column, row: u64) -> Option<u64> {
    let height = column?;
    let below = row * LEVELS;
    (height > below).then(|| (height - below).min(LEVELS) - 1)
}

/// The common scale of several trends.
#[must_use]
pub(crate) fn shared_max(trends: &[&[Option<u64>]], newest: usize) -> u64 {
    trends.iter().flat_map(|t| &t[t.len().saturating_sub(newest)..]).flatten().copied().max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_a_line_and_a_hole_is_nothing() {
        let c = scale_columns(&[Some(0), None, Some(10)], 4, 1, 10);
        assert_eq!(c, [None, Some(1), None, Some(8)]);
        assert_eq!(bar_in_cell(c[1], 0), Some(0));
        assert_eq!(bar_in_cell(c[0], 0), None);
        assert_eq!(bar_in_cell(c[3], 0), Some(7));
    }

    #[test]
    fn tall_charts_fill_from_the_foot() {
        let c = scale_columns(&[Some(100), Some(50)], 2, 3, 100);
        assert_eq!(c[0], Some(24));
        assert_eq!((bar_in_cell(c[0], 2), bar_in_cell(c[0], 0)), (Some(7), Some(7)));
        assert_eq!(bar_in_cell(c[1], 2), None);
        assert_eq!(scale_columns(&[Some(u64::MAX)], 1, 3, u64::MAX), [Some(24)]);
    }

    #[test]
    fn both_sides_share_one_scale() {
        assert_eq!(shared_max(&[&[Some(3), None], &[Some(9), Some(1)]], 2), 9);
        assert_eq!(shared_max(&[&[Some(3), None], &[Some(9), Some(1)]], 1), 1);
    }
}
