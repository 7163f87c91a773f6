//! What must be so of the pipeline, whatever happens to it.

use cutover::base::{Side, TopicPartition};

use super::Driver;
use super::world::{TOPIC, World, at};
use crate::driver::World as _;

/// What holds at every moment.
pub fn sane(d: &Driver) {
    if let Some(run) = d.machine.state().open_run(&World::subject()).filter(|r| !r.dry_run) {
        let writes = d.world.main.map(|m| m.side);
        // Before its point of no silent return nothing of a run ever starts the other side.
        if run.kind.moves_hard() && !run.no_return {
            assert_ne!(writes, Some(run.to), "it writes on {} before the point of no silent return", run.to);
        }
        let seamed = run.seam.as_ref().filter(|_| run.no_return && run.kind.moves_hard());
        for seam in seamed.into_iter().flat_map(|(_, seams)| seams) {
            let quiet = d.world.restarted.is_none() && d.world.zombie.is_none();
            let end = d.world.end(run.to.other(), seam.tp.partition);
            let clean = quiet && !d.world.meddled && d.world.stranger == [false; 2];
            assert!(!clean || end == seam.source, "{} ends at {end} after its seam {}", seam.tp, seam.source);
        }
    }
}

impl Driver {
    /// Whether every record stands where it should, each once and in order: on blue alone, or across the seam.
    pub fn exact(&self) -> Result<(), String> {
        let seams = &self.machine.state().seams;
        for p in 0..2_usize {
            let tp = TopicPartition::new(TOPIC, i32::try_from(p).unwrap());
            let all = usize::MAX;
            let found = match seams.current_to(Side::Green, &tp) {
                Some((_, seam)) => {
                    let (source, target) = (seam.source.try_into().unwrap(), seam.target.try_into().unwrap());
                    let mut found = self.world.records(Side::Blue, p, 0, source);
                    found.extend(self.world.records(Side::Green, p, target, all));
                    found
                }
                None => self.world.records(Side::Blue, p, 0, all),
            };
            let wanted: Vec<u64> = (0..found.len() as u64).collect();
            let written =
                self.world.logs.iter().map(|l| l[p].slots.iter().flatten().filter(|n| **n != u64::MAX).count()).max();
            if found != wanted || found.len() < written.unwrap_or(0) {
                let odd = found.iter().zip(&wanted).position(|(a, b)| a != b).unwrap_or(found.len().min(wanted.len()));
                let around = &found[odd.saturating_sub(3)..found.len().min(odd + 4)];
                let written = written.unwrap_or(0);
                return Err(format!("partition {p}, {} of {written}: at {odd} it reads .. {around:?} ..", found.len()));
            }
        }
        Ok(())
    }

    pub fn writes_on(&self) -> &'static str {
        match self.world.main {
            Some(main) => main.side.name(),
            None => "nowhere",
        }
    }

    pub fn committed(&self, side: Side) -> String {
        format!("{:?}", self.world.committed[at(side)].values().collect::<Vec<_>>())
    }
}
