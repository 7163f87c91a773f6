//! How things look: roles, glyphs and the ladder of what a terminal can show. Views name roles and glyphs;
//! only this room knows colours and characters.

mod colour;
mod glyph;
mod load;
mod role;

pub use colour::Depth;
pub use glyph::{Glyph, Glyphs};
pub use role::Role;

use ratatui::style::Style;

use crate::migration::estate::Side;

/// Names of the themes that come with the program.
pub const NAMES: [&str; 5] = ["dark", "light", "ansi16", "mono", "high-contrast"];

/// A theme, resolved for one terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    /// Its name.
    pub name: &'static str,
    /// Colours that the terminal can show.
    pub depth: Depth,
    /// Characters that it can show.
    pub glyphs: Glyphs,
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
            (Depth::Ansi16, "dark" | "light") => "ansi16",
            (_, asked) => asked,
        };
        let styles = load::styles(load::source(name), depth).map_err(|e| format!("theme {name}: {e}"))?;
        Ok(Self { name, depth, glyphs, styles })
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
pub fn side_role(side: Side) -> Role {
    match side {
        Side::Blue => Role::Blue,
        Side::Green => Role::Green,
    }
}

/// The theme for a terminal, from what was asked for and from the environment (`env` looks a variable up).
///
/// Without a name, `COLORFGBG` decides between dark and light; `NO_COLOR` (not empty) takes all colours away
/// but keeps bold and reverse; `TERM=dumb` and locales without UTF-8 get ASCII.
///
/// # Errors
/// The name is none of [`NAMES`].
pub fn resolve(name: Option<&str>, env: &dyn Fn(&str) -> Option<String>) -> Result<Theme, String> {
    let depth = Depth::from_env(env);
    let glyphs = Glyphs::from_env(env);
    let name = match name {
        Some(name) => name,
        None if light_background(env) => "light",
        None => "dark",
    };
    Theme::built_in(name, depth, glyphs)
}

/// `COLORFGBG` is `foreground;background` (rxvt, konsole, and others): 7 and 15 are light backgrounds.
fn light_background(env: &dyn Fn(&str) -> Option<String>) -> bool {
    env("COLORFGBG").and_then(|v| v.rsplit(';').next().map(|b| b == "7" || b == "15")).unwrap_or(false)
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
        let cases: [(Vars, Depth, &str); 9] = [
            (&[("COLORTERM", "truecolor"), ("TERM", "xterm-256color")], Depth::True, "dark"),
            (&[("TERM", "xterm-256color")], Depth::Ansi256, "dark"),
            (&[("TERM", "xterm")], Depth::Ansi16, "ansi16"),
            (&[("TERM", "dumb")], Depth::None, "mono"),
            (&[("TERM", "vt100")], Depth::None, "mono"),
            (&[], Depth::None, "mono"),
            (&[("TERM", "xterm-256color"), ("NO_COLOR", "1")], Depth::None, "mono"),
            (&[("TERM", "xterm-256color"), ("NO_COLOR", "")], Depth::Ansi256, "dark"),
            (&[("TERM", "xterm-256color"), ("COLORFGBG", "0;15")], Depth::Ansi256, "light"),
        ];
        for (vars, depth, name) in cases {
            let t = resolve(None, &env(vars)).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!((t.depth, t.name), (depth, name), "{vars:?}");
        }
        assert!(resolve(Some("pink"), &env(&[])).unwrap_err().contains("high-contrast"));
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
