//! The plan of the pipeline's world, and the words of commands.

use cutover::base::Sides;
use cutover::migration::eos::GreenOnly;
use cutover::migration::facts::command::Command;
use cutover::migration::facts::overrides::Override;
use cutover::migration::facts::settings::{GroupSettings, ProducerSettings, Settings};

use super::world::{COUPLED, INPUT, PRODUCER, READER, TOPIC, World};
use crate::driver::World as _;

pub fn settings() -> Settings {
    let mut settings = crate::group::settings();
    let group = settings.groups.values().next().cloned().unwrap();
    let of = |name: &str, topic: &str, has_switch| GroupSettings {
        topics: vec![topic.into()],
        green_group: name.into(),
        has_switch,
        ..group.clone()
    };
    settings.groups =
        [(COUPLED.to_owned(), of(COUPLED, INPUT, false)), (READER.to_owned(), of(READER, TOPIC, true))].into();
    let producer = ProducerSettings {
        team: "ledger".into(),
        topics: vec![TOPIC.into()],
        has_flag: true,
        flag_words: "flags.json ledger-cluster".into(),
        transactional_ids: Sides {
            blue: vec!["ledger-1".into(), "ledger-2".into()],
            green: vec!["psc-1".into(), "psc-2".into()],
        },
        reads: Some(vec![COUPLED.into()]),
        principals: Sides { blue: Some("User:ledger".into()), green: Some("User:psc".into()) },
        still_ms: 5000,
        drain_timeout_ms: 90_000,
        commit_timeout_ms: 60_000,
        keep_blue_ms: 259_200_000,
        ..ProducerSettings::default()
    };
    settings.producers = [(PRODUCER.to_owned(), producer)].into();
    settings
}

/// `cut over window: why`, `back carry`, `back lose`, `continue`, `complete`, `approve`.
pub fn command(words: &str) -> Command {
    let (words, reason) = words.split_once(':').map_or((words, ""), |(w, r)| (w.trim(), r.trim()));
    let (words, gates) = words.split_once(" over ").unwrap_or((words, ""));
    let gate = |g: &str| Override::new(g.parse().unwrap_or_else(|_| panic!("no gate {g}")), reason);
    let gates: Vec<Override> = gates.split_whitespace().map(gate).collect();
    let producer = PRODUCER.to_owned();
    let group = READER.to_owned();
    let mut command = match words {
        "cut" => Command::hard_cut(producer),
        "back carry" => Command::hard_back(producer, GreenOnly::Carry),
        "back lose" => Command::hard_back(producer, GreenOnly::Lose),
        "continue" => Command::Continue { subject: World::subject() },
        "complete" => Command::complete(World::subject()),
        "approve" => Command::Approve { producer },
        "hold" => Command::Hold { subject: World::subject(), why: "lunch".into() },
        "resume" => Command::Resume { subject: World::subject() },
        "reader cut" => Command::cut_over(group),
        "reader back" => Command::roll_back(group),
        "coupled cut" => Command::cut_over(COUPLED),
        "route green" => Command::route(producer, cutover::estate::FlagState::Green),
        other => panic!("no command {other:?}"),
    };
    if let Command::HardCut { overrides, .. }
    | Command::HardBack { overrides, .. }
    | Command::Complete { overrides, .. } = &mut command
    {
        *overrides = gates;
    }
    command
}
