//! The two clusters, and what there is one of for each.

use std::fmt;
use std::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize};

/// One of the two clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The legacy cluster, where everything runs before the migration.
    Blue,
    /// The new cluster.
    Green,
}

impl Side {
    /// Both, blue first: the order in which everything is shown.
    pub const BOTH: [Side; 2] = [Side::Blue, Side::Green];

    /// The other cluster.
    #[must_use]
    pub fn other(self) -> Side {
        match self {
            Side::Blue => Side::Green,
            Side::Green => Side::Blue,
        }
    }

    /// `blue` or `green`, as in the plan file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Side::Blue => "blue",
            Side::Green => "green",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One for blue and one for green, got at by its side: `clusters[side]`.
///
/// It stands for what else would be said by place or by hand: an array of two with `usize::from(side == Side::Green)`, a
/// pair whose halves can be mixed up, fields `x_blue` and `x_green` with a function that picks between them. In JSON it is
/// `{"blue": .., "green": ..}`. A pair of another order (the log that is left and the one that is moved to) is not this.
/// Nor is a struct that says more than the two: it keeps its fields, and picks with [`Sides::pick`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sides<T> {
    /// Blue's.
    pub blue: T,
    /// Green's.
    pub green: T,
}

impl<T> Sides<T> {
    /// What `of` makes for each, blue first.
    pub fn from_fn(mut of: impl FnMut(Side) -> T) -> Self {
        let blue = of(Side::Blue);
        Self { blue, green: of(Side::Green) }
    }

    /// Both, each lent.
    #[must_use]
    pub fn as_ref(&self) -> Sides<&T> {
        Sides { blue: &self.blue, green: &self.green }
    }

    /// Both, blue first.
    pub fn iter(&self) -> impl Iterator<Item = (Side, &T)> {
        [(Side::Blue, &self.blue), (Side::Green, &self.green)].into_iter()
    }

    /// What `of` makes of each, blue first.
    pub fn map<U>(self, mut of: impl FnMut(T) -> U) -> Sides<U> {
        let blue = of(self.blue);
        Sides { blue, green: of(self.green) }
    }

    /// That of one side; the other is dropped.
    #[must_use]
    pub fn pick(self, side: Side) -> T {
        match side {
            Side::Blue => self.blue,
            Side::Green => self.green,
        }
    }
}

impl<T> Index<Side> for Sides<T> {
    type Output = T;

    fn index(&self, side: Side) -> &T {
        self.as_ref().pick(side)
    }
}

impl<T> IndexMut<Side> for Sides<T> {
    fn index_mut(&mut self, side: Side) -> &mut T {
        Sides { blue: &mut self.blue, green: &mut self.green }.pick(side)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_has_its_own() {
        let mut names = Sides::from_fn(Side::name);
        assert_eq!((names[Side::Blue], names[Side::Green]), ("blue", "green"));
        names[Side::Green] = "new";
        assert_eq!(names, Sides { blue: "blue", green: "new" });
        assert_eq!(names.pick(Side::Blue), "blue");
        assert_eq!(names.pick(Side::Green), "new");
    }

    #[test]
    fn blue_comes_first() {
        let mut asked = Vec::new();
        let numbers = Sides::from_fn(|side| {
            asked.push(side);
            asked.len()
        });
        assert_eq!(asked, Side::BOTH);
        assert_eq!(numbers.iter().collect::<Vec<_>>(), [(Side::Blue, &1), (Side::Green, &2)]);
        let mut seen = Vec::new();
        assert_eq!(numbers.map(|n| seen.push(n)), Sides::default());
        assert_eq!(seen, [1, 2]);
    }

    #[test]
    fn it_is_written_by_name() {
        let text = r#"{"blue":1,"green":2}"#;
        assert_eq!(serde_json::to_string(&Sides { blue: 1, green: 2 }).unwrap(), text);
        assert_eq!(serde_json::from_str::<Sides<i32>>(text).unwrap(), Sides { blue: 1, green: 2 });
    }
}
