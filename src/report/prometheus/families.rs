//! Every family that is exposed: its name, its labels and what it says, once. The table in docs/watch.md is made of this.

/// What a family's samples are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FamilyKind {
    /// Goes up and down.
    Gauge,
    /// Only grows.
    Counter,
}

impl FamilyKind {
    /// The word after the name in a `# TYPE` line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            FamilyKind::Gauge => "gauge",
            FamilyKind::Counter => "counter",
        }
    }
}

/// One family.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// Its name, with its unit.
    pub name: &'static str,
    /// What its samples are.
    pub kind: FamilyKind,
    /// Names of its labels: every sample has all of them.
    pub labels: &'static [&'static str],
    /// What it says, on one line.
    pub help: &'static str,
}

macro_rules! families {
    ($($id:ident $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(pub(super) const $id: Family =
            Family { name: $name, kind: FamilyKind::$kind, labels: &[$($label),*], help: $help };)*
        /// All of them, in the order in which they are exposed.
        pub const ALL: &[Family] = &[$($id),*];
    };
}

families! {
    BUILD Gauge "cutover_build_info" ["version"] "The program; always 1.";
    SNAPSHOT_AGE Gauge "cutover_snapshot_age_seconds" [] "Age of what is exposed here. The controller looks anew at least every second; beyond 15 s everything else is left out.";
    SNAPSHOT_AT Gauge "cutover_snapshot_timestamp_seconds" [] "When what is exposed here was true, by the controller's clock.";
    MIGRATION Gauge "cutover_migration_info" ["migration", "controller"] "The migration, and who runs its controller; always 1.";
    ARMING Gauge "cutover_controller_arming" ["arming"] "What the controller may do: 1 for armed, dry_run or read_only (the journal can't be written: nothing is done any more).";
    TRUSTED Gauge "cutover_clusters_trusted" [] "1 while both clusters are the right ones and were seen recently; otherwise nothing is proven and moves are refused, armed or not.";
    STALE_AFTER Gauge "cutover_stale_after_seconds" [] "An observation older than this is stale, and has no samples but its age.";
    JOURNAL Counter "cutover_journal_entries_total" [] "Entries of the journal.";
    NOTICES Gauge "cutover_notices" ["severity"] "Notices on the screens now, by severity; at most 50 in all.";
    PHASE_STEPS Gauge "cutover_phase_steps" ["phase"] "Steps of a phase.";
    PHASE_PROVEN Gauge "cutover_phase_steps_proven" ["phase"] "Steps of a phase that are proven; absent while that can't be told: of Provision while no look at how both clusters are set up is young.";
    PHASE_CHECKED Gauge "cutover_phase_steps_checked" ["phase"] "Steps of which all that is looked at agrees, where that is not enough to prove them (Provision: partition counts, or an old look).";

    CLUSTER_STATE Gauge "cutover_cluster_state" ["side", "state"] "1 for reachable, stale, unreachable or another_cluster (its id is not the plan's).";
    CLUSTER_AGE Gauge "cutover_cluster_age_seconds" ["side"] "Age of the last whole look at a cluster.";
    CLUSTER_BROKERS Gauge "cutover_cluster_brokers" ["side"] "Brokers that the cluster lists.";
    CLUSTER_BROKERS_UP Gauge "cutover_cluster_brokers_up" ["side"] "Brokers that answered.";
    CLUSTER_TOPICS Gauge "cutover_cluster_topics" ["side"] "Topics without internal ones.";
    CLUSTER_UNDER Gauge "cutover_cluster_under_replicated_partitions" ["side"] "Under-replicated partitions.";
    CLUSTER_LEADERLESS Gauge "cutover_cluster_leaderless_partitions" ["side"] "Partitions without a leader.";
    CLUSTER_LAG Gauge "cutover_cluster_lag_records" ["side"] "Lag of all groups together, without what moved groups left behind.";
    CLUSTER_OLDEST Gauge "cutover_cluster_time_lag_seconds" ["side"] "The largest time lag of a group, estimated; absent while one of them is not known.";
    CLUSTER_THROTTLE Gauge "cutover_cluster_throttle_seconds" ["side"] "Mean time to wait that brokers named in their answers of the last look (quotas); 0 for none.";
    CLUSTER_WRITTEN Gauge "cutover_cluster_written_records_per_second" ["side"] "Growth of all high watermarks, over the last few looks.";
    CLUSTER_CONSUMED Gauge "cutover_cluster_consumed_records_per_second" ["side"] "Growth of all committed offsets, over the last few looks.";
    UNLISTED Gauge "cutover_unlisted_groups" ["side"] "Groups that were found and that the plan does not list.";
    UNLISTED_LAG Gauge "cutover_unlisted_groups_lag_records" ["side"] "Their lag together; absent while one of them can't be read.";

    GROUP_STAGE Gauge "cutover_group_stage" ["group", "stage"] "1 for on_blue, on_green (it was never moved, and is found there only), moving, soaking, complete or rolled_back.";
    GROUP_HOME Gauge "cutover_group_rests_on" ["group", "side"] "1 for the side where a group should run; neither while it moves.";
    GROUP_HINDRANCE Gauge "cutover_group_hindrance" ["group", "hindrance"] "1 for what keeps a group where it is: held, blocked or needs_operator; all 0: nothing.";
    GROUP_SWITCH Gauge "cutover_group_switch" ["group", "switch"] "A group's switch as configured: 1 for blue, green, both or off.";
    GROUP_AGE Gauge "cutover_group_age_seconds" ["group", "side"] "Age of the last look at a group.";
    GROUP_TROUBLE Gauge "cutover_group_unreadable" ["group", "side"] "1: something of it could not be read, and is missing here.";
    GROUP_MEMBERS Gauge "cutover_group_members" ["group", "side"] "Members.";
    GROUP_LAG Gauge "cutover_group_lag_records" ["group", "side"] "Lag to the high watermarks, summed over partitions. What a moved group left behind keeps its lag: see cutover_group_rests_on.";
    GROUP_LAG_STABLE Gauge "cutover_group_readable_lag_records" ["group", "side"] "What of the lag can be read now: to the last stable offsets.";
    GROUP_WAITS Gauge "cutover_group_waits_for_transaction" ["group", "side"] "1: an open transaction holds, or may hold, a partition of the group: what is behind it can't be read.";
    GROUP_TIME_LAG Gauge "cutover_group_time_lag_seconds" ["group", "side"] "How old the oldest unread record is, estimated.";
    GROUP_CONSUMED Gauge "cutover_group_consumed_records_per_second" ["group", "side"] "Growth of committed offsets, over the last few looks.";
    GROUP_STUCK Gauge "cutover_group_stuck" ["group", "side"] "1: there is something to read, and commits don't move.";
    GROUP_WAY_BACK Gauge "cutover_group_way_back" ["group", "way_back"] "The rollback verdict now: 1 for exact, bounded, closed or unknown.";
    GROUP_WAY_BACK_RE_READ Gauge "cutover_group_way_back_re_read_records" ["group"] "Most records that a rollback would read twice, where the way back is bounded.";
    GROUP_VERDICT Gauge "cutover_group_offsets_verdict" ["group", "to", "verdict"] "The newest translation of its offsets: 1 for proven, bounded, guess or unmappable, the worst of its partitions.";
    GROUP_OFFSETS_AGE Gauge "cutover_group_offsets_age_seconds" ["group", "to"] "Age of that translation: it is made when somebody asks for it, and when a group moves.";
    GROUP_RE_READ Gauge "cutover_group_predicted_re_read_records" ["group", "to"] "Records that it would read twice.";
    GROUP_MISSING Gauge "cutover_group_missing_records" ["group", "to"] "Unread records that are not on the other side.";

    RUN_STATE Gauge "cutover_run_state" ["subject", "name", "kind", "to", "state"] "The last run of a group or producer: 1 for waiting, doing, stuck (failed, taken over, or a person has to look) or done.";
    RUN_STEPS Gauge "cutover_run_steps" ["subject", "name", "kind", "to"] "Its steps.";
    RUN_DONE Gauge "cutover_run_steps_done" ["subject", "name", "kind", "to"] "Its steps that are done.";
    RUN_STARTED Gauge "cutover_run_started_timestamp_seconds" ["subject", "name", "kind", "to"] "When it began.";
    RUN_RE_READ Gauge "cutover_run_predicted_re_read_records" ["subject", "name", "kind", "to"] "Records that it reads twice, predicted after the drain.";

    SOAK_STATE Gauge "cutover_soak_state" ["group", "state"] "All judged criteria of a group's soak together: 1 for pass, hold, fail or unknown.";
    SOAK_SINCE Gauge "cutover_soak_started_timestamp_seconds" ["group"] "When a group's soak began.";
    SOAK_LEFT Gauge "cutover_soak_left_seconds" ["group"] "How long every criterion must still hold, at the earliest; absent while one fails or is unknown.";
    GATE_STATE Gauge "cutover_gate_state" ["group", "gate", "state"] "A criterion of a soak (lag, time_lag, error_rate, p99, dlq_growth): 1 for pass, hold, fail or unknown.";
    GATE_JUDGED Gauge "cutover_gate_judged" ["group", "gate"] "0: the plan gives no way to measure it, and it is not judged.";
    GATE_HELD Gauge "cutover_gate_held_seconds" ["group", "gate"] "For how long it has held.";
    GATE_NEEDED Gauge "cutover_gate_needed_seconds" ["group", "gate"] "For how long it must.";
    GATE_LEFT Gauge "cutover_gate_left_seconds" ["group", "gate"] "How long it must still hold; absent while it fails or is unknown.";
    GATE_AGE Gauge "cutover_gate_age_seconds" ["group", "gate"] "Age of its newest sample.";
    GATE_HOLES Gauge "cutover_gate_holes" ["group", "gate"] "Holes since the soak began in which nothing was measured; the newest 256.";
    GATE_VALUE_RECORDS Gauge "cutover_gate_value_records" ["group", "gate"] "Its newest value (lag, dlq_growth); absent while it is unknown.";
    GATE_VALUE_SECONDS Gauge "cutover_gate_value_seconds" ["group", "gate"] "Its newest value (time_lag, p99); absent while it is unknown.";
    GATE_VALUE_RATIO Gauge "cutover_gate_value_ratio" ["group", "gate"] "Its newest value (error_rate), 0 to 1; absent while it is unknown.";
    GATE_LIMIT_RECORDS Gauge "cutover_gate_limit_records" ["group", "gate"] "What its value is held against.";
    GATE_LIMIT_SECONDS Gauge "cutover_gate_limit_seconds" ["group", "gate"] "What its value is held against; absent while a baseline is needed and not known.";
    GATE_LIMIT_RATIO Gauge "cutover_gate_limit_ratio" ["group", "gate"] "What its value is held against, 0 to 1.";
    GATE_BASELINE Gauge "cutover_gate_baseline_seconds" ["group", "gate"] "What was measured on blue before the cutover, or the plan names (p99).";

    TRIGGER_STATE Gauge "cutover_trigger_state" ["group", "trigger", "state"] "A rollback trigger of a group that soaks: 1 for quiet, rising, met or unknown.";
    TRIGGER_ARMED Gauge "cutover_trigger_armed" ["group", "trigger"] "0: a shadow, which only says what it would do.";
    TRIGGER_LEFT Gauge "cutover_trigger_left_seconds" ["group", "trigger"] "How long until a rising trigger is met.";
    TRIGGER_AGE Gauge "cutover_trigger_age_seconds" ["group", "trigger"] "Age of its newest sample.";
    TRIGGER_FIRED Gauge "cutover_trigger_fired" ["group", "trigger"] "1: it fired, and is not cleared.";
    TRIGGER_HELD Gauge "cutover_trigger_fired_held" ["group", "trigger"] "1: it fired, and a person holds its group.";
    COUNTDOWN Gauge "cutover_rollback_countdown_seconds" ["group", "trigger"] "Time until a group rolls back by itself; present only while that counts down.";

    PRODUCER_FLAG Gauge "cutover_producer_flag" ["producer", "flag"] "A producer's flag as configured: 1 for blue, dual, green or off.";
    PRODUCER_WRITTEN Gauge "cutover_producer_written_records_per_second" ["producer", "side"] "Growth of its topics' ends, whoever writes them.";
    PRODUCER_DISAGREES Gauge "cutover_producer_disagrees" ["producer"] "1: its flag and what is written contradict each other.";
    PRODUCER_HINDRANCE Gauge "cutover_producer_hindrance" ["producer", "hindrance"] "1 for what keeps a producer where it is: held, blocked or needs_operator; all 0: nothing.";
    FIDELITY Gauge "cutover_producer_fidelity" ["producer", "verdict"] "Whether what it writes to both is on both, sampled: 1 for none, stale, unknown, idle, partial, verified or differs.";
    FIDELITY_AGE Gauge "cutover_producer_fidelity_age_seconds" ["producer"] "Age of the newest window that was compared.";
    FIDELITY_RATIO Gauge "cutover_producer_fidelity_ratio" ["producer"] "Share of the windows' records that are on both, 0 to 1.";
    FIDELITY_MISSING Gauge "cutover_producer_missing_records" ["producer"] "Records of the windows that are on blue only.";
    FIDELITY_ONLY Gauge "cutover_producer_only_green_records" ["producer"] "Records of the windows that are on green only.";
    FIDELITY_DOUBLED Gauge "cutover_producer_doubled_records" ["producer"] "Copies too many in the windows.";
    HARD_STAGE Gauge "cutover_producer_stage" ["producer", "stage"] "An exactly-once producer: 1 for on_blue, moving, soaking, complete or rolled_back.";
    HARD_GATE Gauge "cutover_producer_gate_state" ["producer", "to", "state"] "The gate before its next hard move: 1 for pass, hold, fail or unknown.";
    HARD_ROW Gauge "cutover_producer_gate_row_state" ["producer", "to", "row", "state"] "Each row of its gates.";
    HARD_GREEN_ONLY Gauge "cutover_producer_green_only_records" ["producer"] "Offsets (records and transaction markers) that only green holds since its cut.";
    HARD_KEPT Gauge "cutover_producer_way_back_kept_until_timestamp_seconds" ["producer"] "Until when blue is kept as its way back.";
}
