//! The stable JSON of `cutover lag --json` and `cutover status --json` (docs/json.md).
//!
//! Keys may be added, never renamed or removed, without a new `schema` number. What was not observed, or not recently, is
//! `null`, never 0. Times are milliseconds since the Unix epoch (`*_ms`), ages are milliseconds.

use std::borrow::Cow;

use serde::Serialize;

use super::words;
use crate::base::{At, Observed, Side, Trouble};
use crate::estate::{FlagState, GroupState, SwitchState};
use crate::migration::eos::EosView;
use crate::migration::facts::stage::{RunView, SideState, Stage, WayBack};
use crate::migration::rules::gate::Gate;
use crate::migration::soak::watch::combine_rows;
use crate::snapshot::{
    Arming, Baseline, Countdown, DiffView, Fidelity, FidelityFigure, FidelityVerdict, GateRow, GroupRow, GroupSide,
    PartitionRow, PartitionSide, PhaseView, ProducerRow, SideView, Snapshot, TriggerRow, Witnessed,
};

/// Number of this layout.
pub(crate) const SCHEMA: u32 = 1;

/// `cutover lag --json`.
#[derive(Debug, Serialize)]
pub struct LagJson<'a> {
    /// Number of this layout ([`SCHEMA`]).
    pub schema: u32,
    /// When the snapshot was made.
    pub at_ms: i64,
    /// Both clusters.
    pub clusters: ClustersJson<'a>,
    /// Every group that was found, and every one of the plan.
    pub groups: Vec<GroupLagJson<'a>>,
}

/// Blue and green.
#[derive(Debug, Serialize)]
pub struct ClustersJson<'a> {
    /// The cluster that is left.
    pub blue: ClusterJson<'a>,
    /// The cluster that everything moves to.
    pub green: ClusterJson<'a>,
}

/// One cluster, as far as it is known now.
#[derive(Debug, Serialize)]
pub struct ClusterJson<'a> {
    /// Bootstrap list as the plan has it.
    pub bootstrap: &'a str,
    /// Its id, as its brokers tell it.
    pub cluster_id: Option<&'a str>,
    /// `reachable`, `stale`, `unreachable` or `another_cluster`. Of another cluster nothing but this is said.
    pub state: &'static str,
    /// How long ago it was read, ms; `null` when it never was.
    pub age_ms: Option<u64>,
    /// It is another cluster, was never read, or not recently: no figure of then is one of now, so they are `null`.
    pub stale: bool,
    /// Brokers that answered.
    pub brokers_up: Option<u32>,
    /// Brokers that Metadata lists.
    pub brokers: Option<u32>,
    /// Topics, internal ones left out.
    pub topics: Option<u32>,
    /// Under-replicated partitions.
    pub under_replicated: Option<u32>,
    /// What all groups have not consumed, records: their sum.
    pub lag: Option<u64>,
    /// Records a second written; `null` until two rounds were seen.
    pub in_rate: Option<f64>,
    /// Why groups that are not listed here may exist all the same (rights, silent brokers); `null`: the list is whole, or
    /// nothing was seen.
    pub groups_hidden: Option<&'a Trouble>,
    /// Mean of the times to wait that brokers named in their answers of the last look (quotas), ms; 0: none, `null`: not
    /// seen.
    pub throttle_ms: Option<u64>,
    /// What stands in the way, each with what to do.
    pub troubles: Vec<&'a Trouble>,
}

/// One group's lag on both sides.
#[derive(Debug, Serialize)]
pub struct GroupLagJson<'a> {
    /// Group id on blue.
    pub group: &'a str,
    /// Protocol family: classic, consumer, share, streams, other.
    pub kind: String,
    /// Whether the plan lists it.
    pub listed: bool,
    /// What is known of it on blue.
    pub blue: SideLagJson<'a>,
    /// What is known of it on green, under its id there.
    pub green: SideLagJson<'a>,
    /// By topic and number.
    pub partitions: Vec<PartitionJson<'a>>,
}

/// A group on one side.
#[derive(Debug, Default, Serialize)]
pub struct SideLagJson<'a> {
    /// Kafka's word; `null` when the side knows no such group or could not be read.
    pub state: Option<String>,
    /// Whether the side has such a group; `null` when that is not known.
    pub exists: Option<bool>,
    /// How long ago it was seen, ms; `null` when it never was.
    pub age_ms: Option<u64>,
    /// It was seen, and not recently: nothing of then is said of now.
    pub stale: bool,
    /// Number of members; `null` when the side knows no such group or could not be read.
    pub members: Option<usize>,
    /// Records that are written and not consumed: to the high watermarks.
    pub lag: Option<u64>,
    /// What of it can be read now: to the last stable offsets.
    pub lag_stable: Option<u64>,
    /// Whose open transaction keeps it from reading on; `null` when none does.
    pub waits: Option<&'a str>,
    /// There is something to read, and commits don't move; `null` when that can't be told.
    pub stuck: Option<bool>,
    /// Why something is missing.
    pub trouble: Option<&'a Trouble>,
}

/// A partition on both sides.
#[derive(Debug, Serialize)]
pub struct PartitionJson<'a> {
    /// Its topic, by the name on blue.
    pub topic: &'a str,
    /// Its number, from 0.
    pub partition: i32,
    /// Its offsets on blue; all `null` while blue was not seen recently.
    pub blue: PartitionSide,
    /// The same on green.
    pub green: PartitionSide,
}

/// `cutover status --json`: the whole state.
#[derive(Debug, Serialize)]
pub struct StatusJson<'a> {
    /// Number of this layout ([`SCHEMA`]).
    pub schema: u32,
    /// When the snapshot was made.
    pub at_ms: i64,
    /// Name of the migration in the plan.
    pub migration: &'a str,
    /// Whether this session may change anything.
    pub arming: &'a Arming,
    /// Whether both clusters are the right ones and were seen recently; without that nothing is proven, and moves are
    /// refused.
    pub trusted: bool,
    /// Why they are not, in a sentence; `null` when they are.
    pub untrusted: Option<String>,
    /// Why the journal is not the whole truth (damaged, cut off, unreadable); `null`: it is. Where listed groups and
    /// producers stand, their runs, soaks, triggers and countdowns are not known then.
    pub journal_trouble: Option<&'a Trouble>,
    /// Who runs the controller: `user@host`.
    pub controller: &'a str,
    /// The phase rail, in order.
    pub phases: &'a [PhaseView],
    /// Both clusters.
    pub clusters: ClustersJson<'a>,
    /// Every group that was found, and every one of the plan.
    pub groups: Vec<GroupStatusJson<'a>>,
    /// Producers of the plan.
    pub producers: Vec<ProducerStatusJson<'a>>,
    /// Rollback triggers that fired, by when they act.
    pub countdowns: &'a [Countdown],
    /// What should be read now.
    pub notices: &'a [crate::snapshot::Notice],
    /// The diff that is under way in the controller, or its last one.
    pub diff: Option<&'a DiffView>,
}

/// A group: where it stands, besides its lag.
#[derive(Debug, Serialize)]
pub struct GroupStatusJson<'a> {
    /// Lag on both sides and per partition.
    #[serde(flatten)]
    pub lag: GroupLagJson<'a>,
    /// The team that owns it; empty when the plan does not list it.
    pub team: &'a str,
    /// Where it stands. Of a group that nothing moved: where it is found (`on_blue`, `on_green`, `on_both`); `null` for
    /// one that the plan does not list and that is found nowhere now.
    pub stage: Option<StageJson<'a>>,
    /// What keeps it there.
    pub side_state: Option<&'a SideState>,
    /// Its switch as configured; `null` when it has none, or it was not read recently.
    pub switch: Option<SwitchState>,
    /// The rollback verdict; `unknown` while one of the clusters is stale, unknown or another one.
    pub way_back: Cow<'a, WayBack>,
    /// The next step in words.
    pub next: &'a str,
    /// The run under way, or the last one.
    pub run: Option<&'a RunView>,
    /// What consumers that keep count saw since the last move.
    pub witnessed: Option<Witnessed>,
    /// Its soak as a whole; `null` while it does not soak.
    pub soak: Option<SoakJson>,
    /// The criteria of its soak, each with value, limit, baseline, clock and holes.
    pub gates: &'a [GateRow],
    /// Rollback triggers that watch its soak.
    pub triggers: &'a [TriggerRow],
    /// What its soak is compared with, or would be if it moved now.
    pub baselines: &'a [Baseline],
}

/// A stage, or where a group is found that was never moved.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum StageJson<'a> {
    /// As the journal has it.
    Journal(&'a Stage),
    /// As it is found.
    Found {
        /// `on_blue`, `on_green` or `on_both`.
        stage: &'static str,
    },
}

/// All judged criteria of a soak together.
#[derive(Debug, Serialize)]
pub struct SoakJson {
    /// pass, hold, fail or unknown: what is worst speaks.
    #[serde(flatten)]
    pub gate: Gate,
    /// Since when it is watched.
    pub since_ms: At,
}

/// A producer of the plan: where it writes, and where it stands.
#[derive(Debug, Serialize)]
pub struct ProducerStatusJson<'a> {
    /// Its name in the plan.
    pub producer: &'a str,
    /// The team that owns it.
    pub team: &'a str,
    /// The topics it writes, by their names on blue.
    pub topics: &'a [String],
    /// Whether it has to pass through dual.
    pub critical: bool,
    /// Whether it writes exactly once: it is cut over hard.
    pub transactional: bool,
    /// The flag as configured; `null` when it has none, or it was not read recently.
    pub flag: Option<FlagState>,
    /// Records a second seen on blue.
    pub blue_rate: Option<f64>,
    /// Records a second seen on green.
    pub green_rate: Option<f64>,
    /// Flag and observation contradict each other.
    pub disagreement: Option<&'a str>,
    /// Whether what it writes arrives on both clusters, sampled.
    pub fidelity: FidelityJson<'a>,
    /// The next step in words.
    pub next: &'a str,
    /// What keeps it there.
    pub side_state: Option<&'a SideState>,
    /// The run under way, or the last one.
    pub run: Option<&'a RunView>,
    /// Exactly-once: where it stands, the rows of its gates with their values, seam, fences, denial.
    pub eos: Option<&'a EosView>,
}

/// The samples of a producer that writes to both.
#[derive(Debug, Serialize)]
pub struct FidelityJson<'a> {
    /// none, stale, unknown, idle, verified or differs.
    pub verdict: FidelityVerdict,
    /// In a sentence: why nothing was sampled, or what was found.
    pub words: String,
    /// Age of the newest window, ms.
    pub age_ms: Option<u64>,
    /// Share of the windows' records that are on both, 0 to 1.
    pub share: Option<f64>,
    /// The figures themselves, in records.
    #[serde(flatten)]
    pub of: &'a Fidelity,
}

/// The lag of every group.
#[must_use]
pub fn lag(snapshot: &Snapshot) -> LagJson<'_> {
    LagJson {
        schema: SCHEMA,
        at_ms: snapshot.now.0,
        clusters: clusters(snapshot),
        groups: snapshot.groups.iter().map(|g| group_lag(g, snapshot)).collect(),
    }
}

/// The whole state.
#[must_use]
pub fn status(snapshot: &Snapshot) -> StatusJson<'_> {
    let untrusted = snapshot.why_untrusted(snapshot.now);
    StatusJson {
        schema: SCHEMA,
        at_ms: snapshot.now.0,
        migration: &snapshot.header.migration,
        arming: &snapshot.header.arming,
        trusted: untrusted.is_none(),
        untrusted,
        journal_trouble: snapshot.header.journal_trouble.as_ref(),
        controller: &snapshot.header.controller,
        phases: &snapshot.phases,
        clusters: clusters(snapshot),
        groups: snapshot.groups.iter().map(|g| group_status(g, snapshot)).collect(),
        producers: snapshot.producers.iter().map(|p| producer_status(p, snapshot)).collect(),
        countdowns: &snapshot.countdowns,
        notices: &snapshot.notices,
        diff: snapshot.diff.as_ref(),
    }
}

fn clusters(snapshot: &Snapshot) -> ClustersJson<'_> {
    ClustersJson { blue: cluster(&snapshot.blue, snapshot), green: cluster(&snapshot.green, snapshot) }
}

/// What stands in the way of believing a side, worst first.
#[must_use]
pub(crate) fn list_troubles(side: &SideView) -> Vec<&Trouble> {
    let link = match &side.link {
        Observed::Absent { why } => Some(why),
        Observed::Known { trouble, .. } => trouble.as_ref(),
    };
    let slow = side.throttled.as_ref().map(|t| &t.trouble);
    // Brokers that are silent say themselves what can't be known of their groups.
    let hidden = side.groups_hidden.as_ref().filter(|_| side.broker_troubles.is_empty());
    let rights = side.topics_hidden.iter().chain(hidden);
    side.identity_trouble.iter().chain(link).chain(&side.broker_troubles).chain(rights).chain(slow).collect()
}

fn cluster<'a>(side: &'a SideView, snapshot: &Snapshot) -> ClusterJson<'a> {
    // What another cluster shows is nothing of this one, and what it showed long ago nothing of now.
    let seen = side.why_untrusted(snapshot.now, snapshot.header.stale_after_ms).is_none();
    ClusterJson {
        bootstrap: &side.bootstrap,
        cluster_id: side.cluster_id.as_deref(),
        state: words::cluster_word(side, snapshot),
        age_ms: side.link.age_ms(snapshot.now),
        stale: !seen,
        brokers_up: seen.then_some(side.brokers.0),
        brokers: seen.then_some(side.brokers.1),
        topics: seen.then_some(side.topics),
        under_replicated: seen.then_some(side.under_replicated),
        lag: side.lag.filter(|_| seen),
        in_rate: side.in_rate.filter(|_| seen),
        groups_hidden: side.groups_hidden.as_ref(),
        throttle_ms: seen.then(|| side.throttled.as_ref().map_or(0, |t| t.ms)),
        troubles: list_troubles(side),
    }
}

fn group_lag<'a>(row: &'a GroupRow, snapshot: &Snapshot) -> GroupLagJson<'a> {
    GroupLagJson {
        group: &row.group,
        kind: row.kind.to_string(),
        listed: row.listed,
        blue: side_lag(&row.blue, snapshot),
        green: side_lag(&row.green, snapshot),
        partitions: row.partitions.iter().map(|p| partition(row, p, snapshot)).collect(),
    }
}

fn partition<'a>(row: &GroupRow, p: &'a PartitionRow, snapshot: &Snapshot) -> PartitionJson<'a> {
    let (now, stale_after_ms) = (snapshot.now, snapshot.header.stale_after_ms);
    // The group may have been looked at after the whole cluster was.
    let known = |side: Side| {
        snapshot.side(side).why_untrusted(now, stale_after_ms).is_none()
            || row.on_side(side).is_fresh(now, stale_after_ms)
    };
    let kept = |side: Side, seen: PartitionSide| if known(side) { seen } else { PartitionSide::default() };
    let (blue, green) = (kept(Side::Blue, p.blue), kept(Side::Green, p.green));
    PartitionJson { topic: &p.topic, partition: p.partition, blue, green }
}

fn side_lag<'a>(side: &'a GroupSide, snapshot: &Snapshot) -> SideLagJson<'a> {
    let now = snapshot.now;
    if side.at.is_some() && !side.is_fresh(now, snapshot.header.stale_after_ms) {
        return SideLagJson {
            age_ms: side.at.map(|at| now.since(at)),
            stale: true,
            trouble: side.trouble.as_ref(),
            ..SideLagJson::default()
        };
    }
    let exists = match (side.is_there(), side.is_absent()) {
        // One whose state is not known, because it can't be seen, may be there or not.
        (true, _) if side.trouble.is_some() && side.state == Some(GroupState::Unknown) => None,
        (true, _) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    };
    SideLagJson {
        state: side.state.map(|s| s.to_string()),
        exists,
        age_ms: side.at.map(|at| now.since(at)),
        stale: false,
        members: side.members_known().then_some(side.members.len()),
        lag: side.lag,
        lag_stable: side.lag_stable,
        waits: side.waits.as_deref(),
        // Whether commits move is known of what has a lag; that it is stuck is also said of a group that is gone.
        stuck: (side.stuck || side.lag.is_some()).then_some(side.stuck),
        trouble: side.trouble.as_ref(),
    }
}

/// Where a group stands, as JSON has it: the journal's stage, or where one that was never moved is found.
#[must_use]
pub(crate) fn stage_json<'a>(row: &'a GroupRow, snapshot: &Snapshot) -> Option<StageJson<'a>> {
    match row.found_on() {
        _ if row.listed && snapshot.header.journal_trouble.is_some() => None,
        Some(place) => Some(StageJson::Found { stage: place.into() }),
        None if !row.listed && row.stage == Stage::OnBlue => None,
        None => Some(StageJson::Journal(&row.stage)),
    }
}

fn group_status<'a>(row: &'a GroupRow, snapshot: &Snapshot) -> GroupStatusJson<'a> {
    GroupStatusJson {
        lag: group_lag(row, snapshot),
        team: &row.team,
        stage: stage_json(row, snapshot),
        side_state: row.side_state.as_ref(),
        switch: row.switch.as_ref().and_then(|s| fresh_value(s, snapshot)),
        way_back: snapshot.way_back_of(row),
        next: snapshot.next_of(&row.next),
        run: row.run.as_ref(),
        witnessed: row.witnessed,
        soak: soak_json(row),
        gates: &row.gates,
        triggers: &row.triggers,
        baselines: &row.baselines,
    }
}

/// `None` while it does not soak.
#[must_use]
pub(crate) fn soak_json(row: &GroupRow) -> Option<SoakJson> {
    row.gates.first().map(|first| SoakJson { gate: combine_rows(&row.gates), since_ms: first.since })
}

fn fidelity(of: &Fidelity, now: At) -> FidelityJson<'_> {
    let figure = if let Fidelity::Sampled(figure) = of { Some(figure) } else { None };
    FidelityJson {
        verdict: of.verdict(now),
        words: of.describe_fully(),
        age_ms: figure.map(|f| now.since(f.at)),
        share: figure.and_then(FidelityFigure::share),
        of,
    }
}

/// A switch or flag as it was read last, if that is how it stands now.
pub(super) fn fresh_value<T: Copy>(of: &Observed<T>, snapshot: &Snapshot) -> Option<T> {
    of.fresh_value(snapshot.now, snapshot.header.stale_after_ms).copied()
}

fn producer_status<'a>(row: &'a ProducerRow, snapshot: &Snapshot) -> ProducerStatusJson<'a> {
    ProducerStatusJson {
        producer: &row.name,
        team: &row.team,
        topics: &row.topics,
        critical: row.critical,
        transactional: row.transactional,
        flag: row.flag.as_ref().and_then(|f| fresh_value(f, snapshot)),
        blue_rate: row.observed.blue_rate,
        green_rate: row.observed.green_rate,
        disagreement: row.disagreement.as_deref(),
        fidelity: fidelity(&row.fidelity, snapshot.now),
        next: snapshot.next_of(&row.next),
        side_state: row.side_state.as_ref(),
        run: row.run.as_ref(),
        eos: row.eos.as_deref(),
    }
}

/// Whether everything that was asked for could be read: for exit code 4. Rights that hide topics of the plan leave it
/// incomplete; those that may hide other groups do where none is shown and the plan names none, because that shows nothing
/// (what the plan names was asked for by name).
#[must_use]
pub fn is_complete(snapshot: &Snapshot) -> bool {
    let read = |side: Side| {
        let view = snapshot.side(side);
        let of = |g: &GroupRow| g.listed || g.on_side(side).is_there();
        matches!(view.link, Observed::Known { trouble: None, .. })
            && view.why_untrusted(snapshot.now, snapshot.header.stale_after_ms).is_none()
            && view.broker_troubles.is_empty()
            && view.topics_hidden.is_none()
            && (view.groups_hidden.is_none() || snapshot.groups.iter().any(of))
    };
    Side::BOTH.into_iter().all(read)
        && snapshot.groups.iter().all(|g| g.blue.trouble.is_none() && g.green.trouble.is_none())
        && snapshot.header.journal_trouble.is_none()
}
