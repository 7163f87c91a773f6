//! The plan of the group's world, and the words of commands.

use cutover::base::{Side, Sides};
use cutover::migration::facts::command::{Command, Subject};
use cutover::migration::facts::overrides::Override;
use cutover::migration::facts::settings::{Criteria, GroupSettings, Mode, ProducerSettings, Settings};
use cutover::offsets::Chosen;

use super::world::{GROUP, PRODUCER, TOPIC};

pub fn settings() -> Settings {
    let group = GroupSettings {
        team: "team".into(),
        topics: vec![TOPIC.into()],
        mode: Mode::Handover,
        has_switch: true,
        switch_words: "kubectl scale deploy/audit".into(),
        green_group: GROUP.into(),
        max_re_read: 50,
        drain_still_ms: 3000,
        drain_timeout_ms: 60_000,
        stable_timeout_ms: 30_000,
        settle_timeout_ms: 10_000,
        criteria: Criteria::lag_below(100, 20_000),
        ..GroupSettings::default()
    };
    let producer = ProducerSettings {
        team: "team".into(),
        topics: vec![TOPIC.into()],
        critical: true,
        has_flag: true,
        flag_by_hand: false,
        flag_words: "flags.json shop-cluster".into(),
        ..ProducerSettings::default()
    };
    Settings {
        name: "test".into(),
        cluster_ids: Sides::default(),
        stale_after_ms: 5000,
        zero_age_ms: 5000,
        sample_gap_ms: 2500,
        groups: [(GROUP.to_string(), group)].into(),
        producers: [(PRODUCER.to_string(), producer)].into(),
    }
}

/// `cutover`, `reset green by latest: why`, `cutover over missing guess: why`.
pub fn command(words: &str) -> Command {
    let (words, reason) = words.split_once(':').map_or((words, ""), |(w, r)| (w.trim(), r.trim()));
    let (words, gates) = words.split_once(" over ").unwrap_or((words, ""));
    let (words, by) = words.split_once(" by ").map_or((words, None), |(w, by)| (w, Some(by)));
    let gate = |g: &str| Override::new(g.parse().unwrap_or_else(|_| panic!("no gate {g}")), reason);
    let gates: Vec<Override> = gates.split_whitespace().map(gate).collect();
    let by = by.map(|strategy| Chosen {
        strategy: strategy.parse().unwrap_or_else(|_| panic!("no strategy {strategy}")),
        at: None,
        reason: reason.into(),
    });
    let mut command = plain(words);
    match &mut command {
        Command::CutOver { overrides, .. }
        | Command::Complete { overrides, .. }
        | Command::RollBack { overrides, .. }
        | Command::Route { overrides, .. } => *overrides = gates,
        Command::ResetOffsets { overrides, chosen, .. } => (*overrides, *chosen) = (gates, by),
        Command::Estimate { chosen, .. } => *chosen = by,
        _ => {}
    }
    command
}

fn plain(words: &str) -> Command {
    let group = || GROUP.to_string();
    let subject = Subject::Group(group());
    match words {
        "cutover" => Command::cut_over(group()),
        "rollback" => Command::roll_back(group()),
        "continue" => Command::Continue { subject },
        "complete" => Command::complete(subject),
        "reset green" => Command::reset_offsets(group(), Side::Green),
        "estimate green" => Command::estimate(group(), Side::Green),
        "estimate blue" => Command::estimate(group(), Side::Blue),
        "hold" => Command::Hold { subject, why: "lunch".into() },
        "resume" => Command::Resume { subject },
        "hold migration" => Command::Hold { subject: Subject::Migration, why: "freeze".into() },
        "resume migration" => Command::Resume { subject: Subject::Migration },
        _ => match words.split_once(' ') {
            Some(("route", to)) => Command::Route {
                producer: PRODUCER.into(),
                to: to.parse().unwrap_or_else(|_| panic!("no flag state {to}")),
                overrides: Vec::new(),
            },
            _ => panic!("no command {words:?}"),
        },
    }
}
