//! Where a group is found, and what may be said of a picture now.

use std::borrow::Cow;

use super::{GroupRow, GroupSide, PartitionRow, PartitionSide, SideView, Snapshot};
use crate::base::{At, Freshness, Observed, Side, Sides, Trouble};
use crate::estate::GroupState;
use crate::migration::facts::stage::{NextStep, Stage, WayBack};

/// Where a group that nobody has moved is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[expect(clippy::enum_variant_names, reason = "`--json` prints them")]
pub(crate) enum GroupPlace {
    /// On blue only.
    OnBlue,
    /// On green only.
    OnGreen,
    /// On both.
    OnBoth,
}

impl GroupSide {
    /// A side on which nothing of the group is known, and why.
    #[must_use]
    pub fn unseen(why: Option<Trouble>) -> GroupSide {
        GroupSide {
            state: None,
            members: Vec::new(),
            lag: None,
            lag_stable: None,
            waits: None,
            at: None,
            time_lag_ms: None,
            trend: Vec::new(),
            rate: None,
            stuck: false,
            trouble: why,
        }
    }

    /// Whether what is said of it was seen recently.
    #[must_use]
    pub(crate) fn is_fresh(&self, now: At, stale_after_ms: u64) -> bool {
        // Both ways: after a clock stepped back the age of what was seen is not known.
        self.at.is_some_and(|at| now.since(at) <= stale_after_ms && at.since(now) <= stale_after_ms)
    }

    /// What lies unread, records, if that is known now: an old figure says nothing of now.
    #[must_use]
    pub(crate) fn lag_now(&self, now: At, stale_after_ms: u64) -> Option<u64> {
        self.lag.filter(|_| self.is_fresh(now, stale_after_ms))
    }

    /// The side was read, and has such a group.
    #[must_use]
    pub(crate) fn is_there(&self) -> bool {
        self.state.is_some_and(|state| state != GroupState::Dead)
    }

    /// Whether who is in it was told.
    #[must_use]
    pub(crate) fn members_known(&self) -> bool {
        // A group that can't be described has members that nobody names.
        self.is_there() && (self.trouble.is_none() || !self.members.is_empty())
    }

    /// The side was read, and has no such group.
    #[must_use]
    pub(crate) fn is_absent(&self) -> bool {
        self.trouble.is_none() && self.at.is_some() && matches!(self.state, None | Some(GroupState::Dead))
    }
}

impl GroupRow {
    /// What is known of it on a side.
    #[must_use]
    pub(crate) fn on_side(&self, side: Side) -> &GroupSide {
        Sides { blue: &self.blue, green: &self.green }.pick(side)
    }

    /// Where it is found, for a group that no journal entry has moved: its stage says where a group of the plan begins, and
    /// nothing of others. `None`: it is found nowhere now, or was moved (then its stage says where it is).
    #[must_use]
    pub(crate) fn found_on(&self) -> Option<GroupPlace> {
        if self.stage != Stage::OnBlue {
            return None;
        }
        match (self.blue.is_there(), self.green.is_there()) {
            (true, false) => Some(GroupPlace::OnBlue),
            (true, true) if !self.listed => Some(GroupPlace::OnBoth),
            // A group of the plan has a copy of its offsets there before it moves.
            (true, true) => Some(GroupPlace::OnBlue),
            // Blue may only not have been read: a group of the plan begins there until blue says that it is gone.
            (false, true) if !self.listed || self.blue.is_absent() => Some(GroupPlace::OnGreen),
            (false, _) => None,
        }
    }
}

impl PartitionRow {
    /// Its offsets on a side.
    #[must_use]
    pub(crate) fn on_side(&self, side: Side) -> &PartitionSide {
        Sides { blue: &self.blue, green: &self.green }.pick(side)
    }
}

impl Snapshot {
    /// What is known of a cluster.
    #[must_use]
    pub fn side(&self, side: Side) -> &SideView {
        Sides { blue: &self.blue, green: &self.green }.pick(side)
    }

    /// Why nothing may be claimed of both clusters together at `now`: one is another cluster, was never seen, or was not
    /// seen recently. `None`: both are the right ones, and fresh.
    #[must_use]
    pub fn why_untrusted(&self, now: At) -> Option<String> {
        [&self.blue, &self.green].into_iter().find_map(|v| v.why_untrusted(now, self.header.stale_after_ms))
    }

    /// The rollback verdict of a group as it may be claimed when this picture was made: none that rests on both clusters
    /// stands while one of them can't be trusted.
    #[must_use]
    pub(crate) fn way_back_of<'a>(&self, row: &'a GroupRow) -> Cow<'a, WayBack> {
        // Of what is complete nobody goes back, whatever is seen.
        let rests = !matches!(row.way_back, WayBack::Unknown { .. }) && !matches!(row.stage, Stage::Complete { .. });
        match self.why_untrusted(self.now).filter(|_| rests) {
            Some(why) => Cow::Owned(WayBack::Unknown { why }),
            None => Cow::Borrowed(&row.way_back),
        }
    }

    /// What comes next for a group or producer, likewise: nothing is ready while that can't be known.
    #[must_use]
    pub(crate) fn next_of<'a>(&self, next: &'a NextStep) -> &'a str {
        if next.ready && self.why_untrusted(self.now).is_some() { "not known" } else { &next.words }
    }
}

impl SideView {
    /// The same of one side.
    #[must_use]
    pub fn why_untrusted(&self, now: At, stale_after_ms: u64) -> Option<String> {
        // First: a wrong cluster may be as fresh as can be.
        if let Some(trouble) = &self.identity_trouble {
            return Some(trouble.what.clone());
        }
        match (&self.link, self.link.freshness(now, stale_after_ms)) {
            (_, Freshness::Fresh) => None,
            (Observed::Absent { .. }, _) => Some(format!("{} was never seen", self.side)),
            (Observed::Known { at, .. }, _) => {
                Some(format!("{} was last seen {} ago", self.side, crate::base::format_duration(now.since(*at))))
            }
        }
    }

    /// Whether the lists of this side are whole and young: only then what is not in them is not there.
    #[must_use]
    pub(crate) fn proves_absence(&self, now: At, stale_after_ms: u64) -> bool {
        self.why_untrusted(now, stale_after_ms).is_none() && self.groups_hidden.is_none()
    }
}
