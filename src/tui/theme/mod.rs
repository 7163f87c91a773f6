//! How things look: roles, glyphs and the ladder of what a terminal can show. Views name roles and glyphs;
//! only this room knows colours and characters.

mod colour;
mod glyph;
mod load;
mod role;

pub use colour::Depth;
pub(crate) use glyph::Glyph;
pub use glyph::Glyphs;
pub(crate) use role::Role;

use ratatui::style::Style;

use crate::base::Side;

/// Names of the themes that come with the program.
pub(crate) const NAMES: [&str; 6] = ["dark", "light", "either", "ansi16", "mono", "high-contrast"];

/// A theme, resolved for one terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    /// Its name.
    pub name: &'static str,
    /// Colours that the terminal can show.
    pub depth: Depth,
    /// Characters that it can show.
    pub glyphs: Glyphs,
    /// Nobody chose it, and another would be better once the terminal says how light its background is.
    pub asks: bool,
    styles: Vec<Style>,
}

impl Theme {
    /// One of the built-in themes for a terminal of this depth, with these glyphs.
    /// Where the terminal can't show a theme's colours, `ansi16` or `mono` takes its place.
    ///
    /// # Errors
    /// The name is none of [`NAMES`].
    pub fn built_in(name: &str, depth: Depth, glyphs: Glyphs) -> Result<Self, String> {
        let Some(asked) = NAMES.into_iter().find(|n| *n == name) else {
            return Err(format!("there is no theme `{name}`; there are: {}", NAMES.join(", ")));
        };
        let name = match (depth, asked) {
            (Depth::None, _) => "mono",
            (Depth::Ansi16, "dark" | "light" | "either") => "ansi16",
            (_, asked) => asked,
        };
        let styles = load::parse_styles(load::theme_source(name), depth).map_err(|e| format!("theme {name}: {e}"))?;
        Ok(Self { name, depth, glyphs, asks: false, styles })
    }

    /// This theme, on a background that is known: another one where nobody chose.
    #[must_use]
    pub(crate) fn on_background(&self, light: bool) -> Self {
        let fitting = || Self::built_in(if light { "light" } else { "dark" }, self.depth, self.glyphs).ok();
        self.asks.then(fitting).flatten().unwrap_or_else(|| self.clone())
    }

    /// The style of a role.
    #[must_use]
    pub fn style(&self, role: Role) -> Style {
        self.styles.get(role as usize).copied().unwrap_or_default()
    }

    /// The characters of a glyph.
    #[must_use]
    pub fn glyph(&self, glyph: Glyph) -> &'static str {
        glyph.chars(self.glyphs)
    }

    /// Shape and letter of a side: identity never rests on colour alone.
    #[must_use]
    pub fn mark(&self, side: Side) -> &'static str {
        self.glyph(match side {
            Side::Blue => Glyph::BlueMark,
            Side::Green => Glyph::GreenMark,
        })
    }

    /// The short mark of a side, for column heads.
    #[must_use]
    pub fn shape(&self, side: Side) -> &'static str {
        self.glyph(match side {
            Side::Blue => Glyph::Blue,
            Side::Green => Glyph::Green,
        })
    }
}

/// The role of a side's identity.
#[must_use]
pub(crate) fn side_role(side: Side) -> Role {
    match side {
        Side::Blue => Role::Blue,
        Side::Green => Role::Green,
    }
}

/// The theme for a terminal, from what was asked for and from the environment (`env` looks a variable up).
///
/// Without a name the terminal is asked ([`Theme::asks`]); until it answers, and where it does not, `COLORFGBG` decides
/// between dark and light, and without it the colours are such as can be read on both. `NO_COLOR` (not empty) takes all
/// colours away but keeps bold and reverse; `TERM=dumb` and locales without UTF-8 get ASCII.
///
/// # Errors
/// The name is none of [`NAMES`].
pub fn resolve(name: Option<&str>, env: &dyn Fn(&str) -> Option<String>) -> Result<Theme, String> {
    let depth = Depth::from_env(env);
    let glyphs = Glyphs::from_env(env);
    if let Some(name) = name {
        return Theme::built_in(name, depth, glyphs);
    }
    let guess = match light_background(env) {
        Some(true) => "light",
        Some(false) => "dark",
        None => "either",
    };
    let theme = Theme::built_in(guess, depth, glyphs)?;
    // Of sixteen colours the terminal's owner says how they look, and what has none needs no answer.
    let asks = depth >= Depth::Ansi256;
    Ok(Theme { asks, ..theme })
}

/// `COLORFGBG` is `foreground;background` (rxvt, konsole, and others): 7 and 15 are light backgrounds; `None`: it does not
/// say.
fn light_background(env: &dyn Fn(&str) -> Option<String>) -> Option<bool> {
    let value = env("COLORFGBG")?;
    // rxvt may put a third field between the two: the background is the last one.
    let background: u8 = value.rsplit(';').next()?.parse().ok()?;
    (background < 16).then_some(matches!(background, 7 | 15))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::style::{Color, Modifier};
    use strum::VariantArray;

    fn env(pairs: &'static [(&'static str, &'static str)]) -> impl Fn(&str) -> Option<String> {
        move |k| pairs.iter().find(|p| p.0 == k).map(|p| p.1.to_owned())
    }

    #[test]
    fn every_theme_has_every_role_at_every_depth() {
        for name in NAMES {
            for depth in [Depth::True, Depth::Ansi256, Depth::Ansi16, Depth::None] {
                let theme = Theme::built_in(name, depth, Glyphs::Utf8).unwrap_or_else(|e| panic!("{e}"));
                assert_eq!(theme.styles.len(), Role::VARIANTS.len());
            }
        }
    }

    #[test]
    fn identities_are_the_designed_colours_and_health_uses_neither() {
        let dark = Theme::built_in("dark", Depth::True, Glyphs::Utf8).expect("built in");
        assert_eq!(dark.style(Role::Blue).fg, Some(Color::Rgb(0x5f, 0x87, 0xff)));
        assert_eq!(dark.style(Role::Green).fg, Some(Color::Rgb(0xaf, 0xff, 0x87)));
        let dark = Theme::built_in("dark", Depth::Ansi256, Glyphs::Utf8).expect("built in");
        assert_eq!(
            (dark.style(Role::Blue).fg, dark.style(Role::Green).fg),
            (Some(Color::Indexed(69)), Some(Color::Indexed(156)))
        );
        let light = Theme::built_in("light", Depth::Ansi256, Glyphs::Utf8).expect("built in");
        assert_eq!(
            (light.style(Role::Blue).fg, light.style(Role::Green).fg),
            (Some(Color::Indexed(27)), Some(Color::Indexed(22)))
        );
        for name in NAMES.into_iter().filter(|n| *n != "mono") {
            let t = Theme::built_in(name, Depth::True, Glyphs::Utf8).expect("built in");
            for health in [Role::Ok, Role::Hold, Role::Fail, Role::Unknown] {
                assert_ne!(t.style(health).fg, t.style(Role::Blue).fg, "{name} {health:?}");
                assert_ne!(t.style(health).fg, t.style(Role::Green).fg, "{name} {health:?}");
            }
        }
    }

    #[test]
    fn the_ladder_goes_down_by_what_the_terminal_says() {
        type Vars = &'static [(&'static str, &'static str)];
        let cases: [(Vars, Depth, &str); 11] = [
            (&[("COLORTERM", "truecolor"), ("TERM", "xterm-256color")], Depth::True, "either"),
            (&[("TERM", "xterm-256color")], Depth::Ansi256, "either"),
            (&[("TERM", "xterm")], Depth::Ansi16, "ansi16"),
            (&[("TERM", "dumb")], Depth::None, "mono"),
            (&[("TERM", "vt100")], Depth::None, "mono"),
            (&[], Depth::None, "mono"),
            (&[("TERM", "xterm-256color"), ("NO_COLOR", "1")], Depth::None, "mono"),
            (&[("TERM", "xterm-256color"), ("NO_COLOR", "")], Depth::Ansi256, "either"),
            (&[("TERM", "xterm-256color"), ("COLORFGBG", "15;0")], Depth::Ansi256, "dark"),
            (&[("TERM", "xterm-256color"), ("COLORFGBG", "15;default")], Depth::Ansi256, "either"),
            (&[("TERM", "xterm-256color"), ("COLORFGBG", "0;15")], Depth::Ansi256, "light"),
        ];
        for (vars, depth, name) in cases {
            let t = resolve(None, &env(vars)).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!((t.depth, t.name), (depth, name), "{vars:?}");
            assert_eq!(t.asks, depth >= Depth::Ansi256, "{vars:?}");
            let told = [t.on_background(true), t.on_background(false)].map(|t| t.name);
            assert_eq!(told, if t.asks { ["light", "dark"] } else { [name; 2] }, "{vars:?}");
        }
        let chosen = resolve(Some("dark"), &env(&[("TERM", "xterm-256color")])).expect("resolves");
        assert_eq!((chosen.asks, chosen.on_background(true).name), (false, "dark"), "a choice stays");
        assert!(resolve(Some("pink"), &env(&[])).unwrap_err().contains("high-contrast"));
    }

    /// WCAG 2's relative luminance.
    fn luminance((r, g, b): (u8, u8, u8)) -> f64 {
        let linear = |v: u8| match f64::from(v) / 255.0 {
            v if v <= 0.039_28 => v / 12.92,
            v => ((v + 0.055) / 1.055).powf(2.4),
        };
        0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
    }

    fn contrast(a: (u8, u8, u8), b: (u8, u8, u8)) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// The palette of xterm; what a terminal's owner made of it is not ours.
    fn rgb(colour: Color) -> (u8, u8, u8) {
        const XTERM: [(u8, u8, u8); 16] = [
            (0, 0, 0),
            (205, 0, 0),
            (0, 205, 0),
            (205, 205, 0),
            (0, 0, 238),
            (205, 0, 205),
            (0, 205, 205),
            (229, 229, 229),
            (127, 127, 127),
            (255, 0, 0),
            (0, 255, 0),
            (255, 255, 0),
            (92, 92, 255),
            (255, 0, 255),
            (0, 255, 255),
            (255, 255, 255),
        ];
        match colour {
            Color::Rgb(r, g, b) => (r, g, b),
            Color::Indexed(i) if i < 16 => XTERM[usize::from(i)],
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_nobody_chose_can_be_read_on_dark_and_on_light() {
        let backgrounds = [(0, 0, 0), (30, 30, 30), (255, 255, 255), (253, 246, 227)];
        let find = |name, depth| Theme::built_in(name, depth, Glyphs::Utf8).expect("built in");
        for theme in [find("either", Depth::True), find("ansi16", Depth::Ansi16)] {
            for role in Role::VARIANTS {
                let style = theme.style(*role);
                match (style.fg.map(rgb), style.bg.map(rgb)) {
                    (Some(fg), Some(bg)) => assert!(contrast(fg, bg) >= 4.5, "{} {role:?} on its own", theme.name),
                    (Some(fg), None) => {
                        for bg in backgrounds {
                            let is = contrast(fg, bg);
                            assert!(is >= 2.8, "{} {role:?} on {bg:?}: {is:.1}", theme.name);
                        }
                    }
                    (None, None) => {}
                    (None, Some(_)) => panic!("{} {role:?}: on its own background of unknown letters", theme.name),
                }
            }
        }
    }

    #[test]
    fn no_colour_keeps_emphasis() {
        let mono = resolve(Some("dark"), &env(&[("NO_COLOR", "1"), ("TERM", "xterm")])).expect("resolves");
        for role in Role::VARIANTS {
            let s = mono.style(*role);
            assert!(s.fg.is_none() && s.bg.is_none(), "{role:?} has a colour in mono");
        }
        assert!(mono.style(Role::Fail).add_modifier.intersects(Modifier::BOLD | Modifier::REVERSED));
    }

    #[test]
    fn ascii_without_a_utf8_locale() {
        assert_eq!(Glyphs::from_env(&env(&[("LANG", "C.UTF-8"), ("TERM", "xterm")])), Glyphs::Utf8);
        assert_eq!(Glyphs::from_env(&env(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")])), Glyphs::Ascii);
        assert_eq!(Glyphs::from_env(&env(&[("LC_ALL", ""), ("LC_CTYPE", "de_DE.utf8")])), Glyphs::Utf8);
        assert_eq!(Glyphs::from_env(&env(&[("LANG", "en_US.UTF-8"), ("TERM", "linux")])), Glyphs::Ascii);
        assert_eq!(Glyphs::from_env(&env(&[])), Glyphs::Ascii);
        for g in Glyph::VARIANTS {
            assert!(g.chars(Glyphs::Ascii).is_ascii(), "{g:?}");
        }
    }
}
