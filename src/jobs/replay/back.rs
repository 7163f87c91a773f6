//! A replay as a step of another run: what one side alone has is carried to the other, each record once. The run's
//! journal holds its intent; how far it came is on the target, as for every replay.

use std::sync::Arc;

use super::carry::End;
use super::ground::ReplayPreconditions;
use super::history::KnownReplay;
use super::run::{ReplaySession, carry_with_retries, run_blocking};
use super::{Halt, ReplayProgressSink, ReplayRequest, ReplayWhat, Stop};
use crate::base::{Side, TopicPartition, Trouble};
use crate::plan::Plan;
use crate::replay::spec::transactional_id;
use crate::replay::{By, Ranges, ReplayReport, ReplaySpec};
use crate::session::lease::WriteLease;
use crate::session::options::{Options, Want};

/// What is to be carried, and under which name: the same in every attempt.
#[derive(Debug, Clone)]
pub(crate) struct CarryBack {
    /// Unique among all replays of both clusters; an attempt with the same one goes on where the last one stopped.
    pub id: String,
    /// The cluster to read from.
    pub from: Side,
    /// Offsets there, topics by blue's names.
    pub ranges: Ranges,
    /// Ends of the target's partitions before the first attempt, by blue's names.
    pub target_ends: Vec<(TopicPartition, i64)>,
    /// Why, for the records of the replay.
    pub asked: String,
}

/// What it came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CarriedBack {
    /// Records on the target by now.
    pub records: u64,
    /// Whether each was read back there, once; `None`: it could not be read back.
    pub verified: Option<bool>,
}

/// Why it is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotCarriedBack {
    /// Nothing was sent.
    Failed(Trouble),
    /// Some of it may be on the target: the next attempt goes on from there.
    Unknown(Trouble),
}

/// Carries `back`, or what an earlier attempt left of it, and reads it back.
pub(crate) async fn carry_back(
    plan: &Plan,
    lease: Arc<WriteLease>,
    back: &CarryBack,
    tell: ReplayProgressSink,
    stop: Arc<Stop>,
) -> Result<CarriedBack, NotCarriedBack> {
    let request = ReplayRequest {
        what: ReplayWhat::Ranges(back.ranges.clone()),
        asked: back.asked.clone(),
        from: back.from,
        into: None,
        // Only producers whose topics have equal numbers of partitions are cut over hard: each record keeps its own.
        by: Some(By::Number),
        mark: true,
        accept_reorder: true,
        again: true,
        rate: None,
        read_back: true,
    };
    let options = Options::new(Want::Armed, back.asked.clone());
    let ground = ReplayPreconditions::new(plan).map_err(NotCarriedBack::Failed)?;
    let session =
        ReplaySession { plan, options: &options, request: &request, ground, entries: Vec::new(), stop, lease: None };
    let mut report = ReplayReport::new(back.from, false);
    let failed = |halt: Halt| NotCarriedBack::Failed(trouble_of(halt));
    let spec = prepare_spec(&session, &tell, back, &mut report).await.map_err(failed)?;
    if spec.records == 0 {
        return Ok(CarriedBack { records: 0, verified: Some(true) });
    }
    let records = spec.records;
    let work = session.build_work(&tell, back.id.clone(), spec.clone());
    // An attempt never counts as the first: where no progress stands, the marks must not be there either.
    let known = KnownReplay { spec, done: false, carried: 0 };
    let carried = run_blocking("carrying records", move || {
        let (_, end) = carry_with_retries(&work, &lease, Some(&known));
        (end, work)
    });
    let (end, work) = carried.await.map_err(|halt| NotCarriedBack::Unknown(trouble_of(halt)))?;
    if matches!(end, End::Stopped) {
        let what = "it was told to stop while it carried records";
        return Err(NotCarriedBack::Unknown(Trouble::new(what, "go on: it begins where it stopped")));
    }
    session.read_back(&tell, &mut report, &work).await;
    match (end, report.verified) {
        // However the last go ended: each record is there, once.
        (_, Some(true)) => {
            // The run's journal knows now: progress on the target would only look like a group that lags.
            if let Some(left) = session.ground.delete_group(work.spec.target_side(), &transactional_id(&back.id)).await
            {
                tracing::info!("{left}");
            }
            Ok(CarriedBack { records, verified: Some(true) })
        }
        (End::Failed(why) | End::Over(why), _) => Err(NotCarriedBack::Unknown(why)),
        (_, Some(false)) => {
            let found = report.found.unwrap_or(0);
            let what = format!("{found} marks were read back of {records} records");
            Err(NotCarriedBack::Unknown(Trouble::new(what, "compare both clusters with `cutover diff`")))
        }
        (_, None) => Ok(CarriedBack { records, verified: None }),
    }
}

/// What is carried, as every attempt sees it.
async fn prepare_spec(
    session: &ReplaySession<'_>,
    tell: &ReplayProgressSink,
    back: &CarryBack,
    report: &mut ReplayReport,
) -> Result<ReplaySpec, Halt> {
    let counts = session.ground.check_source(back.from, &back.ranges).await?;
    let target = session.ground.survey_target(session.request, &counts).await?;
    let census = session.count_records(tell, &back.ranges, false).await?.census;
    session.check_target(&target, &census, report)?;
    let to = back.from.other();
    let ends = back.target_ends.iter().map(|(tp, end)| (session.ground.names.partition_on(to, tp), *end));
    Ok(ReplaySpec { target_ends: ends.collect(), ..session.build_spec(&back.ranges, &target, &census) })
}

fn trouble_of(halt: Halt) -> Trouble {
    halt.into_parts().1.unwrap_or_else(|| Trouble::new("it was told to stop", "go on: it begins where it stopped"))
}
