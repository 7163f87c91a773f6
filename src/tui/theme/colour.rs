//! How many colours a terminal shows, and how a colour is brought down to that.

use ratatui::style::Color;

/// How many colours a terminal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// None: bold, underline and reverse only.
    None,
    /// The sixteen of the terminal's own palette.
    Ansi16,
    /// The xterm palette.
    Ansi256,
    /// 24 bits.
    True,
}

impl Depth {
    /// What the environment says: `NO_COLOR` (<https://no-color.org>: any value but empty), `COLORTERM`, `TERM`.
    pub(crate) fn from_env(env: &dyn Fn(&str) -> Option<String>) -> Self {
        if env("NO_COLOR").is_some_and(|v| !v.is_empty()) {
            return Depth::None;
        }
        let term = env("TERM").unwrap_or_default();
        if matches!(term.as_str(), "" | "dumb" | "unknown") || term.starts_with("vt") {
            return Depth::None;
        }
        let colorterm = env("COLORTERM").unwrap_or_default();
        if matches!(colorterm.as_str(), "truecolor" | "24bit") || term.ends_with("-direct") {
            return Depth::True;
        }
        const TRUE: [&str; 5] = ["xterm-kitty", "alacritty", "wezterm", "foot", "xterm-ghostty"];
        if TRUE.contains(&term.as_str()) {
            Depth::True
        } else if term.contains("256") {
            Depth::Ansi256
        } else {
            Depth::Ansi16
        }
    }

    /// The colour as this depth can show it; `None`: the terminal's default.
    #[must_use]
    pub(crate) fn bring_down(self, colour: Color) -> Option<Color> {
        match (self, colour) {
            (Depth::None, _) => None,
            (Depth::Ansi256, Color::Rgb(r, g, b)) => Some(Color::Indexed(nearest_256(r, g, b))),
            // The sixteen are the person's own palette: which of them lies near nobody knows.
            (Depth::Ansi16, Color::Rgb(..) | Color::Indexed(16..)) => None,
            (_, c) => Some(c),
        }
    }
}

/// The six steps of the xterm colour cube.
const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// The palette entry of the colour cube or the grey ramp that lies nearest.
fn nearest_256(r: u8, g: u8, b: u8) -> u8 {
    let step = |v: u8| -> u8 { (0u8..6).min_by_key(|i| STEPS[usize::from(*i)].abs_diff(v)).unwrap_or(0) };
    let distance = |x: (u8, u8, u8)| {
        let d = |a: u8, b: u8| u32::from(a.abs_diff(b)).pow(2);
        d(x.0, r) + d(x.1, g) + d(x.2, b)
    };
    let (cr, cg, cb) = (step(r), step(g), step(b));
    let cube = (STEPS[usize::from(cr)], STEPS[usize::from(cg)], STEPS[usize::from(cb)]);
    let mean = (u16::from(r) + u16::from(g) + u16::from(b)) / 3;
    // The grey ramp is 8, 18, ... 238: less 3, the division rounds to the nearest step.
    let grey = u8::try_from(mean.saturating_sub(3) / 10).unwrap_or(23).min(23);
    let level = 8 + 10 * grey;
    if distance((level, level, level)) < distance(cube) { 232 + grey } else { 16 + 36 * cr + 6 * cg + cb }
}

/// `#rrggbb`, a palette number, or an ANSI name such as `bright-red`.
pub(super) fn parse_colour(s: &str) -> Result<Color, String> {
    if let Some(hex) = s.strip_prefix('#') {
        let v = u32::from_str_radix(hex, 16).ok().filter(|_| hex.len() == 6);
        let [_, r, g, b] = v.ok_or_else(|| format!("`{s}` is not #rrggbb"))?.to_be_bytes();
        return Ok(Color::Rgb(r, g, b));
    }
    if let Ok(i) = s.parse::<u8>() {
        return Ok(Color::Indexed(i));
    }
    const NAMES: [&str; 8] = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
    let (base, name) = s.strip_prefix("bright-").map_or((0, s), |n| (8, n));
    (0u8..)
        .zip(NAMES)
        .find(|(_, n)| *n == name)
        .map(|(i, _)| Color::Indexed(base + i))
        .ok_or_else(|| format!("`{s}` is not a colour: #rrggbb, 0-255, or a name like red or bright-red"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn palette_colours_map_to_themselves() {
        for (hex, index) in [("#5f87ff", 69), ("#afff87", 156), ("#005fff", 27), ("#005f00", 22), ("#808080", 244)] {
            let Ok(Color::Rgb(r, g, b)) = parse_colour(hex) else { panic!("{hex}") };
            assert_eq!(nearest_256(r, g, b), index, "{hex}");
        }
    }

    #[test]
    fn colours_are_refused_by_name() {
        assert!(parse_colour("#12345").is_err());
        assert!(parse_colour("pinkish").unwrap_err().contains("pinkish"));
        assert_eq!(parse_colour("bright-red"), Ok(Color::Indexed(9)));
    }
}
