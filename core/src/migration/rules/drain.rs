//! The drain proof: a stopped group has let go of its partitions, and nothing it committed moves any more.

use std::collections::BTreeMap;

use super::group;
use crate::base::format_duration;
use crate::base::{At, Observed, Side, TopicPartition};
use crate::estate::{GroupView, SwitchState};
use crate::migration::facts::event::DrainProof;

/// What was seen since the group was told to stop. Every sample counts; a hole starts the clock again.
#[derive(Debug, Clone, Default)]
pub(in crate::migration) struct Drain {
    last: Option<At>,
    samples: u32,
    switch_off: Option<At>,
    empty: Option<At>,
    still: Option<At>,
    committed: BTreeMap<TopicPartition, i64>,
    /// The last of them that were any: a group on its way to be deleted has none.
    stood: BTreeMap<TopicPartition, i64>,
    members: usize,
    /// Nobody was ever in it.
    alone: bool,
}

/// A hole in the looks up to this long is none, ms.
pub(in crate::migration) const MIN_GAP_MS: u64 = 3000;

/// How far apart looks may be.
#[derive(Clone, Copy)]
pub(in crate::migration) struct DrainBounds {
    /// A longer hole starts the clock again, ms.
    pub gap_ms: u64,
    /// A switch that was read longer ago says nothing any more, ms.
    pub switch_age_ms: u64,
}

/// One look at the group that drains.
pub(in crate::migration) struct DrainLook<'a> {
    /// When it was seen.
    pub at: At,
    /// The group; `None`: the cluster knows no such group.
    pub view: Option<&'a GroupView>,
    /// Whether it only commits: nobody is ever in it.
    pub alone: bool,
    /// Its switch; `None`: nobody can read it (manual), and only the group itself counts.
    pub switch: Option<&'a Observed<SwitchState>>,
}

/// A group's committed offsets, flat.
pub(in crate::migration) fn committed_offsets(view: Option<&GroupView>) -> BTreeMap<TopicPartition, i64> {
    let offsets = view.map(|v| v.offsets.iter());
    let flat = |(t, ps): (&String, &BTreeMap<i32, crate::estate::Committed>)| {
        ps.iter().map(|(p, c)| (TopicPartition::new(t.clone(), *p), c.offset)).collect::<Vec<_>>()
    };
    offsets.into_iter().flatten().flat_map(flat).collect()
}

impl Drain {
    /// Takes a look in; one that was seen before, or that is partly missing, adds nothing.
    pub fn feed(&mut self, look: &DrainLook<'_>, since: At, bounds: DrainBounds) {
        // A look from before the stop shows the group as it still ran.
        if self.last.is_some_and(|last| look.at <= last) || look.at < since {
            return;
        }
        // It breaks nothing at once either: where such looks go on, the hole between whole ones starts the clock again.
        if look.view.is_some_and(|v| v.trouble.is_some()) {
            return;
        }
        if self.last.is_some_and(|last| look.at.since(last) > bounds.gap_ms) {
            *self = Drain { stood: std::mem::take(&mut self.stood), ..Drain::default() };
        }
        let at = look.at;
        let has = committed_offsets(look.view);
        if !has.is_empty() {
            self.stood = has;
        }
        // From the first look on: of a switch by hand there is no moment at which it was read.
        match look.switch {
            None => self.switch_off = self.switch_off.or(Some(at)),
            Some(Observed::Known { value: SwitchState::Off, at: read, .. })
                if *read >= since && at.since(*read) <= bounds.switch_age_ms =>
            {
                self.switch_off = self.switch_off.or(Some(*read));
            }
            // Read before the stop, or not read lately: says nothing, so it proves nothing yet.
            Some(Observed::Known { at: read, .. }) if *read < since => {}
            // On again, stale or unreadable: it has to be seen off anew, for somebody may have started the group
            // meanwhile.
            _ => self.switch_off = None,
        }
        self.members = look.view.map_or(0, |v| v.members.len());
        self.alone = look.alone;
        // A group that is gone counts as Empty here; that its offsets went with it is handled before this.
        self.empty = look.view.is_none_or(group::is_empty).then(|| self.empty.unwrap_or(at));
        let now = committed_offsets(look.view);
        if self.samples == 0 || now != self.committed {
            self.still = Some(at);
        }
        self.committed = now;
        self.samples = self.samples.saturating_add(1);
        self.last = Some(at);
    }

    /// The proof, once everything stood still for `needed_ms`.
    pub fn proof(&self, side: Side, needed_ms: u64) -> Option<DrainProof> {
        let (off, empty, still, last) = (self.switch_off?, self.empty?, self.still?, self.last?);
        // One look never shows that something stands, however long ago the switch was read off.
        (last.since(off.max(empty).max(still)) >= needed_ms && self.samples >= 2).then(|| DrainProof {
            side,
            switch_off_at: off,
            empty_since: empty,
            still_since: still,
            still_needed_ms: needed_ms,
            samples: self.samples,
            committed: self.committed.iter().map(|(tp, o)| (tp.clone(), *o)).collect(),
            alone: self.alone,
        })
    }

    /// Where the group stood when it was last seen, by partition.
    pub fn stood(&self) -> &BTreeMap<TopicPartition, i64> {
        &self.stood
    }

    /// What is waited for.
    pub(crate) fn describe_wait(&self, needed_ms: u64) -> String {
        match (self.last, self.switch_off, self.empty, self.still) {
            (None, ..) => "waiting for a fresh look".into(),
            (_, None, ..) => "waiting until the switch reads off".into(),
            (_, _, None, _) => format!("waiting for Empty: {} members still there", self.members),
            (Some(last), Some(off), Some(empty), Some(still)) => {
                let so_far = last.since(off.max(empty).max(still)).min(needed_ms);
                format!("Empty, commits still {} of {}", format_duration(so_far), format_duration(needed_ms))
            }
            _ => "waiting for commits to stand still".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estate::{Committed, GroupState, MemberView};

    fn group(members: usize, offset: i64) -> GroupView {
        GroupView {
            state: if members == 0 { GroupState::Empty } else { GroupState::Stable },
            members: vec![MemberView::default(); members],
            offsets: [("t".into(), [(0, Committed { offset, leader_epoch: -1 })].into())].into(),
            ..Default::default()
        }
    }

    /// Samples: (at, members, offset, switch read at that time).
    fn fed(samples: &[(i64, usize, i64, SwitchState)]) -> Drain {
        let mut d = Drain::default();
        for (at, members, offset, switch) in samples {
            let view = group(*members, *offset);
            let switch = Observed::seen_at(*switch, At(*at));
            d.feed(&DrainLook { at: At(*at), view: Some(&view), alone: false, switch: Some(&switch) }, At(0), BOUNDS);
        }
        d
    }
    use SwitchState::{Blue, Off};
    const BOUNDS: DrainBounds = DrainBounds { gap_ms: 2000, switch_age_ms: 2000 };

    #[test]
    fn proven_only_after_everything_stood_still_long_enough() {
        let quiet: Vec<_> = (0..6).map(|i| (i * 1000, 0, 7, Off)).collect();
        assert!(fed(&quiet[..5]).proof(Side::Blue, 5000).is_none());
        let proof = fed(&quiet).proof(Side::Blue, 5000).unwrap();
        assert_eq!((proof.samples, proof.committed), (6, vec![(TopicPartition::new("t", 0), 7)]));
    }

    #[test]
    fn a_late_commit_a_member_a_switch_back_and_a_hole_restart_the_clock() {
        let mut base: Vec<_> = (0..6).map(|i| (i * 1000, 0, 7, Off)).collect();
        for (i, spoil) in [(3000, 0, 8, Off), (3000, 1, 7, Off), (3000, 0, 7, Blue)].into_iter().enumerate() {
            base[3] = spoil;
            assert!(fed(&base).proof(Side::Blue, 5000).is_none(), "case {i}");
        }
        let hole = [(0, 0, 7, Off), (1000, 0, 7, Off), (5000, 0, 7, Off), (6000, 0, 7, Off)];
        assert!(fed(&hole).proof(Side::Blue, 5000).is_none());
    }

    #[test]
    fn a_switch_read_before_the_stop_proves_nothing() {
        let mut d = Drain::default();
        let (view, old) = (group(0, 1), Observed::seen_at(Off, At(-5)));
        for at in 0..20 {
            d.feed(
                &DrainLook { at: At(at * 1000), view: Some(&view), alone: false, switch: Some(&old) },
                At(0),
                BOUNDS,
            );
        }
        assert!(d.proof(Side::Blue, 5000).is_none());
        assert_eq!(d.describe_wait(5000), "waiting until the switch reads off");
    }
}
