//! The stable JSON of `cutover lag --json` and `cutover status --json` (docs/json.md).
//!
//! Keys may be added, never renamed or removed, without a new `schema` number. What was not observed is
//! `null`, never 0. Times are milliseconds since the Unix epoch (`*_ms`), ages are milliseconds.

use serde::Serialize;

use super::words;
use crate::controller::snapshot::{
    Arming, Baseline, Countdown, DiffView, Fidelity, FidelityFigure, FidelityVerdict, GateRow, GroupRow, GroupSide,
    PartitionSide, PhaseView, ProducerRow, SideView, Snapshot, TriggerRow, Witnessed,
};
use crate::migration::eos::EosView;
use crate::migration::estate::{At, FlagState, GroupState, Observed, Side, SwitchState, Trouble};
use crate::migration::gate::Gate;
use crate::migration::stage::{RunView, SideState, Stage, WayBack};
use crate::migration::watch::whole;

/// Number of this layout.
pub const SCHEMA: u32 = 1;

/// `cutover lag --json`.
#[derive(Debug, Serialize)]
pub struct Lag<'a> {
    /// Layout number.
    pub schema: u32,
    /// When the snapshot was made.
    pub at_ms: i64,
    /// Both clusters.
    pub clusters: Clusters<'a>,
    /// Every group that was found, and every one of the plan.
    pub groups: Vec<GroupLag<'a>>,
}

/// Blue and green.
#[derive(Debug, Serialize)]
pub struct Clusters<'a> {
    /// Blue.
    pub blue: Cluster<'a>,
    /// Green.
    pub green: Cluster<'a>,
}

/// One cluster.
#[derive(Debug, Serialize)]
pub struct Cluster<'a> {
    /// Bootstrap list.
    pub bootstrap: &'a str,
    /// Its id.
    pub cluster_id: Option<&'a str>,
    /// `reachable`, `stale`, `unreachable` or `another_cluster`. Of another cluster nothing but this is said.
    pub state: &'static str,
    /// Age of what is printed here, ms; `null` when the cluster was never read.
    pub age_ms: Option<u64>,
    /// Brokers that answered.
    pub brokers_up: Option<u32>,
    /// Brokers that Metadata lists.
    pub brokers: Option<u32>,
    /// Topics, internal ones left out.
    pub topics: Option<u32>,
    /// Under-replicated partitions.
    pub under_replicated: Option<u32>,
    /// Sum over groups, records.
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
pub struct GroupLag<'a> {
    /// Group id on blue.
    pub group: &'a str,
    /// Protocol family: classic, consumer, share, streams, other.
    pub kind: String,
    /// Whether the plan lists it.
    pub listed: bool,
    /// On blue.
    pub blue: SideLag<'a>,
    /// On green.
    pub green: SideLag<'a>,
    /// By topic and number.
    pub partitions: Vec<Partition<'a>>,
}

/// A group on one side.
#[derive(Debug, Serialize)]
pub struct SideLag<'a> {
    /// Kafka's word; `null` when the side knows no such group or could not be read.
    pub state: Option<String>,
    /// Whether the side has such a group; `null` when that is not known.
    pub exists: Option<bool>,
    /// Age of what is printed here, ms; `null` when the side was never read.
    pub age_ms: Option<u64>,
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
pub struct Partition<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Number.
    pub partition: i32,
    /// Blue.
    pub blue: PartitionSide,
    /// Green.
    pub green: PartitionSide,
}

/// `cutover status --json`: the whole state.
#[derive(Debug, Serialize)]
pub struct Status<'a> {
    /// Layout number.
    pub schema: u32,
    /// When the snapshot was made.
    pub at_ms: i64,
    /// Name of the migration.
    pub migration: &'a str,
    /// Whether this session may change anything.
    pub arming: &'a Arming,
    /// Whether both clusters are the right ones and were seen recently; without that nothing is proven, and moves are
    /// refused.
    pub trusted: bool,
    /// Why not.
    pub untrusted: Option<String>,
    /// Why the journal is not the whole truth (damaged, cut off, unreadable); `null`: it is. Where listed groups and
    /// producers stand, their runs, soaks, triggers and countdowns are not known then.
    pub journal_trouble: Option<&'a Trouble>,
    /// Who holds the controller.
    pub controller: &'a str,
    /// The phase rail.
    pub phases: &'a [PhaseView],
    /// Both clusters.
    pub clusters: Clusters<'a>,
    /// Groups.
    pub groups: Vec<GroupStatus<'a>>,
    /// Producers of the plan.
    pub producers: Vec<ProducerStatus<'a>>,
    /// Rollback triggers that fired, by when they act.
    pub countdowns: &'a [Countdown],
    /// What should be read now.
    pub notices: &'a [crate::controller::snapshot::Notice],
    /// The diff that is under way in the controller, or its last one.
    pub diff: Option<&'a DiffView>,
}

/// A group: where it stands, besides its lag.
#[derive(Debug, Serialize)]
pub struct GroupStatus<'a> {
    /// Lag on both sides and per partition.
    #[serde(flatten)]
    pub lag: GroupLag<'a>,
    /// Owning team.
    pub team: &'a str,
    /// Where it stands. Of a group that nothing moved: where it is found (`on_blue`, `on_green`, `on_both`); `null` for
    /// one that the plan does not list and that is found nowhere now.
    pub stage: Option<StageJson<'a>>,
    /// What keeps it there.
    pub side_state: Option<&'a SideState>,
    /// Its switch as configured.
    pub switch: Option<SwitchState>,
    /// The rollback verdict.
    pub way_back: &'a WayBack,
    /// The next step in words.
    pub next: &'a str,
    /// The run under way, or the last one.
    pub run: Option<&'a RunView>,
    /// What consumers that keep count saw since the last move.
    pub witnessed: Option<Witnessed>,
    /// Its soak as a whole; `null` while it does not soak.
    pub soak: Option<Soak>,
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
        /// The word.
        stage: &'static str,
    },
}

/// All judged criteria of a soak together.
#[derive(Debug, Serialize)]
pub struct Soak {
    /// pass, hold, fail or unknown: what is worst speaks.
    #[serde(flatten)]
    pub gate: Gate,
    /// Since when it is watched.
    pub since_ms: At,
}

/// A producer.
#[derive(Debug, Serialize)]
pub struct ProducerStatus<'a> {
    /// Name.
    pub producer: &'a str,
    /// Owning team.
    pub team: &'a str,
    /// Topics.
    pub topics: &'a [String],
    /// Passes through dual.
    pub critical: bool,
    /// Exactly-once.
    pub transactional: bool,
    /// The flag as configured.
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
    /// The figures.
    #[serde(flatten)]
    pub of: &'a Fidelity,
}

/// The lag of every group.
#[must_use]
pub fn lag(snapshot: &Snapshot) -> Lag<'_> {
    Lag {
        schema: SCHEMA,
        at_ms: snapshot.now.0,
        clusters: clusters(snapshot),
        groups: snapshot.groups.iter().map(|g| group_lag(g, snapshot)).collect(),
    }
}

/// The whole state.
#[must_use]
pub fn status(snapshot: &Snapshot) -> Status<'_> {
    let untrusted = snapshot.untrusted(snapshot.now);
    Status {
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
        producers: snapshot.producers.iter().map(|p| producer_status(p, snapshot.now)).collect(),
        countdowns: &snapshot.countdowns,
        notices: &snapshot.notices,
        diff: snapshot.diff.as_ref(),
    }
}

fn clusters(snapshot: &Snapshot) -> Clusters<'_> {
    Clusters { blue: cluster(&snapshot.blue, snapshot), green: cluster(&snapshot.green, snapshot) }
}

/// What stands in the way of believing a side, worst first.
#[must_use]
pub fn troubles(side: &SideView) -> Vec<&Trouble> {
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

fn cluster<'a>(side: &'a SideView, snapshot: &Snapshot) -> Cluster<'a> {
    // What another cluster shows is nothing of this one.
    let right = side.identity_trouble.is_none();
    let seen = side.link.value().is_some() && right;
    Cluster {
        bootstrap: &side.bootstrap,
        cluster_id: side.cluster_id.as_deref(),
        state: words::cluster(side, snapshot),
        age_ms: side.link.age_ms(snapshot.now),
        brokers_up: seen.then_some(side.brokers.0),
        brokers: seen.then_some(side.brokers.1),
        topics: seen.then_some(side.topics),
        under_replicated: seen.then_some(side.under_replicated),
        lag: side.lag.filter(|_| seen),
        in_rate: side.in_rate.filter(|_| seen),
        groups_hidden: side.groups_hidden.as_ref(),
        throttle_ms: seen.then(|| side.throttled.as_ref().map_or(0, |t| t.ms)),
        troubles: troubles(side),
    }
}

fn group_lag<'a>(row: &'a GroupRow, snapshot: &Snapshot) -> GroupLag<'a> {
    GroupLag {
        group: &row.group,
        kind: row.kind.to_string(),
        listed: row.listed,
        blue: side_lag(&row.blue, snapshot.now),
        green: side_lag(&row.green, snapshot.now),
        partitions: row
            .partitions
            .iter()
            .map(|p| Partition { topic: &p.topic, partition: p.partition, blue: p.blue, green: p.green })
            .collect(),
    }
}

fn side_lag(side: &GroupSide, now: At) -> SideLag<'_> {
    let exists = match (side.is_there(), side.is_absent()) {
        // One whose state is not known, because it can't be seen, may be there or not.
        (true, _) if side.trouble.is_some() && side.state == Some(GroupState::Unknown) => None,
        (true, _) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    };
    SideLag {
        state: side.state.map(|s| s.to_string()),
        exists,
        age_ms: side.at.map(|at| now.since(at)),
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
pub fn stage<'a>(row: &'a GroupRow, snapshot: &Snapshot) -> Option<StageJson<'a>> {
    match row.found_on() {
        _ if row.listed && snapshot.header.journal_trouble.is_some() => None,
        Some(place) => Some(StageJson::Found { stage: place.into() }),
        None if !row.listed && row.stage == Stage::OnBlue => None,
        None => Some(StageJson::Journal(&row.stage)),
    }
}

fn group_status<'a>(row: &'a GroupRow, snapshot: &Snapshot) -> GroupStatus<'a> {
    GroupStatus {
        lag: group_lag(row, snapshot),
        team: &row.team,
        stage: stage(row, snapshot),
        side_state: row.side_state.as_ref(),
        switch: row.switch.as_ref().and_then(|s| s.value().copied()),
        way_back: &row.way_back,
        next: &row.next,
        run: row.run.as_ref(),
        witnessed: row.witnessed,
        soak: soak(row),
        gates: &row.gates,
        triggers: &row.triggers,
        baselines: &row.baselines,
    }
}

/// `None` while it does not soak.
#[must_use]
pub fn soak(row: &GroupRow) -> Option<Soak> {
    row.gates.first().map(|first| Soak { gate: whole(&row.gates), since_ms: first.since })
}

fn fidelity(of: &Fidelity, now: At) -> FidelityJson<'_> {
    let figure = if let Fidelity::Sampled(figure) = of { Some(figure) } else { None };
    FidelityJson {
        verdict: of.verdict(now),
        words: of.sentence(),
        age_ms: figure.map(|f| now.since(f.at)),
        share: figure.and_then(FidelityFigure::share),
        of,
    }
}

fn producer_status(row: &ProducerRow, now: At) -> ProducerStatus<'_> {
    ProducerStatus {
        producer: &row.name,
        team: &row.team,
        topics: &row.topics,
        critical: row.critical,
        transactional: row.transactional,
        flag: row.flag.as_ref().and_then(|f| f.value().copied()),
        blue_rate: row.observed.blue_rate,
        green_rate: row.observed.green_rate,
        disagreement: row.disagreement.as_deref(),
        fidelity: fidelity(&row.fidelity, now),
        next: &row.next,
        side_state: row.side_state.as_ref(),
        run: row.run.as_ref(),
        eos: row.eos.as_deref(),
    }
}

/// Whether everything that was asked for could be read: for exit code 4. Rights that hide topics of the plan leave it
/// incomplete; those that may hide other groups do where none is shown and the plan names none, because that shows nothing
/// (what the plan names was asked for by name).
#[must_use]
pub fn complete(snapshot: &Snapshot) -> bool {
    let read = |side: Side| {
        let view = snapshot.side(side);
        let of = |g: &GroupRow| g.listed || if side == Side::Blue { g.blue.is_there() } else { g.green.is_there() };
        matches!(view.link, Observed::Known { trouble: None, .. })
            && view.identity_trouble.is_none()
            && view.broker_troubles.is_empty()
            && view.topics_hidden.is_none()
            && (view.groups_hidden.is_none() || snapshot.groups.iter().any(of))
    };
    Side::BOTH.into_iter().all(read)
        && snapshot.groups.iter().all(|g| g.blue.trouble.is_none() && g.green.trouble.is_none())
        && snapshot.header.journal_trouble.is_none()
}
