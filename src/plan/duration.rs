//! Durations as people write them: `4h`, `15m`, `5s`, `250ms`, `1h30m`, `14d`.

/// Longest duration a plan may ask for: ten years. Keeps every sum of two far from overflow.
pub(crate) const LONGEST_MS: u64 = 10 * 365 * 86_400_000;

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Milliseconds of a duration as written.
///
/// # Errors
/// What is wrong, and what could be meant.
pub(crate) fn parse_duration(text: &str) -> Result<u64, (String, Option<String>)> {
    let wrong = |hint: &str| {
        (format!("{text} is not a duration", text = crate::base::sanitise::quoted_name(text)), Some(hint.to_owned()))
    };
    // Not repeated as the others are: it would fill the message.
    if text.len() > 40 {
        return Err(("this is not a duration: it is far too long".to_owned(), None));
    }
    let mut rest = text;
    let mut total: u64 = 0;
    let mut smallest = u64::MAX;
    if rest.is_empty() {
        return Err(wrong("write a number and a unit, such as \"15s\", \"4h\" or \"250ms\""));
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        if digits == 0 {
            return Err(wrong("write a whole number and a unit without spaces, such as \"15s\" or \"1h30m\""));
        }
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let Some(&(_, ms)) = UNITS.iter().find(|(u, _)| *u == unit) else {
            return Err(match unit {
                "" if after.starts_with('.') => {
                    wrong("fractions are written in smaller units: \"1h30m\" for one hour and a half")
                }
                "" if after.starts_with(char::is_whitespace) => wrong("leave out the space"),
                "" => wrong(&format!(
                    "add a unit: {} for seconds; ms, s, m, h and d are known",
                    crate::base::sanitise::quoted_name(&format!("{text}s"))
                )),
                _ => wrong("units are ms, s, m, h and d"),
            });
        };
        if ms >= smallest {
            return Err(wrong("write larger units first and each once, such as \"1h30m\""));
        }
        smallest = ms;
        total = number
            .parse::<u64>()
            .ok()
            .and_then(|n| n.checked_mul(ms))
            .and_then(|part| total.checked_add(part))
            .filter(|t| *t <= LONGEST_MS)
            .ok_or_else(|| {
                (format!("{text} is longer than ten years", text = crate::base::sanitise::quoted_name(text)), None)
            })?;
        rest = after;
    }
    Ok(total)
}

/// A duration as one would write it in a plan: `90m` is `1h30m`, 0 is `0s`.
#[must_use]
pub fn format_duration(ms: u64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut rest = ms;
    let mut out = String::new();
    for (unit, size) in UNITS {
        // days only when they say it all: 48h and 72h are what people write
        if unit == "d" && (!ms.is_multiple_of(size) || ms < 7 * size) {
            continue;
        }
        if rest / size > 0 {
            out.push_str(&std::format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, ms) in [
            ("4h", 14_400_000),
            ("15m", 900_000),
            ("5s", 5_000),
            ("130s", 130_000),
            ("250ms", 250),
            ("1h30m", 5_400_000),
            ("14d", 1_209_600_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(ms), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, hint) in [
            ("15", "add a unit: \"15s\""),
            ("4 h", "leave out the space"),
            ("1.5h", "smaller units"),
            ("-5s", "whole number"),
            ("5x", "units are"),
            ("30m1h", "larger units first"),
            ("", "a number and a unit"),
        ] {
            let (_, suggestion) = parse_duration(text).unwrap_err();
            let suggestion = suggestion.unwrap_or_default();
            assert!(suggestion.contains(hint), "{text}: {suggestion}");
        }
        assert!(parse_duration("99999999999999999999s").unwrap_err().0.contains("ten years"));
        assert!(parse_duration("4000d").unwrap_err().0.contains("ten years"));
    }

    #[test]
    fn writes_what_it_reads() {
        for ms in [1, 250, 1_000, 90_000, 5_400_000, 172_800_000, 1_209_600_000, 86_400_001] {
            assert_eq!(parse_duration(&format_duration(ms)), Ok(ms), "{}", format_duration(ms));
        }
        assert_eq!(format_duration(172_800_000), "48h");
        assert_eq!(format_duration(1_209_600_000), "14d");
        assert_eq!(format_duration(5_400_000), "1h30m");
    }
}
