//! What is said of a cluster that was not seen recently, was never seen, or is another one: the same in every output.

use serde_json::Value;

use super::{json, log, prometheus, text};
use crate::base::{At, Observed, Side, Trouble};
use crate::estate::{FlagState, GroupKind, GroupState, SwitchState};
use crate::migration::facts::settings::Mode;
use crate::migration::facts::stage::{NextStep, Stage, WayBack};
use crate::snapshot::calendar::Calendar;
use crate::snapshot::{
    Arming, Fidelity, GroupRow, GroupSide, Header, ObservedWriting, PartitionRow, PartitionSide, PhaseView,
    ProducerRow, SideView, Snapshot,
};

const NOW: At = At(1_000_000);
/// When something was seen that is old now.
const THEN: At = At(NOW.0 - 47_000);
/// When something was seen that counts.
const JUST: At = At(NOW.0 - 900);

fn side(side: Side) -> SideView {
    SideView {
        side,
        name: side.name().into(),
        bootstrap: format!("{side}:9092"),
        link: Observed::seen_at(40, JUST),
        cluster_id: Some(format!("id-of-{side}")),
        identity_trouble: None,
        brokers: (3, 3),
        broker_troubles: Vec::new(),
        under_replicated: 77,
        leaderless: 0,
        topics: 1212,
        in_rate: Some(555.5),
        out_rate: None,
        lag: Some(622),
        trend: Vec::new(),
        oldest_ms: None,
        oldest_unknown: 0,
        groups_hidden: None,
        topics_hidden: None,
        throttled: None,
    }
}

fn group(blue: GroupSide) -> GroupRow {
    let offsets = PartitionSide { committed: Some(81_200), lag: Some(4_711), ..PartitionSide::default() };
    GroupRow {
        group: "audit".into(),
        green_group: "audit".into(),
        team: "loans".into(),
        listed: true,
        mode: Mode::default(),
        kind: GroupKind::Classic,
        stage: Stage::OnBlue,
        side_state: None,
        switch: Some(Observed::seen_at(SwitchState::Blue, JUST)),
        blue,
        green: GroupSide { state: Some(GroupState::Dead), at: Some(JUST), ..GroupSide::unseen(None) },
        partitions: vec![PartitionRow {
            topic: "orders".into(),
            partition: 0,
            blue: offsets,
            green: PartitionSide::default(),
        }],
        run: None,
        estimate: None,
        estimate_to: None,
        estimate_chosen: None,
        measuring: false,
        witnessed: None,
        way_back: WayBack::Exact,
        next: NextStep::ready("ready  c"),
        offers: Vec::new(),
        gates: Vec::new(),
        triggers: Vec::new(),
        baselines: Vec::new(),
    }
}

fn producer() -> ProducerRow {
    ProducerRow {
        name: "writer".into(),
        team: "loans".into(),
        topics: vec!["orders".into()],
        critical: true,
        transactional: false,
        flag: Some(Observed::seen_at(FlagState::Dual, JUST)),
        observed: ObservedWriting::default(),
        fidelity: Fidelity::NotDual,
        disagreement: None,
        side_state: None,
        run: None,
        next: NextStep::ready("ready for green  r"),
        offers: Vec::new(),
        eos: None,
    }
}

/// An estate in which all is well and was seen just now.
fn snapshot() -> Snapshot {
    let blue = GroupSide {
        state: Some(GroupState::Stable),
        lag: Some(4_711),
        lag_stable: Some(4_711),
        waits: Some("an open transaction".into()),
        at: Some(JUST),
        ..GroupSide::unseen(None)
    };
    let phase =
        PhaseView { number: 2, name: "Producers".into(), done: Some(1), total: 1, checked: None, note: None, at: None };
    Snapshot {
        schema: 1,
        seq: 7,
        now: NOW,
        header: Header {
            migration: "m".into(),
            arming: Arming::Armed,
            controller: "a@b".into(),
            pid: 1,
            journal: "j".into(),
            plan: "p".into(),
            stale_after_ms: 10_000,
            journal_trouble: None,
        },
        phases: vec![phase],
        blue: side(Side::Blue),
        green: side(Side::Green),
        groups: vec![group(blue)],
        producers: vec![producer()],
        notices: Vec::new(),
        countdowns: Vec::new(),
        journal: Vec::new(),
        calendar: Calendar::default(),
        diff: None,
        parity: None,
    }
}

/// Pictures of which nothing of blue may be claimed.
fn spoilt() -> [(&'static str, Snapshot); 3] {
    let why = || Trouble::new("blue is not as it should be", "look at it");
    let [mut stale, mut never, mut other] = [snapshot(), snapshot(), snapshot()];
    stale.blue.link = Observed::seen_at(40, THEN);
    stale.groups[0].blue.at = Some(THEN);
    never.blue.link = Observed::Absent { why: why() };
    never.groups[0].blue = GroupSide::unseen(Some(why()));
    other.blue.identity_trouble = Some(why());
    other.groups[0].blue = GroupSide::unseen(Some(why()));
    [("stale", stale), ("never seen", never), ("another cluster", other)]
}

fn status(s: &Snapshot) -> Value {
    serde_json::to_value(json::status(s)).expect("JSON")
}

#[test]
fn an_old_figure_is_no_figure_of_now_in_any_output() {
    let well = snapshot();
    assert!(json::is_complete(&well));
    let (lag, all) = (text::lag(&well), text::status(&well));
    assert!(["4711", "lag 622", "Stable", "audit waits: an open"].iter().all(|w| lag.contains(w)), "{lag}");
    assert!(["4711", "EXACT", "ready  c", "1/1"].iter().all(|w| all.contains(w)), "{all}");
    let blue = |v: &Value| v["clusters"]["blue"].clone();
    assert_eq!(
        (&blue(&status(&well))["lag"], &status(&well)["groups"][0]["blue"]["lag"]),
        (&622.into(), &4_711.into())
    );
    for (name, s) in spoilt() {
        assert!(!json::is_complete(&s), "{name}: for exit code 4");
        for page in [text::lag(&s), text::status(&s)] {
            let blue = page.lines().find(|l| l.starts_with("[B]")).expect("a line of blue");
            let row = page.lines().find(|l| l.starts_with("audit  ")).expect("a row of the group");
            for old in ["4711", "622", "1212", "77", "3/3", "EXACT", "Stable", "ready"] {
                assert!(!blue.contains(old) && !row.contains(old), "{name}: {old} in\n{page}");
            }
            assert!(!page.contains("audit waits:"), "{name}:\n{page}");
        }
        let all = text::status(&s);
        assert!(all.contains("! nothing is ready or proven now: ") && all.contains("????"), "{name}:\n{all}");
        assert!(all.contains("2 Producers 1/1, blue"), "{name}: a count that rests on blue says so:\n{all}");
        let value = status(&s);
        for key in ["brokers_up", "brokers", "topics", "under_replicated", "lag", "in_rate", "throttle_ms"] {
            assert_eq!(blue(&value).get(key), Some(&Value::Null), "{name}: {key} is there, and not known");
        }
        assert_eq!(blue(&value)["stale"], true, "{name}");
        let group = &value["groups"][0];
        for key in ["state", "exists", "members", "lag", "lag_stable", "waits", "stuck"] {
            assert_eq!(group["blue"].get(key), Some(&Value::Null), "{name}: {key} is there, and not known");
        }
        assert_eq!(group["partitions"][0]["blue"]["committed"], Value::Null, "{name}");
        assert_eq!(
            (&group["way_back"]["way_back"], &group["next"]),
            (&"unknown".into(), &"not known".into()),
            "{name}"
        );
        assert_eq!(value["producers"][0]["next"], "not known", "{name}");
        let lines = log::change_lines(None, &s);
        let of = |kind: &str| lines.iter().find(|l| l.contains(&format!("\"kind\":\"{kind}\""))).expect("a line");
        assert!(of("group").contains("\"way_back\":\"unknown\""), "{name}: {lines:#?}");
        assert!(of("cluster").contains("\"brokers\":null"), "{name}: {lines:#?}");
        let metrics = prometheus::to_text(&s, NOW);
        assert!(
            metrics.contains("cutover_group_way_back{group=\"audit\",way_back=\"unknown\"} 1"),
            "{name}:\n{metrics}"
        );
    }
}

#[test]
fn what_is_stale_says_how_old_it_is() {
    let [(_, stale), ..] = spoilt();
    for page in [text::lag(&stale), text::status(&stale)] {
        assert!(page.contains("lag -  STALE: blue was last seen 47s ago"), "{page}");
        let row = page.lines().find(|l| l.starts_with("audit  ")).expect("a row of the group");
        assert!(row.contains("STALE 47s"), "{page}");
    }
    let value = status(&stale);
    assert_eq!(
        (&value["clusters"]["blue"]["age_ms"], &value["clusters"]["green"]["stale"]),
        (&47_000.into(), &false.into())
    );
    let blue = &value["groups"][0]["blue"];
    assert_eq!((&blue["age_ms"], &blue["stale"]), (&47_000.into(), &true.into()));
    // The group was looked at by itself, after the whole cluster was.
    let mut focused = stale;
    focused.groups[0].blue.at = Some(JUST);
    let value = status(&focused);
    let group = &value["groups"][0];
    assert_eq!((&group["blue"]["lag"], &group["partitions"][0]["blue"]["lag"]), (&4_711.into(), &4_711.into()));
    assert_eq!(group["way_back"]["way_back"], "unknown", "it rests on both clusters all the same");
}

#[test]
fn a_switch_that_was_read_long_ago_is_no_switch_of_now() {
    let mut s = snapshot();
    let of = |s: &Snapshot| {
        let v = status(s);
        (v["groups"][0]["switch"].clone(), v["producers"][0]["flag"].clone())
    };
    assert_eq!(of(&s), ("blue".into(), "dual".into()));
    s.groups[0].switch = Some(Observed::seen_at(SwitchState::Blue, THEN));
    s.producers[0].flag = Some(Observed::seen_at(FlagState::Dual, THEN));
    assert_eq!(of(&s), (Value::Null, Value::Null));
    let row = text::status(&s);
    let row = row.lines().find(|l| l.starts_with("writer  ")).expect("a row of the producer");
    assert!(row.contains("STALE 47s") && !row.contains("dual"), "{row}");
    let lines = log::change_lines(None, &s);
    assert!(lines.iter().any(|l| l.contains("\"kind\":\"producer\"") && l.contains("\"flag\":null")), "{lines:#?}");
}
