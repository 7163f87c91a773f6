//! How green is set up beside blue, on the screen.

use cutover::base::{At, Observed, Trouble, TroubleClass};
use cutover::migration::facts::command::{Command, Level, Prepared, Refusal};
use cutover::parity::ParityTally;
use cutover::snapshot::{
    Arming, Ask, ParityClass, ParityLine, ParityTable, ParityVerdict, ParityView, ProvisionState, ProvisionView, Reply,
    Snapshot,
};
use cutover::tui::model::{Model, Screen};
use cutover::tui::theme::Glyphs;
use cutover::tui::update::{Cmd, Msg, update};

use crate::fixture::{self, NOW};
use crate::scenes::press;

fn line(class: ParityClass, words: [&str; 6]) -> ParityLine {
    let [kind, name, blue, green, why, todo] = words.map(str::to_owned);
    let makes = class == ParityClass::Blocks;
    ParityLine { class, kind, name, blue, green, why, todo, makes }
}

/// A table as a preflight makes it, with drift of each kind.
fn drifted() -> ParityTable {
    use ParityClass::{Blocks, Notes, Unknown, Warns};
    let lines = vec![
        line(
            Blocks,
            [
                "topics",
                "loan-audit",
                "6 partitions of 3 replicas",
                "missing",
                "its producers and consumers find no such topic on green",
                "create topic loan-audit with 6 partitions of 3 replicas: retention.ms=259200000",
            ],
        ),
        line(
            Blocks,
            [
                "settings",
                "loan-events retention.ms",
                "604800000",
                "86400000",
                "green deletes records earlier: what is not read by then is lost",
                "set on topic loan-events: retention.ms=604800000",
            ],
        ),
        line(
            Blocks,
            [
                "acls",
                "allow read on group loan-audit (literal) to User:green-app from *",
                "has it",
                "missing",
                "User:green-app is refused on green",
                "add ACL: allow read on group loan-audit (literal) to User:green-app from *",
            ],
        ),
        line(
            Unknown,
            [
                "quotas",
                "green",
                "?",
                "?",
                "this principal may not see quotas of green: CLUSTER_AUTHORIZATION_FAILED",
                "give the principal DESCRIBE_CONFIGS on the cluster",
            ],
        ),
        line(
            Warns,
            [
                "topics",
                "loan-notes partitions",
                "12",
                "6",
                "more of them: most keys go to another partition from then on",
                "add 6 partitions to topic loan-notes: 6 to 12",
            ],
        ),
        line(
            Warns,
            [
                "flag",
                "auto_creation",
                "",
                "",
                "green makes topics that somebody asks for",
                "set auto.create.topics.enable=false on green",
            ],
        ),
        line(
            Notes,
            ["topics", "scratch", "none", "1 partition of 1 replica", "green has a topic that blue has not", ""],
        ),
        line(
            Unknown,
            [
                "flag",
                "super_users",
                "",
                "",
                "the brokers of blue don't tell super.users",
                "compare super.users in server.properties of both clusters",
            ],
        ),
    ];
    let counts = [(Blocks, 3), (Unknown, 2), (Warns, 2), (Notes, 1)].into();
    ParityTable { verdict: ParityVerdict::Differs, counts, same: 412, tally: tally(5, 1), lines, left_out: 0 }
}

fn tally(differ: usize, unknown: usize) -> ParityTally {
    ParityTally { same: 412, differ, unknown }
}

fn equal() -> ParityTable {
    ParityTable {
        verdict: ParityVerdict::Equal,
        counts: [].into(),
        same: 412,
        tally: tally(0, 0),
        lines: Vec::new(),
        left_out: 0,
    }
}

fn seen(table: ParityTable, age_ms: u64) -> ParityView {
    let at = cutover::base::At(NOW.0 - i64::try_from(age_ms).expect("an age"));
    ParityView { looking: false, seen: Observed::seen_at(table, at), provision: None }
}

fn estate(parity: Option<ParityView>) -> Snapshot {
    let mut s = Snapshot { parity, ..fixture::estate() };
    if let Some(Observed::Known { value, at, .. }) = s.parity.as_ref().map(|p| &p.seen) {
        // As the controller has it: an old look proves nothing.
        let total = u32::try_from(value.tally.same + value.tally.differ + value.tally.unknown).expect("a few");
        let same = Some(u32::try_from(value.tally.same).expect("a few"));
        let old = NOW.since(*at) > cutover::snapshot::PARITY_OLD_MS;
        let phase = &mut s.phases[0];
        (phase.done, phase.checked) = if old { (None, same) } else { (same, None) };
        (phase.total, phase.at) = (total, Some(*at));
        phase.note = old.then(|| "last looked 60 min ago: 7 shows it, g looks again".to_owned());
    }
    s
}

#[test]
fn the_rail_has_a_tick_for_a_young_look_only_and_says_its_age() {
    let rail = |parity| page(&shown(Some(parity), (120, 40))).lines().next().unwrap_or_default().to_owned();
    let proven = rail(seen(equal(), 4_000));
    assert!(proven.contains("1 Provision ✓ 5s"), "{proven}");
    let short = rail(seen(drifted(), 32_000));
    assert!(short.contains("1 Provision 412/418 33s"), "{short}");
    let old = rail(seen(equal(), 3_600_000));
    assert!(old.contains("1 Provision 412/412 OLD"), "{old}");
}

fn shown(parity: Option<ParityView>, size: (u16, u16)) -> Model {
    let mut m = fixture::model(estate(parity), size);
    press(&mut m, &["7"]);
    m
}

fn failed() -> ParityView {
    let why = Trouble::new("blue: no broker answers", "check the bootstrap addresses in the plan");
    ParityView { looking: false, seen: Observed::Absent { why }, provision: None }
}

/// What the controller answers to `p`.
fn prepared() -> Prepared {
    let diff = [
        "loans-psc: 3 to add, 1 to change, 1 by hand, 1 unknown",
        "+ topics loan-audit: 6 partitions of 3 replicas",
        "+ acls allow read on group loan-audit (literal) to User:green-app from *",
        "~ settings loan-events retention.ms: 86400000 -> 604800000",
        "+ schemas money: 1 version",
        "! reach doc-search-0 to green-1:9092: the network policy of doc-search-0 denies it",
        "    do: let doc-search-0 through to green-1:9092: name, route, network policy, firewall",
        "? quotas green: this principal may not see quotas of green",
    ];
    Prepared {
        command: Command::Provision,
        title: "Set GREEN up as blue is".to_owned(),
        steps: Vec::new(),
        no_return_after: None,
        level: Level::Typed("provision loans-psc".to_owned()),
        max_re_read: None,
        way_back: "none: it adds and sets, and takes nothing away again".to_owned(),
        warnings: Vec::new(),
        gates: Vec::new(),
        rows: Vec::new(),
        diff: diff.map(str::to_owned).to_vec(),
        by_hand: vec!["cutover provision --apply".to_owned(), "cutover schemas --apply".to_owned()],
        facts: "look=7".to_owned(),
    }
}

/// The dialog of `p` once the controller has answered.
fn asked(size: (u16, u16)) -> Model {
    let mut m = shown(Some(seen(drifted(), 32_000)), size);
    let id = number_of(&press(&mut m, &["p"]));
    let at = m.now;
    update(&mut m, Msg::Reply(Reply::Prepared { id, result: Ok(Box::new(prepared())) }, at));
    update(&mut m, Msg::Tick(at.plus(1_000)));
    m
}

/// The number of the question that asks what a provisioning would do.
fn number_of(cmds: &[Cmd]) -> u64 {
    let asked = cmds.iter().find_map(|cmd| match cmd {
        Cmd::Ask(Ask::Prepare { id, command: Command::Provision }) => Some(*id),
        _ => None,
    });
    asked.unwrap_or_else(|| panic!("nothing was asked: {cmds:?}"))
}

fn provisioned(state: ProvisionState) -> ParityView {
    let said = vec!["1/3 create topic loan-audit with 6 partitions of 3 replicas: done".to_owned()];
    let one = ProvisionView { began: NOW, actor: "ada@bastion".into(), said, state };
    ParityView { provision: Some(one), ..seen(drifted(), 4_000) }
}

fn ended(class: Option<TroubleClass>) -> ProvisionState {
    let trouble = class.map(|_| Trouble::new("add ACL: refused: no rights", "give the principal ALTER on the cluster"));
    let words = "2 of 3 changes are on green".to_owned();
    ProvisionState::Ended { at: At(NOW.0 - 9_000), words, class, trouble }
}

/// Every picture of the screen.
pub fn scenes(out: &mut Vec<(&'static str, Model)>) {
    let (small, least, wide) = ((80, 24), (60, 16), (120, 40));
    out.push(("parity_80x24", shown(Some(seen(drifted(), 32_000)), small)));
    out.push(("parity_60x16", shown(Some(seen(drifted(), 32_000)), least)));
    out.push(("parity_120x40", shown(Some(seen(drifted(), 32_000)), wide)));
    out.push(("parity_equal_80x24", shown(Some(seen(equal(), 4_000)), small)));
    out.push(("parity_old_80x24", shown(Some(seen(drifted(), 3_600_000)), small)));
    out.push(("parity_failed_80x24", shown(Some(failed()), small)));
    let mut detail = shown(Some(seen(drifted(), 32_000)), least);
    press(&mut detail, &["j", "j", "tab"]);
    out.push(("parity_detail_60x16", detail));
    let mut ascii = fixture::model_in(estate(Some(seen(drifted(), 32_000))), small, "mono", Glyphs::Ascii);
    press(&mut ascii, &["7", "end"]);
    out.push(("parity_ascii_mono", ascii));
    out.push(("parity_provision_80x24", asked(small)));
    out.push(("parity_provision_120x40", asked(wide)));
    out.push(("parity_provision_60x16", asked(least)));
    out.push(("parity_provisioning_80x24", shown(Some(provisioned(ProvisionState::Running)), small)));
    out.push(("parity_provisioned_80x24", shown(Some(provisioned(ended(Some(TroubleClass::Refused)))), small)));
}

fn page(m: &Model) -> String {
    crate::looks::text(&crate::pictures::drawn(m))
}

#[test]
fn at_80x24_it_says_what_is_missing_and_what_to_do() {
    let mut m = shown(Some(seen(drifted(), 32_000)), (80, 24));
    let said = page(&m);
    for piece in
        ["DIFFERS 33s ago", "3 block", "2 unknown", "2 warn", "BLOCKS  topics", "loan-audit", "create topic loan-audit"]
    {
        assert!(said.contains(piece), "{piece} in\n{said}");
    }
    press(&mut m, &["j", "j", "j"]);
    let said = page(&m);
    for piece in ["may not see quotas of green", "give the principal DESCRIBE_CONFIGS on the cluster"] {
        assert!(said.contains(piece), "{piece} in\n{said}");
    }
    press(&mut m, &["esc"]);
    assert_eq!(m.screen, Screen::Cockpit);
}

fn asks(cmds: &[Cmd]) -> usize {
    cmds.iter().filter(|cmd| matches!(cmd, Cmd::Ask(Ask::LookAtSetup))).count()
}

#[test]
fn who_comes_first_asks_for_a_look_and_g_asks_again() {
    let mut m = fixture::model(estate(None), (80, 24));
    assert_eq!(asks(&press(&mut m, &["7"])), 1);
    assert!(page(&m).contains("UNKNOWN"), "nothing is claimed before anybody has looked\n{}", page(&m));
    let mut m = fixture::model(estate(Some(seen(drifted(), 32_000))), (80, 24));
    assert_eq!(asks(&press(&mut m, &["7"])), 0, "there is a look: its age is said");
    assert_eq!(asks(&press(&mut m, &["g"])), 1);
    let looking = ParityView { looking: true, ..seen(drifted(), 32_000) };
    let mut m = fixture::model(estate(Some(looking)), (80, 24));
    assert_eq!(asks(&press(&mut m, &["7", "g"])), 0, "one at a time");
    assert!(page(&m).contains("looking"), "{}", page(&m));
}

#[test]
fn what_is_old_or_failed_is_no_fresh_parity() {
    let mut m = shown(Some(seen(equal(), 4_000)), (80, 24));
    assert!(page(&m).contains("PARITY 5s ago") && page(&m).contains("Green is set up as blue is"), "{}", page(&m));
    // The clock alone makes it old.
    update(&mut m, Msg::Tick(NOW.plus(3_600_000)));
    assert!(page(&m).contains("OLD"), "{}", page(&m));
    let m = shown(Some(failed()), (80, 24));
    let said = page(&m);
    assert!(said.contains("UNKNOWN") && said.contains("no broker answers") && !said.contains("PARITY"), "{said}");
}

#[test]
fn p_shows_the_diff_and_only_the_phrase_sends_it() {
    let mut m = asked((80, 24));
    let said = page(&m);
    for piece in ["Set GREEN up as blue is", "+ topics loan-audit", "~ settings loan-events", "provision loans-psc"] {
        assert!(said.contains(piece), "{piece} in\n{said}");
    }
    let sent =
        |cmds: &[Cmd]| cmds.iter().any(|cmd| matches!(cmd, Cmd::Ask(Ask::Execute { command: Command::Provision, .. })));
    assert!(!sent(&press(&mut m, &["enter"])) && !sent(&press(&mut m, &["p", "enter"])), "{}", page(&m));
    press(&mut m, &["backspace"]);
    let keys: Vec<String> =
        "provision loans-psc".chars().map(|c| if c == ' ' { "space".into() } else { c.to_string() }).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    press(&mut m, &keys);
    assert!(sent(&press(&mut m, &["enter"])), "{}", page(&m));
}

#[test]
fn what_may_not_change_anything_says_so() {
    let refused = |change: fn(&mut Snapshot), words: &str| {
        let mut s = estate(Some(seen(drifted(), 32_000)));
        change(&mut s);
        let mut m = fixture::model(s, (80, 24));
        press(&mut m, &["7"]);
        assert_eq!(press(&mut m, &["p"]).len(), 0, "nothing is asked");
        assert!(m.overlay.is_none() && page(&m).contains(words), "{words} in\n{}", page(&m));
    };
    refused(|s| s.header.arming = Arming::ReadOnly { why: "asked for".to_owned() }, "Read-only: asked for");
    refused(|s| s.header.arming = Arming::DryRun, "A dry run does not rehearse this");
    refused(|s| s.parity = Some(provisioned(ProvisionState::Running)), "Green is being set up");
    refused(|s| s.parity = Some(failed()), "Nobody has looked yet");
    // And the controller's own word is shown in the dialog.
    let mut m = shown(Some(seen(drifted(), 32_000)), (80, 24));
    let id = number_of(&press(&mut m, &["p"]));
    let why = Refusal::holds("the cutover of loan-audit is under way (run 7)", "let it end first");
    let at = m.now;
    update(&mut m, Msg::Reply(Reply::Prepared { id, result: Err(why) }, at));
    assert!(page(&m).contains("the cutover of loan-audit is under way"), "{}", page(&m));
}

#[test]
fn how_far_it_is_and_what_came_of_it_stand_above_the_table() {
    let said = page(&shown(Some(provisioned(ProvisionState::Running)), (80, 24)));
    assert!(said.contains("Setting green up: 1/3 create topic loan-audit"), "{said}");
    let said = page(&shown(Some(provisioned(ended(None))), (80, 24)));
    assert!(said.contains("2 of 3 changes are on green") && !said.contains("refused"), "{said}");
    let said = page(&shown(Some(provisioned(ended(Some(TroubleClass::Refused)))), (80, 24)));
    assert!(said.contains("refused: no rights"), "{said}");
}
