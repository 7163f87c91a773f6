//! The characters that are drawn, in UTF-8 and in ASCII.

/// Which characters a terminal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glyphs {
    /// Box drawing, block elements, shapes.
    Utf8,
    /// ASCII only.
    Ascii,
}

impl Glyphs {
    /// UTF-8 when the locale says so: the first of `LC_ALL`, `LC_CTYPE`, `LANG` that is set and not empty decides
    /// (POSIX). The Linux console's font lacks most block elements, so it gets ASCII.
    pub(crate) fn from_env(env: &dyn Fn(&str) -> Option<String>) -> Self {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(env).find(|v| !v.is_empty());
        let utf8 = locale.is_some_and(|l| {
            let l = l.to_ascii_lowercase();
            l.contains("utf-8") || l.contains("utf8")
        });
        if utf8 && env("TERM").as_deref() != Some("linux") { Glyphs::Utf8 } else { Glyphs::Ascii }
    }
}

/// A thing that is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::VariantArray)]
pub enum Glyph {
    /// Blue's shape.
    Blue,
    /// Green's shape.
    Green,
    /// Blue's shape and letter.
    BlueMark,
    /// Green's shape and letter.
    GreenMark,
    /// The row under the cursor.
    Cursor,
    /// Needs a person.
    Alert,
    /// Blocked.
    Blocked,
    /// Held.
    Held,
    /// Under way.
    Moving,
    /// Soaking.
    Soaking,
    /// Done.
    Check,
    /// Not yet.
    Todo,
    /// Text was cut here.
    Ellipsis,
    /// There is nothing to show.
    Dash,
    /// One cell of "nothing to measure".
    Nothing,
    /// Joins phases of the rail, and rules.
    Rule,
    /// A heavier rule.
    HeavyRule,
    /// Stands between parts of a line.
    Bar,
    /// Leads from one to the other.
    Arrow,
    /// The same, in one cell.
    ArrowHead,
    /// Stands before an upper bound.
    AtMost,
    /// Two that are the same.
    Equal,
    /// Text cursor.
    Caret,
    /// Filled part of a progress bar.
    Full,
    /// Empty part of a progress bar.
    Rest,
    /// More above.
    Up,
    /// More below.
    Down,
    /// From ... to.
    Range,
    /// A middle dot between words.
    Dot,
    /// Frame corners and edges: top left, top right, bottom left, bottom right, horizontal, vertical.
    FrameTl,
    /// Top right.
    FrameTr,
    /// Bottom left.
    FrameBl,
    /// Bottom right.
    FrameBr,
    /// Horizontal.
    FrameH,
    /// Vertical.
    FrameV,
    /// Bars of a sparkline, lowest first.
    Spark0,
    /// 2/8.
    Spark1,
    /// 3/8.
    Spark2,
    /// 4/8.
    Spark3,
    /// 5/8.
    Spark4,
    /// 6/8.
    Spark5,
    /// 7/8.
    Spark6,
    /// Full.
    Spark7,
}

impl Glyph {
    /// The sparkline bar of a level, 0..=7.
    #[must_use]
    pub(crate) fn spark(level: u64) -> Glyph {
        const BARS: [Glyph; 8] = [
            Glyph::Spark0,
            Glyph::Spark1,
            Glyph::Spark2,
            Glyph::Spark3,
            Glyph::Spark4,
            Glyph::Spark5,
            Glyph::Spark6,
            Glyph::Spark7,
        ];
        BARS[usize::try_from(level).unwrap_or(7).min(7)]
    }

    /// Its characters.
    #[must_use]
    pub fn chars(self, glyphs: Glyphs) -> &'static str {
        let (utf8, ascii) = match self {
            Glyph::Blue => ("■", "B"),
            Glyph::Green => ("▲", "G"),
            Glyph::BlueMark => ("■ B", "[B]"),
            Glyph::GreenMark => ("▲ G", "[G]"),
            Glyph::Cursor => ("▸", ">"),
            Glyph::Alert => ("!", "!"),
            Glyph::Blocked => ("×", "x"),
            Glyph::Held => ("‖", "="),
            Glyph::Moving => ("»", "~"),
            Glyph::Soaking => ("◔", "o"),
            Glyph::Check => ("✓", "+"),
            Glyph::Todo => ("·", "."),
            Glyph::Ellipsis => ("…", "~"),
            Glyph::Dash => ("–", "-"),
            Glyph::Nothing => ("·", "."),
            Glyph::Rule => ("─", "-"),
            Glyph::HeavyRule => ("━", "="),
            Glyph::Bar => ("│", "|"),
            Glyph::Arrow => ("→", "->"),
            Glyph::ArrowHead => ("→", ">"),
            Glyph::AtMost => ("≤", "<"),
            Glyph::Equal => ("=", "="),
            Glyph::Caret => ("▌", "_"),
            Glyph::Full => ("█", "#"),
            Glyph::Rest => ("░", "."),
            Glyph::Up => ("↑", "^"),
            Glyph::Down => ("↓", "v"),
            Glyph::Range => ("…", ".."),
            Glyph::Dot => ("·", "-"),
            Glyph::FrameTl => ("┌", "+"),
            Glyph::FrameTr => ("┐", "+"),
            Glyph::FrameBl => ("└", "+"),
            Glyph::FrameBr => ("┘", "+"),
            Glyph::FrameH => ("─", "-"),
            Glyph::FrameV => ("│", "|"),
            Glyph::Spark0 => ("▁", "_"),
            Glyph::Spark1 => ("▂", "."),
            Glyph::Spark2 => ("▃", ","),
            Glyph::Spark3 => ("▄", "-"),
            Glyph::Spark4 => ("▅", "="),
            Glyph::Spark5 => ("▆", "+"),
            Glyph::Spark6 => ("▇", "*"),
            Glyph::Spark7 => ("█", "#"),
        };
        match glyphs {
            Glyphs::Utf8 => utf8,
            Glyphs::Ascii => ascii,
        }
    }
}
