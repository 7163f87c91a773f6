//! Tables: each column is declared once, with its title, its width, and what stands in it. The head, the rows, the part of
//! them that is shown, and the marks of what lies above and below it come from that. All widths and gaps are cells.
//!
//! The first cell of every line belongs to the cursor; the columns follow, each after its gap.

use std::borrow::Cow;
use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::line::{Row, visible_range};
use crate::tui::text;
use crate::tui::theme::{Glyph, Role, Theme};

/// How many cells a column takes, and from which width of the area on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ColumnWidth {
    /// Always so many.
    Fixed(usize),
    /// So many from a width of the area on: pairs of that width and the column's cells, the narrowest area first. In an
    /// area narrower than the first the column is not shown.
    Steps(&'static [(usize, usize)]),
    /// One of so many parts of the area, but at least and at most so many cells.
    Share {
        /// In how many parts the area is divided.
        parts: usize,
        /// Least cells.
        least: usize,
        /// Most cells.
        most: usize,
    },
    /// What the other columns leave, but at least and at most so many.
    Between(usize, usize),
    /// What the columns before the last one leave it; one cell stays free for the marks of more rows. Not shown in an area
    /// narrower than `from`.
    Rest {
        /// Least width of the area.
        from: usize,
    },
}

impl ColumnWidth {
    /// Cells of the column in an area of `area` cells, of which the other columns leave `left`; `None`: it is not shown.
    pub(crate) fn count_cells(self, area: usize, left: usize) -> Option<usize> {
        match self {
            Self::Fixed(cells) => Some(cells),
            Self::Steps(steps) => steps.iter().rev().find(|(from, _)| area >= *from).map(|(_, cells)| *cells),
            Self::Share { parts, least, most } => Some((area / parts).clamp(least, most)),
            Self::Between(least, most) => Some(left.clamp(least, most)),
            Self::Rest { from } => (area >= from).then(|| left.saturating_sub(1)),
        }
    }

    /// Whether it depends on what the other columns leave.
    fn takes_leftover(self) -> bool {
        matches!(self, Self::Between(..) | Self::Rest { .. })
    }
}

/// What stands in one cell of a table.
#[derive(Debug, Clone)]
pub(crate) enum TableCell<'t> {
    /// Words, cut and aligned as the column says.
    Words(Role, Cow<'t, str>),
    /// The same over this column and the next one.
    OverNext(Role, Cow<'t, str>),
    /// Words in place of this column and all after it.
    ToTheEnd {
        /// Cells between them and the column before.
        gap: usize,
        /// Their looks.
        role: Role,
        /// What is said.
        words: Cow<'t, str>,
    },
    /// A trend on the scale `0..=max`.
    Trend {
        /// Its looks.
        role: Role,
        /// The newest comes last; `None` is a hole.
        samples: &'t [Option<u64>],
        /// The end of the scale.
        max: u64,
    },
    /// Nothing to measure, over all of the column.
    Dots,
}

/// A cell of words.
pub(crate) fn in_role<'t>(role: Role, words: impl Into<Cow<'t, str>>) -> TableCell<'t> {
    TableCell::Words(role, words.into())
}

/// The row's name: strong under the cursor, else in this role.
pub(crate) fn name_cell<'t>(role: Role, at: CellPlace) -> TableCell<'t> {
    in_role(if at.cursor { Role::Strong } else { role }, at.name)
}

/// Where a cell stands.
#[derive(Debug, Clone)]
pub(crate) struct CellPlace {
    /// Cells of its column.
    pub cells: usize,
    /// It is in the row under the cursor.
    pub cursor: bool,
    /// The row's name, shortened so that no two that are shown look alike ([`TableColumn::tell_apart`]).
    pub name: String,
}

/// How words stand in their column, and where they are cut when it has no room for them.
#[derive(Debug, Clone, Copy)]
enum CellAlign {
    Left,
    LeftCutInMiddle,
    Right,
}

/// One column of a table whose rows are made of `R`.
pub(crate) struct TableColumn<'t, R> {
    title: Cow<'t, str>,
    short_title: Option<Cow<'t, str>>,
    title_role: Role,
    width: ColumnWidth,
    align: CellAlign,
    gap: usize,
    gap_after: usize,
    name: Option<fn(R) -> String>,
    cell: Box<dyn Fn(R, CellPlace) -> TableCell<'t> + 't>,
}

impl<'t, R: Copy> TableColumn<'t, R> {
    /// A column one cell after the one before it, aligned to the left.
    pub fn new(
        title: impl Into<Cow<'t, str>>,
        width: ColumnWidth,
        cell: impl Fn(R, CellPlace) -> TableCell<'t> + 't,
    ) -> Self {
        Self {
            title: title.into(),
            short_title: None,
            title_role: Role::Dim,
            width,
            align: CellAlign::Left,
            gap: 1,
            gap_after: 0,
            name: None,
            cell: Box::new(cell),
        }
    }

    /// Aligned to the right.
    pub(crate) fn align_right(self) -> Self {
        Self { align: CellAlign::Right, ..self }
    }

    /// Words without room are cut in their middle, not at their end.
    pub(crate) fn cut_in_middle(self) -> Self {
        Self { align: CellAlign::LeftCutInMiddle, ..self }
    }

    /// So many cells between it and the column before.
    pub(crate) fn set_gap(self, gap: usize) -> Self {
        Self { gap, ..self }
    }

    /// So many cells more between it and whichever shown column comes next.
    pub(crate) fn set_gap_after(self, gap_after: usize) -> Self {
        Self { gap_after, ..self }
    }

    /// The looks of its title.
    pub(crate) fn set_title_role(self, title_role: Role) -> Self {
        Self { title_role, ..self }
    }

    /// A title for where the other one has no room.
    pub(crate) fn add_short_title(self, title: impl Into<Cow<'t, str>>) -> Self {
        Self { short_title: Some(title.into()), ..self }
    }

    /// The row's name (made visible) for [`CellPlace::name`].
    pub(crate) fn tell_apart(self, name: fn(R) -> String) -> Self {
        Self { name: Some(name), ..self }
    }

    fn put_words(&self, row: Row<'t>, role: Role, words: &str, cells: usize) -> Row<'t> {
        match self.align {
            CellAlign::Left => row.left(role, words, cells),
            CellAlign::LeftCutInMiddle => row.middle(role, words, cells),
            CellAlign::Right => row.right(role, words, cells),
        }
    }
}

/// A table laid out for one width.
pub(crate) struct TableView<'t, R> {
    theme: &'t Theme,
    width: usize,
    /// Those that are shown, with their cells.
    columns: Vec<(TableColumn<'t, R>, usize)>,
    left_out: usize,
}

impl<'t, R: Copy> TableView<'t, R> {
    /// A table of these columns in an area `width` cells wide.
    pub fn new(theme: &'t Theme, columns: Vec<TableColumn<'t, R>>, width: usize) -> Self {
        let taken = |c: &TableColumn<'t, R>| {
            let cells = c.width.count_cells(width, 0)?;
            Some(c.gap + c.gap_after + if c.width.takes_leftover() { 0 } else { cells })
        };
        let left = width.saturating_sub(1 + columns.iter().filter_map(taken).sum::<usize>());
        let laid_out = |c: TableColumn<'t, R>| c.width.count_cells(width, left).map(|cells| (c, cells));
        Self { theme, width, columns: columns.into_iter().filter_map(laid_out).collect(), left_out: 0 }
    }

    /// So many rows are in no list, and lie below its end.
    pub(crate) fn set_left_out(self, left_out: usize) -> Self {
        Self { left_out, ..self }
    }

    /// Cells of the area it is laid out for.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Cells of the column with this title; 0: it is not shown.
    pub(crate) fn count_cells(&self, title: &str) -> usize {
        self.columns.iter().find(|(c, _)| c.title == title).map_or(0, |(_, cells)| *cells)
    }

    /// The titles.
    pub(crate) fn head_line(&self) -> Row<'t> {
        self.columns.iter().fold(Row::new(self.theme).gap(1), |row, (c, cells)| {
            let short = c.short_title.as_ref().filter(|_| text::width(&c.title) > *cells);
            let (row, title) = (row.gap(c.gap), short.unwrap_or(&c.title));
            let row = match c.width {
                // The last title has the edge for itself: what there is room for says more than an ellipsis.
                ColumnWidth::Rest { .. } => row.put(c.title_role, title),
                _ => c.put_words(row, c.title_role, title, *cells),
            };
            row.gap(c.gap_after)
        })
    }

    /// The lines of rows that are shown together, with the mark of the cursor on one of them.
    pub fn list_lines(&self, rows: impl IntoIterator<Item = R>, cursor: Option<usize>) -> Vec<Row<'t>> {
        let rows: Vec<R> = rows.into_iter().collect();
        let shorten = |(c, cells): &(TableColumn<'t, R>, usize)| {
            let whole: Vec<String> = c.name.map(|name| rows.iter().map(|r| name(*r)).collect()).unwrap_or_default();
            text::shorten_apart(&whole, *cells, self.theme.glyph(Glyph::Ellipsis))
        };
        let mut names: Vec<Vec<String>> = self.columns.iter().map(shorten).collect();
        let line = |(i, row): (usize, &R)| {
            let name = |column: usize| names[column].get_mut(i).map(std::mem::take).unwrap_or_default();
            self.row_line(*row, name, cursor == Some(i))
        };
        rows.iter().enumerate().map(line).collect()
    }

    fn row_line(&self, entry: R, mut name: impl FnMut(usize) -> String, cursor: bool) -> Row<'t> {
        let row = Row::new(self.theme);
        let mut row = if cursor { row.glyph(Role::Strong, Glyph::Cursor) } else { row.gap(1) };
        let mut columns = self.columns.iter().enumerate();
        while let Some((i, (c, cells))) = columns.next() {
            let cell = (c.cell)(entry, CellPlace { cells: *cells, cursor, name: name(i) });
            let start = if let TableCell::ToTheEnd { gap, .. } = &cell { *gap } else { c.gap };
            row = row.gap(start);
            row = match cell {
                TableCell::Words(role, words) => c.put_words(row, role, &words, *cells),
                TableCell::OverNext(role, words) => {
                    let next = columns.next().map_or(0, |(_, (next, more))| c.gap_after + next.gap + more);
                    c.put_words(row, role, &words, cells + next)
                }
                TableCell::ToTheEnd { role, words, .. } => {
                    let left = self.width.saturating_sub(row.width() + 1);
                    return row.left(role, words, left);
                }
                TableCell::Trend { role, samples, max } => row.spark(role, samples, *cells, max),
                TableCell::Dots => row.dots(*cells),
            };
            row = row.gap(c.gap_after);
        }
        row
    }

    /// Draws as many rows as the area has lines, without a head: those around row `at`, which has the looks of the cursor
    /// where there is one. Returns which they are.
    pub(crate) fn draw_window(
        &self,
        rows: impl ExactSizeIterator<Item = R>,
        at: (usize, bool),
        area: Rect,
        buf: &mut Buffer,
    ) -> Range<usize> {
        let (at, cursor) = at;
        let range = visible_range(rows.len(), at, usize::from(area.height));
        let cursor = at.checked_sub(range.start).filter(|_| cursor);
        let shown = rows.skip(range.start).take(range.len());
        for (y, line) in (0u16..).zip(self.list_lines(shown, cursor)) {
            if cursor == Some(usize::from(y)) { line.draw_cursor(area, y, buf) } else { line.draw(area, y, buf) }
        }
        range
    }

    /// Draws the head, the rows around row `at` (with the cursor on it, or not), and at the right edge marks where rows lie
    /// above or below what is shown.
    pub(crate) fn draw_table(
        &self,
        rows: impl ExactSizeIterator<Item = R>,
        at: (usize, bool),
        area: Rect,
        buf: &mut Buffer,
    ) {
        let all = rows.len();
        self.head_line().draw(area, 0, buf);
        let inside = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
        let range = self.draw_window(rows, at, inside, buf);
        let edge = |y: u16| Rect { x: area.right() - 1, y, width: 1, height: 1 };
        let more = |glyph: Glyph| Row::new(self.theme).glyph(Role::Strong, glyph);
        if inside.height > 0 && range.start > 0 {
            more(Glyph::Up).draw(edge(inside.y), 0, buf);
        }
        if inside.height > 0 && all - range.end + self.left_out > 0 {
            more(Glyph::Down).draw(edge(inside.bottom() - 1), 0, buf);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::theme::{Depth, Glyphs};

    fn theme() -> Theme {
        Theme::built_in("mono", Depth::None, Glyphs::Ascii).expect("a built-in theme")
    }

    /// A name, and how many; without a number it is not known.
    type Entry = (&'static str, Option<u64>);

    fn columns<'t>() -> Vec<TableColumn<'t, Entry>> {
        vec![
            TableColumn::new("name", ColumnWidth::Steps(&[(0, 6), (30, 10)]), |_: Entry, at| {
                in_role(if at.cursor { Role::Strong } else { Role::Text }, at.name)
            })
            .tell_apart(|e| e.0.to_owned()),
            TableColumn::new("number", ColumnWidth::Steps(&[(20, 5)]), |e: Entry, _| match e.1 {
                Some(n) => in_role(Role::Text, n.to_string()),
                None => TableCell::ToTheEnd { gap: 2, role: Role::Dim, words: "nobody knows".into() },
            })
            .add_short_title("no")
            .align_right(),
            TableColumn::new("word", ColumnWidth::Rest { from: 0 }, |e: Entry, _| in_role(Role::Text, e.0)).set_gap(2),
        ]
    }

    /// What is drawn of rows named `row-0`, `row-1` and so on.
    fn drawn(table: &TableView<'_, Entry>, rows: usize, at: (usize, bool), (width, height): (u16, u16)) -> Vec<String> {
        const NAMES: [&str; 9] = ["row-0", "row-1", "row-2", "row-3", "row-4", "row-5", "row-6", "row-7", "row-8"];
        let area = Rect { x: 0, y: 0, width, height };
        let mut buf = Buffer::empty(area);
        let entries = NAMES[..rows].iter().map(|name| (*name, Some(rows as u64)));
        table.draw_table(entries, at, area, &mut buf);
        let line = |y: u16| (0..width).filter_map(|x| buf.cell((x, y))).map(|c| c.symbol()).collect::<String>();
        (0..height).map(|y| line(y).trim_end().to_owned()).collect()
    }

    #[test]
    fn the_width_of_the_area_decides_which_columns_there_are() {
        let theme = theme();
        let table = TableView::new(&theme, columns(), 32);
        assert_eq!(drawn(&table, 1, (0, true), (32, 2)), ["  name          no  word", "> row-0          1  row-0"]);
        assert_eq!(table.count_cells("word"), 32 - 1 - 11 - 6 - 2 - 1, "one cell at the edge stays free");
        let narrow = TableView::new(&theme, columns(), 16);
        assert_eq!(drawn(&narrow, 1, (0, false), (16, 2)), ["  name    word", "  row-0   row-0"]);
        assert_eq!(narrow.count_cells("number"), 0);
        let steps = ColumnWidth::Steps(&[(20, 5), (30, 9)]);
        assert_eq!([19, 20, 29, 30].map(|area| steps.count_cells(area, 0)), [None, Some(5), Some(5), Some(9)]);
        assert_eq!(ColumnWidth::Share { parts: 3, least: 16, most: 40 }.count_cells(90, 0), Some(30));
        assert_eq!([5, 30, 99].map(|left| ColumnWidth::Between(10, 60).count_cells(80, left)), [10, 30, 60].map(Some));
    }

    #[test]
    fn the_cursor_stays_in_sight_and_what_is_left_out_is_marked() {
        let theme = theme();
        let table = TableView::new(&theme, columns(), 16);
        let shown = |at: (usize, bool)| drawn(&table, 9, at, (16, 4)).split_off(1);
        assert_eq!(shown((0, true)), ["> row-0   row-0", "  row-1   row-1", "  row-2   row-2v"]);
        assert_eq!(shown((4, true)), ["  row-3   row-3^", "> row-4   row-4", "  row-5   row-5v"]);
        assert_eq!(shown((8, true)), ["  row-6   row-6^", "  row-7   row-7", "> row-8   row-8"]);
        assert_eq!(shown((0, false))[0], "  row-0   row-0", "without the focus there is no cursor");
        let more = table.set_left_out(3);
        assert!(drawn(&more, 1, (0, true), (16, 2))[1].ends_with('v'), "what is in no list lies below it");
        assert_eq!(drawn(&more, 1, (0, true), (16, 1)).len(), 1, "a head alone has no room for marks");
    }

    #[test]
    fn words_may_take_the_place_of_columns() {
        let theme = theme();
        let text = |table: &TableView<'_, Entry>, entry: Entry| {
            let row = table.list_lines([entry], None).remove(0);
            row.into_line().spans.iter().map(|s| s.content.to_string()).collect::<String>().trim_end().to_owned()
        };
        let table = TableView::new(&theme, columns(), 32);
        assert_eq!(text(&table, ("row-0", None)), "  row-0       nobody knows");
        let two = || {
            vec![
                TableColumn::new("a", ColumnWidth::Fixed(4), |e: Entry, _| match e.1 {
                    Some(n) => in_role(Role::Text, n.to_string()),
                    None => TableCell::OverNext(Role::Dim, "elsewhere".into()),
                })
                .align_right(),
                TableColumn::new("b", ColumnWidth::Fixed(6), |e: Entry, _| in_role(Role::Text, e.0)),
                TableColumn::new("c", ColumnWidth::Fixed(3), |_: Entry, _| in_role(Role::Text, "end")),
            ]
        };
        let table = TableView::new(&theme, two(), 40);
        assert_eq!(text(&table, ("row-0", Some(7))), "     7 row-0  end");
        assert_eq!(text(&table, ("row-0", None)), "    elsewhere end", "aligned as the first of both");
    }

    #[test]
    fn names_that_are_shown_together_stay_apart() {
        let theme = theme();
        let table = TableView::new(&theme, columns(), 16);
        let rows = table.list_lines([("payments-eu-1-audit", Some(1)), ("payments-us-1-audit", Some(1))], Some(1));
        let names: Vec<String> =
            rows.into_iter().map(|r| r.into_line().spans.iter().map(|s| s.content.to_string()).collect()).collect();
        assert_ne!(names[0][2..8], names[1][2..8], "{names:?}");
        assert!(names[1].starts_with('>'), "{names:?}");
    }
}
