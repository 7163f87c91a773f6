//! Sizes as people write them: `64MiB`, `50MB`, `512KiB`; and rates, `50MB/s`.

const UNITS: [(&str, u64); 8] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

/// Bytes of a size as written.
///
/// # Errors
/// What is wrong, and what could be meant.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || {
        format!(
            "{text} is not a size: write a whole number and a unit, such as \"64MiB\" or \"50MB\"",
            text = crate::base::sanitise::quoted_name(text)
        )
    };
    if text.len() > 40 {
        return Err("this is not a size: it is far too long".to_owned());
    }
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?);
    let (_, bytes) = UNITS.iter().find(|(name, _)| *name == unit.trim_start()).ok_or_else(wrong)?;
    number.parse::<u64>().ok().and_then(|n| n.checked_mul(*bytes)).ok_or_else(wrong)
}

/// Bytes a second of a rate as written; `/s` may be left out.
///
/// # Errors
/// What is wrong, and what could be meant.
pub(crate) fn parse_rate(text: &str) -> Result<u64, String> {
    match parse_size(text.strip_suffix("/s").unwrap_or(text)) {
        Ok(0) => Err("a rate of 0 would never end".to_owned()),
        Ok(rate) => Ok(rate),
        Err(_) => Err(format!(
            "{text} is not a rate: write \"50MB/s\" or \"512KiB/s\"",
            text = crate::base::sanitise::quoted_name(text)
        )),
    }
}

/// A number of bytes in words: 1.5 GB.
#[must_use]
pub(crate) fn format_size(bytes: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / unit as f64),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_numbers_with_a_unit() {
        for (text, bytes) in
            [("64MiB", 64 << 20), ("50MB", 50_000_000), ("1 GiB", 1 << 30), ("7B", 7), ("512kB", 512_000)]
        {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "64", "MiB", "-1MB", "1.5MB", "64 mib", "99999999999999999999MB", "18446744073709551615GB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        assert_eq!((parse_rate("50MB/s"), parse_rate("512KiB")), (Ok(50_000_000), Ok(512 << 10)));
        assert!(parse_rate("0MB/s").is_err() && parse_rate("fast").is_err());
        assert_eq!(
            (format_size(1_500_000_000), format_size(999), format_size(64_000)),
            ("1.5 GB".into(), "999 B".into(), "64.0 kB".into())
        );
    }
}
