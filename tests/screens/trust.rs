//! What is shown is what is known: nothing exact, ticked or armed while a side can't be trusted, and absence only of lists
//! that are whole and fresh.

use cutover::base::{At, Observed, Trouble};
use cutover::report;
use cutover::snapshot::{GroupRow, GroupSide, PhaseView, Snapshot, Throttling};
use cutover::tui::model::Model;
use cutover::tui::plain::list_changes;
use serde_json::{Value, json};

use crate::fixture::{self, NOW};
use crate::looks::text;
use crate::pictures::drawn;

fn page(s: &Snapshot) -> String {
    text(&drawn(&fixture::model(s.clone(), (160, 40))))
}

/// A rail with a finished phase.
fn finished() -> Snapshot {
    let mut s = fixture::estate();
    s.phases[1] = PhaseView { done: Some(32), ..s.phases[1].clone() };
    s
}

fn old() -> Observed<u64> {
    Observed::seen_at(40, At(NOW.0 - 47_000))
}

/// Takes away what a claim rests on.
type Spoil = fn(&mut Snapshot, Trouble);

#[test]
fn nothing_is_exact_ticked_or_armed_while_a_side_is_not_trusted() {
    let rail = |s: &Snapshot| page(s).lines().take(2).collect::<Vec<_>>().join("\n");
    let trusted = finished();
    assert_eq!(trusted.why_untrusted(NOW), None);
    let well = rail(&trusted);
    let well_page = page(&trusted);
    for piece in [" ARMED", "Producers \u{2713}", "EXACT 8", "steps proven"] {
        assert!(well.contains(piece), "{piece} in\n{well}");
    }
    let other = Trouble::new("green is cluster x, but the plan pins y", "correct it");
    let spoilt: [(&str, Spoil); 4] = [
        ("stale", |s, _| s.blue.link = old()),
        ("gone", |s, why| s.green.link = Observed::Known { value: 1, at: At(NOW.0 - 47_000), trouble: Some(why) }),
        ("never seen", |s, why| s.green.link = Observed::Absent { why }),
        ("another cluster", |s, why| s.green.identity_trouble = Some(why)),
    ];
    for (name, spoil) in spoilt {
        let mut s = finished();
        spoil(&mut s, other.clone());
        let (rail, page) = (rail(&s), page(&s));
        assert!(rail.contains("NOT READY") && !rail.contains(" ARMED"), "{name}:\n{rail}");
        assert!(rail.contains("way back UNKNOWN 10"), "{name}:\n{rail}");
        assert!(!["EXACT", "BOUNDED", "CLOSED"].iter().any(|word| rail.contains(word)), "{name}:\n{rail}");
        assert!(!rail.contains('\u{2713}') && !rail.contains("counts"), "{name}:\n{rail}");
        assert!(
            well_page.contains("ready  c") && !page.contains("ready  c") && !page.contains("ready for"),
            "{name}:\n{page}"
        );
        assert!(!page.contains("EXACT  ") && !page.contains("BOUNDED 1"), "{name}:\n{page}");
        let json = serde_json::to_value(report::json::status(&s)).unwrap();
        assert!(json["trusted"] == false && json["untrusted"].is_string(), "{name}: {}", json["untrusted"]);
        assert!(report::prometheus::to_text(&s, NOW).contains("cutover_clusters_trusted 0"), "{name}");
        let told = list_changes(Some(&finished()), &s);
        assert!(told.iter().any(|l| l.contains("not ready")), "{name}: {told:#?}");
        let log = report::log::change_lines(Some(&finished()), &s);
        assert!(log.iter().any(|l| l.contains("\"trusted\":false")), "{name}: {log:#?}");
    }
}

/// Nothing of a cluster that is not a picture of now stands there as if it were, however well it was.
#[test]
fn an_old_picture_of_a_cluster_has_no_numbers() {
    let half = |m: &Model, green: bool| {
        let page = text(&drawn(m));
        let of = |l: &str| l.chars().skip(if green { 80 } else { 0 }).take(80).collect::<String>();
        page.lines()
            .skip(2)
            .map(of)
            .skip_while(|l| !l.contains("LUE") && !l.contains("GREEN"))
            .take(8)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let live = ["brokers 3/3", "urp 0", "in 5.2", "out ", "oldest ", "12 topics"];
    let dead = [
        "brokers ?/3",
        "urp \u{2013}",
        "in \u{2013}",
        "out \u{2013}",
        "lag  STALE",
        "oldest \u{2013}",
        "\u{2013} topics",
    ];
    let mut s = fixture::estate();
    s.green.leaderless = 4;
    s.green.link = old();
    let stale = fixture::model(s, (160, 40));
    let mut gone = fixture::model(fixture::estate(), (160, 40));
    gone.controller_gone = true;
    let well = fixture::model(fixture::estate(), (160, 40));
    for (m, green, is_old) in [
        (&well, false, false),
        (&well, true, false),
        (&stale, false, false),
        (&stale, true, true),
        (&gone, false, true),
        (&gone, true, true),
    ] {
        let panel = half(m, green);
        let (there, absent) = if is_old { (&dead[..], &live[..1]) } else { (&live[..], &dead[..]) };
        assert!(there.iter().all(|piece| panel.contains(piece)), "{there:?} in\n{panel}");
        assert!(!absent.iter().any(|piece| panel.contains(piece)), "none of {absent:?} in\n{panel}");
        assert!(!panel.contains("leaderless"), "{panel}");
    }
}

#[test]
fn an_old_number_of_a_group_is_no_number_of_now() {
    let with = |change: fn(&mut GroupRow)| {
        let mut s = fixture::estate();
        change(s.groups.iter_mut().find(|g| g.group == "loan-report").expect("there"));
        s
    };
    let row = |s: &Snapshot| {
        let page = text(&drawn(&fixture::model(s.clone(), (200, 60))));
        page.lines().find(|l| l.contains(" loan-report ")).expect("a row").to_owned()
    };
    let group = |s: &Snapshot| {
        let mut m = fixture::model(s.clone(), (200, 60));
        m.group = Some("loan-report".into());
        crate::scenes::press(&mut m, &["enter"]);
        text(&drawn(&m))
    };
    let plain =
        |s: &Snapshot| list_changes(None, s).into_iter().find(|l| l.contains("group loan-report: ")).expect("a line");
    let fresh = with(|_| ());
    assert!(row(&fresh).contains("  3     31 ") && row(&fresh).contains("0.4s"), "{}", row(&fresh));
    assert!(group(&fresh).contains("3 members  lag 31"), "{}", group(&fresh));
    assert!(plain(&fresh).ends_with("lag blue 31 green unknown"), "{}", plain(&fresh));
    let stale = with(|g| g.blue.at = Some(At(NOW.0 - 47_000)));
    assert!(row(&stale).contains("  ?  STALE ") && !row(&stale).contains("0.4s"), "{}", row(&stale));
    let page = group(&stale);
    assert!(page.contains("lag STALE") && !page.contains("3 members") && !page.contains("lag 31"), "{page}");
    let members: Vec<&str> = page.lines().filter(|l| l.contains("10.4.2.")).collect();
    assert!(members.len() == 3 && members.iter().all(|l| l.contains("STALE")), "{page}");
    assert!(plain(&stale).ends_with("lag blue unknown green unknown"), "{}", plain(&stale));
    // Nobody could describe it: it has members that nobody names.
    let undescribed = with(|g| {
        g.blue.members.clear();
        g.blue.trouble = Some(Trouble::new("GROUP_AUTHORIZATION_FAILED", ""));
    });
    assert!(row(&undescribed).contains("  ?     31 "), "{}", row(&undescribed));
    assert!(!group(&undescribed).contains("0 members"), "{}", group(&undescribed));
}

#[test]
fn a_group_that_nobody_moved_is_said_to_be_where_it_is_found() {
    let mut s = fixture::estate();
    let g = s.groups.iter_mut().find(|g| g.group == "loan-report").expect("there");
    std::mem::swap(&mut g.blue, &mut g.green);
    let mut m = fixture::model(s.clone(), (120, 40));
    crate::scenes::press(&mut m, &["/", "on green", "enter"]);
    let page = text(&drawn(&m));
    let row = page.lines().find(|l| l.contains("loan-report")).expect("a row").to_owned();
    assert!(row.contains("on green") && row.contains(" 31 "), "{row}");
    assert_eq!(m.groups().len(), 1, "{page}");
    crate::scenes::press(&mut m, &["enter"]);
    let page = text(&drawn(&m));
    assert!(page.contains("on green") && page.contains("lag 31") && !page.contains("unread since it left"), "{page}");
    assert!(list_changes(None, &s).iter().any(|l| l.contains("group loan-report: on green, way back")));
}

/// Makes another group of one that rests on blue.
type Change = fn(&mut GroupRow);

/// As the cockpit, so the documents: where the journal has no move of a group, it is where it is found.
#[test]
fn scripts_are_told_where_a_group_that_nobody_moved_is_found() {
    let at = |place: &str| json!({"stage": place});
    let gone: Change = |g| g.blue = GroupSide { at: Some(NOW), ..GroupSide::unseen(None) };
    let found: [(&str, Change, Value); 8] = [
        ("as it begins", |_| (), at("on_blue")),
        ("on green only", |g| std::mem::swap(&mut g.blue, &mut g.green), at("on_green")),
        ("copied before it moves", |g| g.green = g.blue.clone(), at("on_blue")),
        ("blue was not read", |g| g.blue = GroupSide::unseen(None), at("on_blue")),
        ("nowhere", gone, at("on_blue")),
        ("on both, outside the plan", |g| (g.listed, g.green) = (false, g.blue.clone()), at("on_both")),
        (
            "on green, and blue was not read, outside the plan",
            |g| (g.listed, g.green, g.blue) = (false, g.blue.clone(), GroupSide::unseen(None)),
            at("on_green"),
        ),
        ("nowhere, outside the plan", |g| (g.listed, g.blue) = (false, GroupSide::unseen(None)), Value::Null),
    ];
    let stage = |s: &Snapshot| {
        let status = serde_json::to_value(report::json::status(s)).unwrap();
        let row = status["groups"].as_array().and_then(|rows| rows.iter().find(|g| g["group"] == "loan-report"));
        row.expect("there")["stage"].clone()
    };
    for (how, change, wanted) in found {
        let mut s = fixture::estate();
        let row = s.groups.iter_mut().find(|g| g.group == "loan-report").expect("there");
        change(row);
        let listed = row.listed;
        assert_eq!(stage(&s), wanted, "{how}");
        let told: Vec<Value> =
            report::log::change_lines(None, &s).iter().map(|l| serde_json::from_str(l).unwrap()).collect();
        let line = told.iter().find(|l| l["kind"] == "group" && l["group"] == "loan-report").expect("a line");
        assert_eq!(line["stage"], wanted, "{how}");
        s.header.journal_trouble = Some(Trouble::new("entry 9 is broken", ""));
        let untold = if listed { Value::Null } else { wanted };
        assert_eq!(stage(&s), untold, "{how}, by a journal that is not the whole truth");
    }
}

#[test]
fn the_first_phase_says_what_was_looked_at_and_has_no_tick() {
    let s = fixture::estate();
    let rail = page(&s).lines().next().unwrap_or_default().to_owned();
    assert!(rail.contains("Provision 14/14 counts"), "{rail}");
    let looked = "nobody has looked how green is set up: 7 looks; partition counts agree";
    assert!(report::text::status(&s).contains(&format!("1 Provision ?/14: {looked}")), "{}", report::text::status(&s));
    assert!(list_changes(None, &s).iter().any(|l| l.ends_with(&format!("phase 1 Provision: {looked}"))));
    let json = serde_json::to_value(report::json::status(&s)).unwrap();
    let phase = &json["phases"][0];
    assert!(phase["done"].is_null() && phase["checked"] == 14 && phase["note"] == looked, "{phase}");
    let metrics = report::prometheus::to_text(&s, NOW);
    assert!(!metrics.contains("cutover_phase_steps_proven{phase=\"Provision\"}"), "nothing of it is proven");
    assert!(metrics.contains("cutover_phase_steps_checked{phase=\"Provision\"} 14"), "{metrics}");
}

#[test]
fn that_there_are_no_groups_is_said_of_whole_and_fresh_lists_only() {
    let empty = |change: fn(&mut Snapshot)| {
        let mut s = fixture::estate();
        s.groups.clear();
        change(&mut s);
        let page = text(&drawn(&fixture::model(s, (80, 24))));
        page.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(empty(|_| ()).contains("No consumer groups on either cluster."));
    let stale = empty(|s| s.blue.link = old());
    assert!(stale.contains("No consumer groups on green; of blue that is not known: blue was last seen"), "{stale}");
    let hidden = empty(|s| s.green.groups_hidden = Some(Trouble::new("it may not list all groups", "")));
    assert!(hidden.contains("of green that is not known: it may not list all groups."), "{hidden}");
    let neither = empty(|s| (s.blue.link, s.green.link) = (old(), old()));
    assert!(neither.contains("Which groups there are is not known"), "{neither}");
    let gone = {
        let mut s = fixture::estate();
        s.groups.clear();
        let mut m = fixture::model(s, (80, 24));
        m.controller_gone = true;
        text(&drawn(&m))
    };
    assert!(gone.contains("Which groups there are is not known: the controller has stopped."), "{gone}");
    for page in [stale, hidden, neither, gone] {
        assert!(!page.contains("No consumer groups on either"), "{page}");
    }
}

#[test]
fn that_a_group_has_committed_nothing_is_said_only_where_it_was_seen() {
    let group = |change: fn(&mut Snapshot)| {
        let mut s = fixture::estate();
        let g = s.groups.iter_mut().find(|g| g.group == "loan-report").expect("there");
        g.partitions.clear();
        g.estimate = None;
        change(&mut s);
        let mut m = fixture::model(s, (120, 40));
        m.group = Some("loan-report".into());
        crate::scenes::press(&mut m, &["enter"]);
        text(&drawn(&m))
    };
    let nothing = "the group has committed nothing on either side";
    assert!(group(|_| ()).contains(nothing));
    let refused = group(|s| {
        let g = s.groups.iter_mut().find(|g| g.group == "loan-report").expect("there");
        g.blue.trouble = Some(Trouble::new("GROUP_AUTHORIZATION_FAILED", ""));
    });
    assert!(refused.contains("What the group has committed is not known: GROUP_AUTHORIZATION_FAILED"), "{refused}");
    let stale = group(|s| s.green.link = old());
    assert!(!stale.contains(nothing) && stale.contains("is not known: green was last seen"), "{stale}");
}

#[test]
fn a_quota_is_told_where_the_cluster_is_shown() {
    let mut s = fixture::estate();
    let words = "blue throttles this client: 850 ms a request (5 of 6), quota of client-id cutover";
    let trouble = Trouble::new("blue throttles this client by a quota (client-id cutover)", "raise the quota");
    s.blue.throttled = Some(Throttling { ms: 850, words: words.into(), trouble });
    assert!(page(&s).contains("blue throttles this client: 850 ms a request"), "{}", page(&s));
    assert!(report::text::lag(&s).contains(words));
    let json = serde_json::to_value(report::json::lag(&s)).unwrap();
    assert_eq!(
        (&json["clusters"]["blue"]["throttle_ms"], &json["clusters"]["green"]["throttle_ms"]),
        (&850.into(), &0.into())
    );
    assert!(report::json::is_complete(&fixture::estate()) == report::json::is_complete(&s), "slow is not incomplete");
}
