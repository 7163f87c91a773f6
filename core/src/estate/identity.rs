//! Whether a cluster is the one that is meant: one rule for who looks on (the estate), for who is about to use a client, and
//! for every verb, and one way to say it. An id that was not told is unknown, never right.

use std::borrow::Cow;

use crate::base::sanitise::visible_name;
use crate::base::{Cause, Side, Sides, Trouble};

/// Who says which cluster a side is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
pub enum PinnedBy {
    /// `cluster_id` in the plan.
    #[strum(serialize = "the plan")]
    Plan,
    /// What an earlier session saw first.
    #[strum(serialize = "the journal")]
    Journal,
}

/// The cluster id that a side has to have. It borrows: every rule of every group asks for it with each picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin<'a> {
    /// Who says so.
    pub by: PinnedBy,
    /// The id.
    pub id: Cow<'a, str>,
}

impl<'a> Pin<'a> {
    /// The one that counts: what the plan names, or else what the journal noted when the side was first seen.
    #[must_use]
    pub fn choose(planned: Option<&'a str>, journalled: Option<&'a str>) -> Option<Pin<'a>> {
        let pin = |by| move |id: &'a str| Pin { by, id: Cow::Borrowed(id) };
        planned.map(pin(PinnedBy::Plan)).or_else(|| journalled.map(pin(PinnedBy::Journal)))
    }

    /// The same, to be kept.
    #[must_use]
    pub fn into_owned(self) -> Pin<'static> {
        Pin { by: self.by, id: Cow::Owned(self.id.into_owned()) }
    }

    /// Holds what a side told against it.
    ///
    /// # Errors
    /// It is another cluster, or it did not tell which it is.
    pub fn check(&self, side: Side, told: Option<&str>) -> Result<(), Unverified> {
        if told == Some(&*self.id) {
            return Ok(());
        }
        let (by, pin) = (self.by, visible_name(&self.id));
        match told {
            Some(id) => Err(Unverified::Wrong(Trouble::new(
                format!("{side} is cluster {}, but {by} pins {pin}", visible_name(id)),
                format!("correct bootstrap or cluster_id of {side} in the plan; nothing can be done until they agree"),
            ))),
            // Unknown and not Wrong: it may be a broker that starts, and nothing says that it is another cluster's.
            None => Err(Unverified::Unknown(Trouble::new(
                format!("{side} did not tell its cluster id, and {by} pins {pin}"),
                "look at what answers at its addresses: every broker since Kafka 0.10.1 has an id",
            ))),
        }
    }
}

/// Why a cluster is not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unverified {
    /// It is another one than it has to be, or leads to two.
    Wrong(Trouble),
    /// Nobody can tell.
    Unknown(Trouble),
}

impl From<Unverified> for Trouble {
    fn from(why: Unverified) -> Trouble {
        match why {
            Unverified::Wrong(trouble) | Unverified::Unknown(trouble) => trouble,
        }
    }
}

/// Why nothing may be moved between blue and green: they are one cluster.
#[must_use]
pub fn find_same_cluster(ids: Sides<Option<&str>>) -> Option<Trouble> {
    let id = ids.blue.filter(|id| ids.green == Some(*id))?;
    Some(Trouble::new(
        format!("blue and green are one cluster ({})", visible_name(id)),
        "correct the bootstrap addresses in the plan; nothing can be done until then",
    ))
}

/// Two addresses of a side (or one, at different times) that lead to different clusters: `(address, cluster id)`.
#[must_use]
pub fn two_clusters(side: Side, one: (&str, &str), other: (&str, &str)) -> Trouble {
    // In one order: the same trouble must not read as a new one because the addresses answered the other way round.
    let ((a, x), (b, y)) = if one <= other { (one, other) } else { (other, one) };
    let [at, x, bt, y] = [a, x, b, y].map(visible_name);
    let what = match a == b {
        true => format!("the address {at} of {side} leads to two clusters: {x} and {y}"),
        false => format!("the addresses of {side} lead to two clusters: {at} is cluster {x}, {bt} is cluster {y}"),
    };
    let advice = format!(
        "let bootstrap of {side} in the plan, and the names behind it, lead to one cluster; nothing can be done until then"
    );
    Trouble::new(what, advice).with_cause(Cause::TwoClusters)
}
