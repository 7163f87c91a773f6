//! Strings on a grid of cells: cut by display width, numbers and durations that a tired person can read.

use std::collections::{HashMap, HashSet};

use ratatui::style::Style;
use ratatui::text::Span;
use unicode_width::UnicodeWidthStr;
use xxhash_rust::xxh3::xxh3_64;

use crate::base::sanitise::{visible_cow, visible_name};

/// Most code points of one grapheme that are drawn: a name made of combining marks must not flood a cell.
const MAX_GRAPHEME_CHARS: usize = 6;

/// Display width in cells.
#[must_use]
pub fn width(s: &str) -> usize {
    if is_plain(s) {
        return s.len();
    }
    split_graphemes(s).iter().map(|g| g.1).sum()
}

/// Printable ASCII: a cell a byte, and nothing to make visible.
fn is_plain(s: &str) -> bool {
    s.bytes().all(|b| (0x20..0x7f).contains(&b))
}

/// Graphemes with the number of cells each takes. What takes none has been made visible before.
fn split_graphemes(s: &str) -> Vec<(String, usize)> {
    // Split as ratatui splits it, so that a width is what will be drawn.
    Span::raw(visible_cow(s))
        .styled_graphemes(Style::default())
        .map(|g| g.symbol.chars().take(MAX_GRAPHEME_CHARS).collect::<String>())
        .map(|g| {
            let w = g.width();
            (g, w)
        })
        .filter(|g| g.1 > 0)
        .collect()
}

/// At most `cells` wide, with `ellipsis` in place of what was cut from the end.
#[must_use]
pub fn cut(s: &str, cells: usize, ellipsis: &str) -> String {
    if s.len() <= cells && is_plain(s) {
        return s.to_owned();
    }
    let parts = split_graphemes(s);
    if parts.iter().map(|p| p.1).sum::<usize>() <= cells {
        return parts.into_iter().map(|p| p.0).collect();
    }
    let mark = ellipsis.width();
    if cells < mark {
        return String::new();
    }
    let mut out = String::new();
    let mut used = 0;
    for (g, w) in parts {
        if used + w > cells - mark {
            break;
        }
        used += w;
        out.push_str(&g);
    }
    out.push_str(ellipsis);
    out
}

/// Foreign names as a table shows them, in at most `cells` each: made visible, cut in the middle, and never two that
/// differ alike. Where the cut would make them so, a sum over the whole name takes the place of the end.
#[must_use]
pub(crate) fn shorten_names<'a>(names: impl IntoIterator<Item = &'a str>, cells: usize, ellipsis: &str) -> Vec<String> {
    let whole: Vec<String> = names.into_iter().map(visible_name).collect();
    shorten_apart(&whole, cells, ellipsis)
}

/// The same of words in which foreign names are visible already.
#[must_use]
pub(crate) fn shorten_apart(whole: &[String], cells: usize, ellipsis: &str) -> Vec<String> {
    let mut shown: Vec<String> = whole.iter().map(|n| cut_middle(n, cells, ellipsis)).collect();
    // Few digits are quickly read, and two sums of them may be equal: more of them where they are.
    for digits in [3, 6, 12] {
        let alike = find_alike(&shown, whole);
        if alike.is_empty() {
            break;
        }
        for (shown, whole) in shown.iter_mut().zip(whole).filter(|(shown, _)| alike.contains(*shown)) {
            *shown = shorten_with_sum(whole, digits, cells, ellipsis);
        }
    }
    shown
}

/// What is shown of two or more that differ.
fn find_alike(shown: &[String], whole: &[String]) -> HashSet<String> {
    let mut first: HashMap<&str, &str> = HashMap::new();
    shown
        .iter()
        .zip(whole)
        .filter(|(shown, whole)| *first.entry(shown.as_str()).or_insert(whole.as_str()) != whole.as_str())
        .map(|(shown, _)| shown.clone())
        .collect()
}

/// The beginning of a name, and a sum over all of it.
fn shorten_with_sum(whole: &str, digits: usize, cells: usize, ellipsis: &str) -> String {
    let sum = format!("{:012x}", xxh3_64(whole.as_bytes()) & 0xffff_ffff_ffff);
    let digits = digits.min(cells.saturating_sub(width(ellipsis)));
    let end = format!("{ellipsis}{}", &sum[sum.len() - digits..]);
    cut(whole, cells.saturating_sub(width(&end)), "") + &end
}

/// At most `cells` wide, cut in the middle: names of one estate share their beginnings and differ at their ends.
#[must_use]
pub(crate) fn cut_middle(s: &str, cells: usize, ellipsis: &str) -> String {
    if s.len() <= cells && is_plain(s) {
        return s.to_owned();
    }
    let parts = split_graphemes(s);
    if parts.iter().map(|p| p.1).sum::<usize>() <= cells {
        return parts.into_iter().map(|p| p.0).collect();
    }
    let mark = ellipsis.width();
    // Too narrow for both ends: then the beginning says more.
    if cells < mark + 4 {
        return cut(s, cells, ellipsis);
    }
    let room = cells - mark;
    let tail_room = room * 2 / 5;
    let mut tail = Vec::new();
    let mut used = 0;
    for (g, w) in parts.iter().rev() {
        if used + w > tail_room {
            break;
        }
        used += w;
        tail.push(g.as_str());
    }
    tail.reverse();
    let mut head = String::new();
    let mut head_used = 0;
    for (g, w) in &parts {
        if head_used + w > room - used {
            break;
        }
        head_used += w;
        head.push_str(g);
    }
    format!("{head}{ellipsis}{}", tail.concat())
}

/// `s` broken into lines of at most `cells`, at spaces where there are any; at most `max` lines, the last one cut.
#[must_use]
pub fn wrap(s: &str, cells: usize, max: usize, ellipsis: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    if cells == 0 || max == 0 {
        return lines;
    }
    let mut line = String::new();
    for word in visible_cow(s).split(' ').filter(|word| !word.is_empty()) {
        let mut word = word.to_owned();
        loop {
            let gap = usize::from(!line.is_empty());
            if width(&line) + gap + width(&word) <= cells {
                if gap == 1 {
                    line.push(' ');
                }
                line.push_str(&word);
                break;
            }
            if line.is_empty() {
                let head = cut(&word, cells, "");
                // A letter wider than the line fits on none: it is left out, or this would never end.
                if head.is_empty() {
                    break;
                }
                let taken = split_graphemes(&head).len();
                word = split_graphemes(&word).into_iter().skip(taken).map(|p| p.0).collect();
                lines.push(head);
            } else {
                lines.push(std::mem::take(&mut line));
            }
            // One line more than asked for tells that the last one must be cut.
            if lines.len() > max {
                break;
            }
        }
        if lines.len() > max {
            break;
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    if lines.len() > max {
        let rest = lines.split_off(max - 1).join(" ");
        lines.push(cut(&rest, cells, ellipsis));
    }
    lines
}

/// A count in at most five cells: `0`, `9999`, `12.3k`, `184k`, `1.25M`.
#[must_use]
pub(crate) fn format_count(n: u64) -> String {
    #[allow(clippy::cast_precision_loss)]
    let f = n as f64;
    match n {
        0..=9_999 => n.to_string(),
        _ => format_scaled(f),
    }
}

/// A rate in records a second, in at most five cells before the `/s`: `0/s`, `0.4/s`, `5.21k/s`.
#[must_use]
pub(crate) fn format_rate(r: f64) -> String {
    if !r.is_finite() || r < 0.0 {
        return "?/s".into();
    }
    // The next form begins where rounding would add a digit: 9.95 would read 10.0.
    if r < 0.05 {
        "0/s".into()
    } else if r < 9.95 {
        format!("{r:.1}/s")
    } else if r < 999.5 {
        format!("{r:.0}/s")
    } else {
        format!("{}/s", format_scaled(r))
    }
}

fn format_scaled(f: f64) -> String {
    // The next unit begins where rounding would carry: 999,500 would read 1000k.
    let (v, unit) = if f < 999_500.0 {
        (f / 1e3, "k")
    } else if f < 999_500_000.0 {
        (f / 1e6, "M")
    } else if f < 999.5e9 {
        (f / 1e9, "G")
    } else if f < 999.5e12 {
        (f / 1e12, "T")
    } else {
        (f / 1e15, "P")
    };
    if v < 9.995 {
        format!("{v:.2}{unit}")
    } else if v < 99.95 {
        format!("{v:.1}{unit}")
    } else {
        format!("{v:.0}{unit}")
    }
}

/// An offset with its digits in threes: `1 204 113`; offsets are compared by eye, so they are never rounded.
#[must_use]
pub(crate) fn format_offset(o: i64) -> String {
    let digits = o.unsigned_abs().to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(c);
    }
    if o < 0 { format!("-{out}") } else { out }
}

/// A duration in at most six cells: `0.4s`, `38s`, `4m12s`, `3h12m`, `31h04m`, `9d02h`.
#[must_use]
pub fn format_duration(ms: u64) -> String {
    let s = ms / 1000;
    match s {
        0..=9 if ms % 1000 >= 100 => format!("{}.{}s", s, ms % 1000 / 100),
        0..=119 => format!("{s}s"),
        120..=7199 => format!("{}m{:02}s", s / 60, s % 60),
        7200..=359_999 => format!("{}h{:02}m", s / 3600, s % 3600 / 60),
        _ => format!("{}d{:02}h", s / 86_400, s % 86_400 / 3600),
    }
}

/// A bound in whole units where it is one: `45s`, `2m`, `1m30s`.
#[must_use]
pub(crate) fn format_timeout(ms: u64) -> String {
    match ms / 1000 {
        s if s >= 60 && s % 60 == 0 && s < 7200 => format!("{}m", s / 60),
        _ => format_duration(ms),
    }
}

/// An age in whole units: nobody needs tenths of a second of an age.
#[must_use]
pub(crate) fn format_age(ms: u64) -> String {
    format_duration(ms / 1000 * 1000)
}

/// A time of days or hours in two units at most: `2d4h`, `1h20m`, `43m`, `38s`.
#[must_use]
pub(crate) fn format_coarse(ms: u64) -> String {
    let two = |big: u64, unit: char, small: u64, rest: char| match small {
        0 => format!("{big}{unit}"),
        n => format!("{big}{unit}{n}{rest}"),
    };
    match ms / 1000 {
        s if s < 60 => format!("{s}s"),
        s if s < 3600 => format!("{}m", s / 60),
        s if s < 86_400 => two(s / 3600, 'h', s % 3600 / 60, 'm'),
        s => two(s / 86_400, 'd', s % 86_400 / 3600, 'h'),
    }
}

/// Time of day in UTC, `14:02:11`.
#[must_use]
pub(crate) fn format_clock(at_ms: i64) -> String {
    // Rounded down: right before 1970, too.
    let s = at_ms.div_euclid(1000).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", s / 3600, s % 3600 / 60, s % 60)
}

/// Time of day in UTC with milliseconds, `14:02:11.204`; nothing for a record that has no time.
#[must_use]
pub(crate) fn format_clock_ms(at_ms: i64) -> Option<String> {
    (at_ms >= 0).then(|| format!("{}.{:03}", format_clock(at_ms), at_ms.rem_euclid(1000)))
}

/// The day in UTC, `2026-03-01`.
#[must_use]
pub(crate) fn format_day(at_ms: i64) -> Option<String> {
    // A record without a time says -1, which is no day.
    let at = jiff::Timestamp::from_millisecond(at_ms).ok().filter(|_| at_ms >= 0)?;
    Some(at.strftime("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr as _;

    use super::*;
    use crate::base::sanitise::visible_name;

    proptest! {
        /// The gate for names and the cells they are drawn into agree on how wide one is.
        #[test]
        fn a_visible_name_takes_the_cells_that_it_is_counted_for(name in "(\\PC|[a-z\\\\ \u{200b}\u{200d}\u{202e}\u{301}\u{3000}注🚀]){0,12}") {
            let shown = visible_name(&name);
            prop_assert_eq!(shown.width(), width(&shown));
        }
    }

    #[test]
    fn numbers_stay_short_and_honest() {
        let cases =
            [(0, "0"), (9_999, "9999"), (10_000, "10.0k"), (12_345, "12.3k"), (184_000, "184k"), (999_499, "999k")];
        for (n, s) in cases {
            assert_eq!(format_count(n), s);
        }
        assert_eq!(format_count(999_500), "1.00M");
        assert!(format_count(u64::MAX).len() <= 6, "{}", format_count(u64::MAX));
        assert_eq!(format_rate(0.0), "0/s");
        assert_eq!(format_rate(5_214.0), "5.21k/s");
        assert_eq!(format_rate(999.6), "1.00k/s");
        assert_eq!(format_rate(f64::NAN), "?/s");
        assert_eq!(format_offset(1_204_113), "1 204 113");
        assert_eq!(format_offset(-1), "-1");
        assert_eq!(format_offset(0), "0");
    }

    #[test]
    fn durations_read_at_a_glance() {
        let cases =
            [(400, "0.4s"), (38_000, "38s"), (252_000, "4m12s"), (11_520_000, "3h12m"), (111_840_000, "31h04m")];
        for (ms, s) in cases {
            assert_eq!(format_duration(ms), s);
        }
        assert_eq!(format_age(1_900), "1s");
        let cases = [(187_200_000, "2d4h"), (4_800_000, "1h20m"), (86_400_000, "1d"), (2_599_999, "43m"), (999, "0s")];
        for (ms, s) in cases {
            assert_eq!(format_coarse(ms), s);
        }
        assert_eq!(format_clock(50_531_204), "14:02:11");
        assert_eq!(format_clock(-1), "23:59:59");
        assert_eq!(format_clock_ms(50_531_204).as_deref(), Some("14:02:11.204"));
        assert_eq!(
            (format_clock_ms(-1), format_day(-1), format_day(i64::MAX)),
            (None, None, None),
            "no time, or none that a calendar has"
        );
        assert_eq!(format_day(1_772_373_731_000).as_deref(), Some("2026-03-01"));
    }

    #[test]
    fn names_are_cut_by_cells_not_bytes() {
        assert_eq!(cut("loan-audit", 10, "…"), "loan-audit");
        assert_eq!(cut("loan-audit", 6, "…"), "loan-…");
        assert_eq!(cut("日本語の名前", 6, "…"), "日本…");
        assert_eq!(width(&cut("日本語の名前", 6, "…")), 5);
        assert_eq!(cut("abc", 0, "…"), "");
        let zalgo = format!("a{}b", "\u{301}".repeat(400));
        assert!(cut(&zalgo, 2, "…").chars().count() <= 2 * MAX_GRAPHEME_CHARS);
        assert_eq!(cut_middle("payments-eu-west-1-ledger-audit", 16, "…"), "payments-…-audit");
        assert!(width(&cut_middle("日本語の名前日本語の名前", 9, "…")) <= 9);
    }

    #[test]
    fn what_is_hidden_takes_its_place() {
        assert_eq!(cut("a\u{200b}b", 20, "…"), "a\\u{200b}b");
        assert_eq!(cut("a\u{200d}\x1b", 20, "…"), "a\\u{200d}␛");
        assert_eq!(cut_middle("a\u{2066}b", 20, "…"), "a\\u{2066}b");
        assert_eq!(wrap("a\nb\tc", 20, 3, "…"), ["a␊b␉c"]);
        assert_eq!(width("a\u{200b}"), 9, "as wide as it is drawn");
    }

    #[test]
    fn names_that_differ_never_look_alike() {
        let long = ["payments-eu-west-1-ledger-audit", "payments-us-west-1-ledger-audit", "loan-audit"];
        let shown = shorten_names(long, 16, "…");
        assert_ne!(shown[0], shown[1]);
        assert!(shown[0].starts_with("payments-eu-") && shown[0].contains('…'), "{shown:?}");
        assert_eq!(shown[2], "loan-audit");
        assert!(shown.iter().all(|n| width(n) <= 16), "{shown:?}");
        assert_eq!(
            shorten_names([long[0], "x", long[0]], 16, "…")[0],
            "payments-…-audit",
            "the same name twice is no clash"
        );
        let odd = shorten_names(["a", "a ", "a\u{200b}", "a\\u{200b}", "\u{430}b", "ab"], 12, "…");
        assert_eq!(odd.iter().collect::<HashSet<_>>().len(), odd.len(), "{odd:?}");
        let tails: Vec<String> = (0..40).map(|n| format!("{}{n:02}{}", "x".repeat(140), "y".repeat(140))).collect();
        let shown = shorten_names(tails.iter().map(String::as_str), 13, "…");
        assert_eq!(shown.iter().collect::<HashSet<_>>().len(), 40, "{shown:?}");
    }

    #[test]
    fn names_whose_short_sums_are_equal_get_longer_ones() {
        let name = |n: usize| format!("{}{n:04}{}", "x".repeat(40), "y".repeat(40));
        let mut seen = HashMap::new();
        let twins = (0..5_000).find_map(|n| {
            let sum = xxh3_64(name(n).as_bytes()) & 0xfff;
            seen.insert(sum, n).map(|before| [name(before), name(n)])
        });
        let twins = twins.expect("there are 4096 such sums");
        for cells in [10, 16, 30] {
            let shown = shorten_names(twins.iter().map(String::as_str), cells, "…");
            assert_ne!(shown[0], shown[1], "{cells}");
            assert!(shown.iter().all(|n| width(n) <= cells), "{cells}: {shown:?}");
        }
        // Beside them others keep what they can do with.
        let all = [twins[0].as_str(), twins[1].as_str(), "loan-audit", twins[0].as_str()];
        let shown = shorten_names(all, 16, "…");
        assert_eq!((shown[2].as_str(), &shown[3]), ("loan-audit", &shown[0]));
        let subjects = ["a\\u{200b}".to_owned()];
        assert_eq!(shorten_apart(&subjects, 20, "…"), subjects, "what is visible is not made visible again");
    }

    #[test]
    fn wrapping_is_bounded() {
        assert_eq!(wrap("one two three", 7, 3, "…"), ["one two", "three"]);
        assert_eq!(wrap("one two three four", 7, 2, "…"), ["one two", "three …"]);
        assert_eq!(wrap(&"x".repeat(50), 10, 2, "…").len(), 2);
        assert!(wrap("日", 1, 3, "…").is_empty());
    }
}
