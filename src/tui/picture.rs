//! A screen as an SVG picture, cell by cell, so that pictures in documents are made from the real view.
//! Frames and bars are drawn as shapes: they join whatever font shows the letters.

use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

/// Width of a cell in pixels.
const W: u32 = 9;
/// Height of a cell in pixels.
const H: u32 = 19;
/// Room around the screen in pixels.
const PAD: u32 = 14;

/// What lies behind the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Background {
    /// A dark terminal.
    Dark,
    /// A light terminal.
    Light,
}

impl Background {
    fn colours(self) -> (&'static str, &'static str) {
        match self {
            Background::Dark => ("#d0d0d0", "#16181d"),
            Background::Light => ("#262626", "#fafafa"),
        }
    }
}

/// The picture of a buffer. `title` is its description for those who can't see it.
#[must_use]
pub fn render_svg(buf: &Buffer, ground: Background, title: &str) -> String {
    let (fg, bg) = ground.colours();
    let area = buf.area;
    let (width, height) = (u32::from(area.width) * W + 2 * PAD, u32::from(area.height) * H + 2 * PAD);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" font-family=\"'DejaVu Sans Mono','JetBrains Mono',Menlo,Consolas,monospace\" font-size=\"15\">\n\
         <title>{}</title>\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{bg}\"/>\n",
        escape_xml(title)
    );
    for y in 0..area.height {
        render_row(buf, y, fg, bg, &mut out);
    }
    out.push_str("</svg>\n");
    out
}

/// One row: grounds first, then shapes, then letters in runs of one look.
fn render_row(buf: &Buffer, y: u16, fg: &str, bg: &str, out: &mut String) {
    let width = buf.area.width;
    let top = PAD + u32::from(y) * H;
    let cell = |x: u16| &buf[(buf.area.x + x, buf.area.y + y)];
    let mut x = 0;
    while x < width {
        let (_, ground) = looks_of(cell(x), fg, bg);
        let start = x;
        while x < width && looks_of(cell(x), fg, bg).1 == ground {
            x += 1;
        }
        if ground != bg {
            let (left, w) = (PAD + u32::from(start) * W, u32::from(x - start) * W);
            let _ = writeln!(out, "<rect x=\"{left}\" y=\"{top}\" width=\"{w}\" height=\"{H}\" fill=\"{ground}\"/>");
        }
    }
    let mut x = 0;
    while x < width {
        let first = cell(x);
        let symbol = first.symbol();
        if symbol == " " || symbol.is_empty() {
            x += 1;
            continue;
        }
        let (ink, _) = looks_of(first, fg, bg);
        let left = PAD + u32::from(x) * W;
        if draw_shape(symbol, left, top, &ink, out) {
            x += 1;
            continue;
        }
        let start = x;
        let mut text = String::new();
        // One run: the same look, no shape, no wide characters; single spaces are part of it.
        while x < width {
            let c = cell(x);
            let same = looks_of(c, fg, bg).0 == ink && c.modifier == first.modifier;
            let wide = unicode_width::UnicodeWidthStr::width(c.symbol()) > 1;
            if !same || is_shape(c.symbol()) || (wide && x > start) || c.symbol().is_empty() {
                break;
            }
            text.push_str(c.symbol());
            x += 1;
            // The cell behind a wide letter is empty, and part of it.
            if wide {
                x += 1;
                break;
            }
        }
        let trimmed = text.trim_end();
        let cells = u32::try_from(unicode_width::UnicodeWidthStr::width(trimmed)).unwrap_or(0);
        let bold = if first.modifier.contains(Modifier::BOLD) { " font-weight=\"bold\"" } else { "" };
        let line = if first.modifier.contains(Modifier::UNDERLINED) { " text-decoration=\"underline\"" } else { "" };
        let dim = if first.modifier.contains(Modifier::DIM) { " opacity=\"0.65\"" } else { "" };
        let _ = writeln!(
            out,
            "<text x=\"{left}\" y=\"{}\" fill=\"{ink}\"{bold}{line}{dim} textLength=\"{}\" xml:space=\"preserve\">{}</text>",
            top + H - 5,
            cells * W,
            escape_xml(trimmed)
        );
    }
}

/// Ink and ground of a cell; reverse changes them over.
fn looks_of(c: &Cell, fg: &str, bg: &str) -> (String, String) {
    let ink = hex_of(c.fg).unwrap_or_else(|| fg.to_owned());
    let ground = hex_of(c.bg).unwrap_or_else(|| bg.to_owned());
    if c.modifier.contains(Modifier::REVERSED) { (ground, ink) } else { (ink, ground) }
}

fn hex_of(c: Color) -> Option<String> {
    let (r, g, b) = match c {
        Color::Rgb(r, g, b) => (r, g, b),
        Color::Indexed(i) => palette_colour(i),
        _ => return None,
    };
    Some(format!("#{r:02x}{g:02x}{b:02x}"))
}

/// The xterm palette.
fn palette_colour(i: u8) -> (u8, u8, u8) {
    const ANSI: [(u8, u8, u8); 16] = [
        (0, 0, 0),
        (205, 49, 49),
        (13, 188, 121),
        (229, 229, 16),
        (36, 114, 200),
        (188, 63, 188),
        (17, 168, 205),
        (229, 229, 229),
        (102, 102, 102),
        (241, 76, 76),
        (35, 209, 139),
        (245, 245, 67),
        (59, 142, 234),
        (214, 112, 214),
        (41, 184, 219),
        (255, 255, 255),
    ];
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    match i {
        0..=15 => ANSI[usize::from(i)],
        16..=231 => {
            let n = i - 16;
            (STEPS[usize::from(n / 36)], STEPS[usize::from(n / 6 % 6)], STEPS[usize::from(n % 6)])
        }
        _ => {
            let v = 8 + 10 * (i - 232);
            (v, v, v)
        }
    }
}

/// Eighths of a lower block, or the arms of a frame piece: up, right, down, left.
enum Shape {
    Bar(u32),
    Arms(bool, bool, bool, bool),
}

fn shape_of(symbol: &str) -> Option<Shape> {
    let c = symbol.chars().next()?;
    Some(match c {
        '▁'..='█' => Shape::Bar(u32::from(c) - u32::from('▁') + 1),
        '─' => Shape::Arms(false, true, false, true),
        '│' => Shape::Arms(true, false, true, false),
        '┌' => Shape::Arms(false, true, true, false),
        '┐' => Shape::Arms(false, false, true, true),
        '└' => Shape::Arms(true, true, false, false),
        '┘' => Shape::Arms(true, false, false, true),
        _ => return None,
    })
}

fn is_shape(symbol: &str) -> bool {
    shape_of(symbol).is_some()
}

/// Draws a frame piece or a bar; false when the symbol is neither.
fn draw_shape(symbol: &str, left: u32, top: u32, ink: &str, out: &mut String) -> bool {
    match shape_of(symbol) {
        None => return false,
        Some(Shape::Bar(eighths)) => {
            let tenths = eighths * H * 10 / 8;
            let (y, h) = (f64::from(top * 10 + H * 10 - tenths) / 10.0, f64::from(tenths) / 10.0);
            let _ = writeln!(out, "<rect x=\"{left}\" y=\"{y}\" width=\"{W}\" height=\"{h}\" fill=\"{ink}\"/>");
        }
        Some(Shape::Arms(up, right, down, side)) => {
            let (cx, cy) = (left + W / 2, top + H / 2);
            let mut path = String::new();
            let arms = [(up, cx, top), (right, left + W, cy), (down, cx, top + H), (side, left, cy)];
            for (_, x, y) in arms.into_iter().filter(|a| a.0) {
                let _ = write!(path, "M{cx} {cy}L{x} {y}");
            }
            let _ = writeln!(out, "<path d=\"{path}\" stroke=\"{ink}\" stroke-linecap=\"square\" fill=\"none\"/>");
        }
    }
    true
}

fn escape_xml(s: &str) -> String {
    s.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    #[test]
    fn cells_become_letters_bars_and_grounds() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 12, 1));
        buf.set_string(0, 0, "a<b", Style::new().fg(Color::Indexed(69)));
        buf.set_string(4, 0, "█▁─", Style::new().fg(Color::Rgb(1, 2, 3)));
        buf.set_string(8, 0, "日", Style::new().bg(Color::Indexed(9)));
        let s = render_svg(&buf, Background::Dark, "a & b");
        for piece in ["a&lt;b", "#5f87ff", "#010203", "<path", "日", "#f14c4c", "<title>a &amp; b</title>"] {
            assert!(s.contains(piece), "{piece} in {s}");
        }
    }
}
