//! A line under construction: pieces in roles, cut and padded by display width.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::base::Side;
use crate::tui::theme::{Glyph, Role, Theme, side_role};
use crate::tui::{spark, text};

/// A line under construction.
pub(crate) struct Row<'t> {
    theme: &'t Theme,
    spans: Vec<Span<'static>>,
    width: usize,
}

impl<'t> Row<'t> {
    /// An empty line.
    pub fn new(theme: &'t Theme) -> Self {
        Self { theme, spans: Vec::new(), width: 0 }
    }

    /// The looks of a role.
    pub fn style(&self, role: Role) -> Style {
        self.theme.style(role)
    }

    /// Cells used so far.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Appends text; what would not be seen in it, or would drive the terminal, is made visible: the last gate before
    /// the cells.
    pub fn put(self, role: Role, s: impl AsRef<str>) -> Self {
        self.put_span(role, text::cut(s.as_ref(), usize::from(u16::MAX), ""))
    }

    fn put_span(mut self, role: Role, s: String) -> Self {
        self.width += text::width(&s);
        self.spans.push(Span::styled(s, self.theme.style(role)));
        self
    }

    /// Appends a glyph.
    pub fn glyph(self, role: Role, g: Glyph) -> Self {
        let s = self.theme.glyph(g);
        self.put(role, s)
    }

    /// Appends the shape and letter of a side in its identity.
    pub fn mark(self, side: Side) -> Self {
        let s = self.theme.mark(side);
        self.put(side_role(side), s)
    }

    /// Appends the short shape of a side.
    pub fn shape(self, side: Side) -> Self {
        let s = self.theme.shape(side);
        self.put(side_role(side), s)
    }

    /// Appends spaces.
    pub fn gap(mut self, cells: usize) -> Self {
        if cells > 0 {
            self.width += cells;
            self.spans.push(Span::raw(" ".repeat(cells)));
        }
        self
    }

    /// Appends spaces up to a column.
    pub(crate) fn pad_to(self, column: usize) -> Self {
        let gap = column.saturating_sub(self.width);
        self.gap(gap)
    }

    /// Appends text in exactly `cells`, cut at its end.
    pub fn left(self, role: Role, s: impl AsRef<str>, cells: usize) -> Self {
        let end = self.width + cells;
        let s = text::cut(s.as_ref(), cells, self.theme.glyph(Glyph::Ellipsis));
        self.put(role, s).pad_to(end)
    }

    /// Appends text in exactly `cells`, cut in its middle.
    pub fn middle(self, role: Role, s: impl AsRef<str>, cells: usize) -> Self {
        let end = self.width + cells;
        let s = text::cut_middle(s.as_ref(), cells, self.theme.glyph(Glyph::Ellipsis));
        self.put(role, s).pad_to(end)
    }

    /// Appends text in exactly `cells`, to the right.
    pub fn right(self, role: Role, s: impl AsRef<str>, cells: usize) -> Self {
        let s = text::cut(s.as_ref(), cells, self.theme.glyph(Glyph::Ellipsis));
        let gap = cells.saturating_sub(text::width(&s));
        self.gap(gap).put(role, s)
    }

    /// Appends one row of a sparkline; a trend without any sample is a dotted line: nothing to measure.
    pub(crate) fn spark(self, role: Role, trend: &[Option<u64>], cells: usize, max: u64) -> Self {
        self.spark_row(role, trend, cells, max, 1, 0)
    }

    /// Appends one row (`row` counted from the foot) of a sparkline `rows` high.
    pub(crate) fn spark_row(
        mut self,
        role: Role,
        trend: &[Option<u64>],
        cells: usize,
        max: u64,
        rows: u64,
        row: u64,
    ) -> Self {
        let newest = &trend[trend.len().saturating_sub(cells)..];
        if newest.iter().all(Option::is_none) {
            return if row == 0 { self.dots(cells) } else { self.gap(cells) };
        }
        let mut bars = String::new();
        for column in spark::scale_columns(trend, cells, rows, max) {
            match spark::bar_in_cell(column, row) {
                // In a table a full bar would touch the row above.
                Some(level) if rows == 1 => bars.push_str(self.theme.glyph(Glyph::spark(level.min(6)))),
                Some(level) => bars.push_str(self.theme.glyph(Glyph::spark(level))),
                None => bars.push(' '),
            }
        }
        self.width += cells;
        self.spans.push(Span::styled(bars, self.theme.style(role)));
        self
    }

    /// Appends `cells` of "nothing to measure".
    pub(crate) fn dots(self, cells: usize) -> Self {
        let s = self.theme.glyph(Glyph::Nothing).repeat(cells);
        self.put(Role::Dim, s)
    }

    /// Appends another line at a column counted from the right end of `total` cells, if there is room for it.
    pub(crate) fn put_at_end(self, end: Row<'t>, total: usize) -> Self {
        if self.width + 1 + end.width > total {
            return self;
        }
        let start = total - end.width;
        let mut row = self.pad_to(start);
        row.width += end.width;
        row.spans.extend(end.spans);
        row
    }

    /// Appends another line.
    pub fn then(mut self, other: Row<'t>) -> Self {
        self.width += other.width;
        self.spans.extend(other.spans);
        self
    }

    /// The finished line.
    pub(crate) fn into_line(self) -> Line<'static> {
        Line::from(self.spans)
    }

    /// Draws the line on row `y` of an area.
    pub fn draw(self, area: Rect, y: u16, buf: &mut Buffer) {
        if y < area.height {
            buf.set_line(area.x, area.y + y, &Line::from(self.spans), area.width);
        }
    }

    /// Draws the line with the looks of the cursor over it.
    pub(crate) fn draw_cursor(self, area: Rect, y: u16, buf: &mut Buffer) {
        let style = self.theme.style(Role::CursorRow);
        self.draw(area, y, buf);
        if y < area.height {
            buf.set_style(Rect { y: area.y + y, height: 1, ..area }, style);
        }
    }
}

/// A frame with a title in its upper edge; returns what is inside.
pub(crate) fn draw_frame(theme: &Theme, area: Rect, role: Role, title: Row<'_>, buf: &mut Buffer) -> Rect {
    // Its own edges would have no room.
    if area.width < 4 || area.height < 2 {
        return Rect { width: 0, height: 0, ..area };
    }
    let style = theme.style(role);
    let horizontal = theme.glyph(Glyph::FrameH).repeat(usize::from(area.width - 2));
    let edge = |l: Glyph, r: Glyph| format!("{}{horizontal}{}", theme.glyph(l), theme.glyph(r));
    let (right, bottom) = (area.right() - 1, area.bottom() - 1);
    buf.set_string(area.x, area.y, edge(Glyph::FrameTl, Glyph::FrameTr), style);
    buf.set_string(area.x, bottom, edge(Glyph::FrameBl, Glyph::FrameBr), style);
    for y in area.y + 1..bottom {
        buf.set_string(area.x, y, theme.glyph(Glyph::FrameV), style);
        buf.set_string(right, y, theme.glyph(Glyph::FrameV), style);
    }
    let title = title.into_line();
    buf.set_line(area.x + 1, area.y, &title, area.width - 2);
    Rect { x: area.x + 1, y: area.y + 1, width: area.width - 2, height: area.height - 2 }
}

/// A rule across an area with a word in it.
pub(crate) fn draw_rule(theme: &Theme, word: &str, area: Rect, y: u16, buf: &mut Buffer) {
    rule_line(theme, word, usize::from(area.width)).draw(area, y, buf);
}

/// The same as a line of `width` cells.
pub(crate) fn rule_line<'t>(theme: &'t Theme, word: &str, width: usize) -> Row<'t> {
    let rule = theme.glyph(Glyph::Rule);
    let end = width.saturating_sub(text::width(word) + 4);
    let row = Row::new(theme).put(Role::Frame, rule).gap(1).put(Role::Dim, word).gap(1);
    row.put(Role::Frame, rule.repeat(end))
}

/// A rule across an area with a title at its left and a remark at its right.
pub(crate) fn draw_titled_rule(theme: &Theme, title: Row<'_>, end: Row<'_>, area: Rect, y: u16, buf: &mut Buffer) {
    let rule = theme.glyph(Glyph::Rule);
    let fill = usize::from(area.width).saturating_sub(title.width() + end.width() + 3);
    let row = Row::new(theme).put(Role::Frame, rule).then(title).put(Role::Frame, rule.repeat(fill)).gap(1);
    row.then(end).draw(area, y, buf);
}

/// Wipes an area: what lies over the screen must not let it shine through.
pub(crate) fn wipe_area(theme: &Theme, area: Rect, buf: &mut Buffer) {
    for y in area.top()..area.bottom() {
        for x in area.left()..area.right() {
            if let Some(cell) = buf.cell_mut((x, y)) {
                cell.reset();
                cell.set_style(base_style(theme));
            }
        }
    }
}

/// The ground on which everything is drawn.
pub(crate) fn base_style(theme: &Theme) -> Style {
    theme.style(Role::Text)
}

/// The part of `len` rows that is shown in `height` lines with the cursor at `at`: the cursor keeps to the middle.
pub(crate) fn visible_range(len: usize, at: usize, height: usize) -> std::ops::Range<usize> {
    let start = at.saturating_sub(height / 2).min(len.saturating_sub(height));
    start..(start + height).min(len)
}

/// How many of `lines` don't fit into `rows`: what scrolls gives one row away to say where it stands.
pub(crate) fn count_hidden(lines: usize, rows: usize) -> usize {
    if lines <= rows { 0 } else { lines - rows.saturating_sub(1) }
}

/// Rows of a table and of the detail below it, which wants `lines`: it gives way to `least` rows of the table, unless it
/// was asked for by itself.
pub(crate) fn share_height(height: u16, lines: usize, least: u16, alone: bool) -> (u16, u16) {
    if alone {
        return (0, height);
    }
    let wanted = u16::try_from(lines).unwrap_or(u16::MAX).saturating_add(1);
    let detail = wanted.min(height.saturating_sub(least));
    // A rule with no line under it says nothing.
    let detail = if detail < 2 { 0 } else { detail };
    (height - detail, detail)
}

/// Words behind a label of so many cells, wrapped to `width`, on at most `most` lines; the label stands in the first.
pub(crate) fn wrap_labelled<'t>(
    theme: &'t Theme,
    (label, cells): (&str, usize),
    (role, words): (Role, &str),
    width: usize,
    most: usize,
) -> Vec<Row<'t>> {
    // A gap before the label, and one at the end of the line.
    let lines = text::wrap(words, width.saturating_sub(cells + 2), most, theme.glyph(Glyph::Ellipsis));
    let row = |(i, line): (usize, String)| {
        Row::new(theme).gap(1).left(Role::Dim, if i == 0 { label } else { "" }, cells).put(role, line)
    };
    lines.into_iter().enumerate().map(row).collect()
}

/// The detail below a table: a rule with a name, and its lines from the first that is shown; what is hidden is said.
pub(crate) fn draw_detail(
    theme: &Theme,
    name: &str,
    (rows, scroll): (Vec<Row<'_>>, Option<usize>),
    area: Rect,
    buf: &mut Buffer,
) {
    draw_rule(theme, name, area, 0, buf);
    let (total, room) = (rows.len(), usize::from(area.height.saturating_sub(1)));
    let skip = scroll.unwrap_or(0).min(total.saturating_sub(room));
    for (y, row) in (1u16..).zip(rows.into_iter().skip(skip).take(room)) {
        row.draw(area, y, buf);
    }
    if total > room {
        match scroll {
            Some(_) => draw_position(theme, (skip, room, total), area, 0, buf),
            None => {
                let words = format!("{} more lines: tab shows them", total - room);
                let row = Row::new(theme).gap(1).put(Role::Hold, words).gap(1);
                let cells = u16::try_from(row.width()).unwrap_or(0).min(area.width);
                row.draw(Rect { x: area.right() - cells, width: cells, ..area }, 0, buf);
            }
        }
    }
}

/// Where what scrolls stands, at the right end of row `y`: lines passed over, shown, and all of them.
pub(crate) fn draw_position(
    theme: &Theme,
    (skip, room, total): (usize, usize, usize),
    area: Rect,
    y: u16,
    buf: &mut Buffer,
) {
    let last = (skip + room).min(total);
    let words = format!("lines {}-{last} of {total}", skip + 1);
    let mut row = Row::new(theme).gap(1).put(Role::Hold, words).gap(1);
    if last < total {
        row = row.glyph(Role::Hold, Glyph::Down).gap(1);
    }
    let cells = u16::try_from(row.width()).unwrap_or(0).min(area.width);
    row.draw(Rect { x: area.right() - cells, width: cells, ..area }, y, buf);
}

/// An area of at most this size in the middle of another.
pub(crate) fn centre_area(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}
