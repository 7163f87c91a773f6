//! The sections of a plan, read one by one. What is missing or wrong is reported and replaced by its default, so that
//! everything after it is still checked; a plan with an error is never used.

use std::net::SocketAddr;
use std::path::Path;

use super::calendar::read_appointment;
use super::model::{
    BaselinePlan, ControllerPlan, CriteriaPlan, DiffPlan, GroupLimits, GroupPlan, Plan, ProducerPlan, SeamPlan,
    Selector, TopicPattern, TopicPlan,
};
use super::problem::find_nearest;
use super::provider::SettingKind;
use super::reader::{Field, TableReader, quoted_name};
use super::{clusters, connectivity, listen, load, metrics, model, notify, parity, providers, schedule};
use crate::base::sanitise::visible_text;
use crate::base::{At, Sides};
use crate::migration::facts::settings::Mode;
use crate::offsets::identity::IdentityRule;
use crate::offsets::strategy::{Chosen, Strategy};

/// An observation is stale after this when the plan does not say, ms.
pub(super) const STALE_AFTER_MS: u64 = 15_000;

const MODES: &[(&str, Mode)] = &[("handover", Mode::Handover), ("overlap", Mode::Overlap)];
const STRATEGIES: &[(&str, Strategy)] = &[
    ("auto", Strategy::Auto),
    ("align", Strategy::Align),
    ("seam", Strategy::Seam),
    ("identity", Strategy::Identity),
    ("mm2", Strategy::Mm2),
    ("timestamp", Strategy::Timestamp),
    ("latest", Strategy::Latest),
    ("earliest", Strategy::Earliest),
];

pub(super) fn read_plan(mut root: TableReader<'_>, base: &Path, file: Option<&Path>) -> Plan {
    let mut migration = root.table("migration");
    let name = migration.as_mut().and_then(|m| m.name("name"));
    let name = name.unwrap_or_else(|| {
        let stem = file.and_then(Path::file_stem).map(|s| visible_text(&s.to_string_lossy()));
        stem.unwrap_or_else(|| "cutover".to_owned())
    });
    let journal = migration.as_mut().and_then(|m| m.name("journal")).map(|j| base.join(j));
    let approvers = migration.as_mut().map(|m| m.names("approvers")).unwrap_or_default();
    if let Some(m) = migration {
        m.report_unknown_keys();
    }
    let clusters = clusters::read_clusters(&mut root, base);
    let (defaults, stale_after_ms) = read_defaults(&mut root);
    let plan = Plan {
        journal: journal.unwrap_or_else(|| load::default_journal(base, &name)),
        name,
        file: file.map(Path::to_owned),
        approvers,
        defaults,
        stale_after_ms,
        triggers: root.tables("triggers").into_iter().map(schedule::read_trigger).collect(),
        topics: root.tables("topics").into_iter().map(read_topic).collect(),
        producers: root.tables("producers").into_iter().map(|t| read_producer(t, base)).collect(),
        groups: root.tables("groups").into_iter().map(|t| read_group(t, base, &defaults)).collect(),
        windows: root.tables("windows").into_iter().map(schedule::read_window).collect(),
        diff: read_diff(&mut root, base),
        metrics: metrics::read_metrics(&mut root, base, clusters.as_ref().map(|c| c.name.as_deref())),
        notify: notify::read_notify(&mut root, base),
        controller: read_controller(&mut root),
        parity: parity::read_parity(&mut root),
        connectivity: connectivity::read_connectivity(&mut root, base),
        clusters,
    };
    root.report_unknown_keys();
    plan
}

fn read_controller(root: &mut TableReader<'_>) -> ControllerPlan {
    let mut controller = ControllerPlan::default();
    if let Some(mut t) = root.table("controller") {
        controller.metrics = t.get("metrics").and_then(|field| read_listen_address(&field));
        t.report_unknown_keys();
    }
    controller
}

/// An address to listen on; one that others reach is warned about.
fn read_listen_address(field: &Field<'_>) -> Option<SocketAddr> {
    match listen::parse_listen_address(&field.string()?) {
        Ok(address) => {
            if let Some(trouble) = listen::exposure_trouble(address) {
                field.warning(trouble.what, Some(trouble.advice));
            }
            Some(address)
        }
        Err(trouble) => {
            field.error(trouble.what, Some(trouble.advice));
            None
        }
    }
}

fn read_diff(root: &mut TableReader<'_>, base: &Path) -> DiffPlan {
    let mut diff = DiffPlan::default();
    if let Some(mut t) = root.table("diff") {
        // Less than this holds no batch; more than this is no bastion's.
        let memory = t.get("memory").and_then(|f| f.size(4 << 20..=1 << 40));
        set_if_given(&mut diff.memory, memory);
        diff.rate = t.get("rate").and_then(|f| f.rate());
        set_if_given(&mut diff.back_off_above_ms, read_positive_duration(&mut t, "back_off_above"));
        diff.dir = t.name("dir").map(|d| base.join(d));
        if let Some(field) = t.get("fidelity") {
            diff.fidelity_ms = read_fidelity(&field).unwrap_or(diff.fidelity_ms);
        }
        t.report_unknown_keys();
    }
    diff
}

/// A duration from a second on, or `"off"`.
fn read_fidelity(field: &Field<'_>) -> Option<Option<u64>> {
    if field.is_text("off") {
        return Some(None);
    }
    let ms = field.duration()?;
    if ms < 1_000 {
        field.error("\"fidelity\" is less than a second", Some("write \"30s\", or \"off\"".to_owned()));
        return None;
    }
    Some(Some(ms))
}

fn read_defaults(root: &mut TableReader<'_>) -> (GroupLimits, u64) {
    let mut limits = GroupLimits::default();
    let mut stale_after = STALE_AFTER_MS;
    if let Some(mut t) = root.table("defaults") {
        read_limits(&mut t, &mut limits);
        set_if_given(&mut stale_after, read_positive_duration(&mut t, "stale_after"));
        t.report_unknown_keys();
    }
    (limits, stale_after)
}

fn set_if_given<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

/// A duration that must not be zero.
pub(super) fn read_positive_duration(t: &mut TableReader<'_>, key: &'static str) -> Option<u64> {
    let field = t.get(key)?;
    let ms = field.duration()?;
    if ms == 0 {
        field.error(format!("\"{key}\" must not be zero"), None);
        return None;
    }
    Some(ms)
}

/// The keys of `[defaults]` that a group may set too, merged key by key over what is there.
fn read_limits(t: &mut TableReader<'_>, limits: &mut GroupLimits) {
    set_if_given(&mut limits.mode, t.get("mode").and_then(|f| f.word(MODES)));
    if let Some(c) = t.table("criteria") {
        read_criteria(c, &mut limits.criteria);
    }
    set_if_given(&mut limits.max_re_read, t.get("max_re_read").and_then(|f| f.integer(0..=u64::from(u32::MAX))));
    set_if_given(&mut limits.settle_timeout_ms, t.duration("settle_timeout"));
    set_if_given(&mut limits.zero_age_ms, read_positive_duration(t, "zero_age"));
    set_if_given(&mut limits.sample_gap_ms, read_positive_duration(t, "sample_gap"));
    set_if_given(&mut limits.drain_still_ms, read_positive_duration(t, "drain_still"));
    set_if_given(&mut limits.drain_timeout_ms, read_positive_duration(t, "drain_timeout"));
    set_if_given(&mut limits.stable_timeout_ms, read_positive_duration(t, "stable_timeout"));
    set_if_given(&mut limits.keep_blue_ms, t.duration("keep_blue"));
}

fn read_criteria(mut t: TableReader<'_>, c: &mut CriteriaPlan) {
    // From 1 on: no lag is below 0, and the soak would never pass.
    set_if_given(&mut c.lag_below, t.get("lag_below").and_then(|f| f.integer(1..=i64::MAX.unsigned_abs())));
    set_if_given(&mut c.lag_for_ms, t.duration("lag_for"));
    if let Some(ms) = read_positive_duration(&mut t, "time_lag_below") {
        c.time_lag_below_ms = Some(ms);
    }
    set_if_given(&mut c.time_lag_for_ms, t.duration("time_lag_for"));
    set_if_given(&mut c.error_rate_below, t.get("error_rate_below").and_then(|f| f.float(0.0..=1.0)));
    set_if_given(&mut c.error_rate_for_ms, t.duration("error_rate_for"));
    set_if_given(&mut c.p99_within, t.get("p99_within").and_then(|f| f.float(0.0..=100.0)));
    set_if_given(&mut c.p99_for_ms, t.duration("p99_for"));
    set_if_given(&mut c.dlq_growth, t.get("dlq_growth").and_then(|f| f.integer(0..=i64::MAX.unsigned_abs())));
    t.report_unknown_keys();
}

fn read_topic(mut t: TableReader<'_>) -> TopicPlan {
    let selector = match (t.get("name"), t.get("pattern")) {
        (Some(name), None) => name.name().map(Selector::Name),
        (None, Some(field)) => field.name().and_then(|text| match TopicPattern::new(&text) {
            Ok(pattern) => Some(Selector::Pattern(pattern)),
            Err(why) => {
                field.error(
                    format!("{text} is not a regular expression: {}", visible_text(&why), text = quoted_name(&text)),
                    None,
                );
                None
            }
        }),
        (Some(_), Some(pattern)) => {
            pattern.error("a topic rule has either \"name\" or \"pattern\", not both", None);
            None
        }
        (None, None) => {
            t.report_missing("name", "name = \"TOPIC\" or pattern = \"PREFIX-.*\"");
            None
        }
    };
    let identity = t.get("identity").and_then(|f| {
        let text = f.name()?;
        match text.parse::<IdentityRule>() {
            Ok(rule) => Some(rule),
            Err(_) => {
                let near = find_nearest(&text, ["content", "bytes", "key", "header:"]);
                let near = near.map(|w| format!("did you mean {:?}?", if w == "header:" { "header:NAME" } else { w }));
                f.error(
                    format!(
                        "{text} is not an identity (known: \"content\", \"bytes\", \"key\" or \"header:NAME\")",
                        text = quoted_name(&text)
                    ),
                    near,
                );
                None
            }
        }
    });
    let (strategy, at) =
        (t.get("strategy").and_then(|f| f.word(STRATEGIES)).unwrap_or_default(), read_moment(&mut t, "at"));
    only_with_timestamp(&mut t, "at", Some(strategy));
    let rule = TopicPlan {
        // What is wrong was told; the checks further on pass over an empty name.
        selector: selector.unwrap_or(Selector::Name(String::new())),
        strategy,
        at,
        identity: identity.unwrap_or_default(),
        pair_delta_ms: t.duration("pair_delta").unwrap_or(model::PAIR_DELTA_MS),
        arrival_skew_ms: read_positive_duration(&mut t, "arrival_skew").unwrap_or(model::ARRIVAL_SKEW_MS),
        seam: read_seam(&mut t, strategy),
        green_name: t.name("green_name"),
    };
    t.report_unknown_keys();
    rule
}

/// The recorded seam of each partition.
fn read_seam(t: &mut TableReader<'_>, strategy: Strategy) -> Vec<SeamPlan> {
    let pattern = t.has("pattern");
    let Some(field) = t.get("seam") else { return Vec::new() };
    if pattern {
        field.error("\"seam\" is for one topic: a pattern may match several", None);
    } else if !matches!(strategy, Strategy::Seam | Strategy::Auto) {
        field.error("\"seam\" is for strategy \"seam\" (or \"auto\") only", None);
    }
    let rows = field.items("a list of { partition, blue, green }", false).unwrap_or_default();
    let mut seams: Vec<SeamPlan> = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(mut table) = row.table() else { continue };
        let mut number = |key: &'static str, most: u64| {
            if !table.has(key) {
                table.report_missing(key, &format!("{key} = 0"));
            }
            table.get(key).and_then(|f| f.integer(0..=most))
        };
        let most = i64::MAX.unsigned_abs();
        let read = (number("partition", i32::MAX.unsigned_abs().into()), number("blue", most), number("green", most));
        table.report_unknown_keys();
        let (Some(partition), Some(blue), Some(green)) = read else { continue };
        let as_offset = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let partition = i32::try_from(partition).unwrap_or(i32::MAX);
        if seams.iter().any(|s| s.partition == partition) {
            row.error(format!("partition {partition} has two seams"), None);
        }
        seams.push(SeamPlan { partition, blue: as_offset(blue), green: as_offset(green) });
    }
    seams
}

/// A moment in RFC 3339, with its offset from UTC.
fn read_moment(t: &mut TableReader<'_>, key: &'static str) -> Option<At> {
    let field = t.get(key)?;
    let text = field.string()?;
    match text.parse::<jiff::Timestamp>() {
        Ok(ts) => Some(At(ts.as_millisecond())),
        Err(_) => {
            let shown = if text.chars().count() > 40 { "that text".to_owned() } else { quoted_name(&text) };
            let hint = "write it as \"2026-11-22T02:00:00Z\" or \"2026-11-22T02:00:00-05:00\"".to_owned();
            field.error(format!("{shown} is not a moment with a time zone"), Some(hint));
            None
        }
    }
}

/// A moment without the strategy that goes by it is a slip, and a dangerous one.
fn only_with_timestamp(t: &mut TableReader<'_>, key: &'static str, strategy: Option<Strategy>) {
    if strategy != Some(Strategy::Timestamp)
        && let Some(field) = t.get(key)
    {
        field.error(format!("\"{key}\" is for strategy \"timestamp\" only"), None);
    }
}

/// A group's own strategy, with the reason that it must have.
fn read_chosen_strategy(t: &mut TableReader<'_>) -> Option<Chosen> {
    let strategy = t.get("strategy").and_then(|f| f.word(STRATEGIES));
    let (at, reason) = (read_moment(t, "strategy_at"), t.name("strategy_reason"));
    only_with_timestamp(t, "strategy_at", strategy);
    if !t.has("strategy") {
        if let Some(field) = t.get("strategy_reason") {
            field.error("\"strategy_reason\" without \"strategy\"", None);
        }
        return None;
    }
    if !t.has("strategy_reason") {
        t.report_missing("strategy_reason", "strategy_reason = \"WHY this group and not the topics' own strategy\"");
    }
    Some(Chosen { strategy: strategy?, at, reason: reason? })
}

fn read_producer(mut t: TableReader<'_>, base: &Path) -> ProducerPlan {
    let ids = t.table("transactional_ids").map(|mut ids| {
        let both = Sides { blue: ids.names("blue"), green: ids.names("green") };
        if both.blue.is_empty() && !ids.has("blue") {
            ids.report_missing("blue", "blue = [\"ID\"]");
        }
        if both.green.is_empty() && !ids.has("green") {
            ids.report_missing("green", "green = [\"NEW-ID\"]: transactional ids are new on green");
        }
        ids.report_unknown_keys();
        both
    });
    let transactional_ids = ids.unwrap_or_default();
    // the rule of the field case: blue stays available 72 h after the hard cutover of an exactly-once producer
    let keep_hours = if transactional_ids.blue.is_empty() { 48 } else { 72 };
    let principals = t.table("principal").map(|mut p| {
        let both = Sides::from_fn(|side| p.name(side.name()));
        p.report_unknown_keys();
        both
    });
    let producer = ProducerPlan {
        name: t.required_name("name", "name = \"loan-api\"").unwrap_or_default(),
        team: t.name("team").unwrap_or_default(),
        topics: t.names("topics"),
        critical: t.get("critical").and_then(|f| f.boolean()).unwrap_or(false),
        flag: t.table("flag").and_then(|f| providers::read_provider(f, SettingKind::Producer, base)),
        registry_flag: t.table("registry_flag").and_then(|f| providers::read_provider(f, SettingKind::Producer, base)),
        transactional_ids,
        when: read_appointment(&mut t),
        keep_blue_ms: t.duration("keep_blue").unwrap_or(keep_hours * 3_600_000),
        // An empty list says that it commits for no group; no list says nothing.
        reads: t.has("reads").then(|| t.group_ids("reads")),
        principals: principals.unwrap_or_default(),
        still_ms: read_positive_duration(&mut t, "still").unwrap_or(10_000),
        drain_timeout_ms: read_positive_duration(&mut t, "drain_timeout").unwrap_or(120_000),
        commit_timeout_ms: read_positive_duration(&mut t, "commit_timeout").unwrap_or(120_000),
        needs_approval: t.get("second_person").and_then(|f| f.boolean()).unwrap_or(false),
    };
    t.report_unknown_keys();
    producer
}

fn read_group(mut t: TableReader<'_>, base: &Path, defaults: &GroupLimits) -> GroupPlan {
    let mut limits = *defaults;
    read_limits(&mut t, &mut limits);
    let name = t.required_group_id("name", "name = \"loan-audit\"").unwrap_or_default();
    let group = GroupPlan {
        team: t.name("team").unwrap_or_default(),
        topics: t.names("topics"),
        switch: t.table("switch").and_then(|f| providers::read_provider(f, SettingKind::Group, base)),
        registry_flag: t.table("registry_flag").and_then(|f| providers::read_provider(f, SettingKind::Group, base)),
        group_id_flag: t.table("group_id_flag").and_then(|f| providers::read_provider(f, SettingKind::Group, base)),
        dlq: t.name("dlq"),
        green_group: t.get("green_group").and_then(|f| f.group_id()).unwrap_or_else(|| name.clone()),
        baseline: t.table("baseline").and_then(|mut b| {
            if !b.has("p99") {
                b.report_missing("p99", "p99 = \"84ms\"");
            }
            let p99 = read_positive_duration(&mut b, "p99");
            b.report_unknown_keys();
            p99.map(|p99_ms| BaselinePlan { p99_ms })
        }),
        commit_interval_ms: read_positive_duration(&mut t, "commit_interval"),
        when: read_appointment(&mut t),
        chosen: read_chosen_strategy(&mut t),
        name,
        limits,
    };
    t.report_unknown_keys();
    group
}
