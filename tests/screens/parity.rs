//! How green is set up beside blue, on the screen.

use cutover::base::{Observed, Trouble};
use cutover::snapshot::{Ask, ParityClass, ParityLine, ParityTable, ParityVerdict, ParityView, Snapshot};
use cutover::tui::model::{Model, Screen};
use cutover::tui::theme::Glyphs;
use cutover::tui::update::{Cmd, Msg, update};

use crate::fixture::{self, NOW};
use crate::scenes::press;

fn line(class: ParityClass, words: [&str; 6]) -> ParityLine {
    let [kind, name, blue, green, why, todo] = words.map(str::to_owned);
    ParityLine { class, kind, name, blue, green, why, todo }
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
    ParityTable { verdict: ParityVerdict::Differs, counts, same: 412, lines, left_out: 0 }
}

fn equal() -> ParityTable {
    ParityTable { verdict: ParityVerdict::Equal, counts: [].into(), same: 412, lines: Vec::new(), left_out: 0 }
}

fn seen(table: ParityTable, age_ms: u64) -> ParityView {
    let at = cutover::base::At(NOW.0 - i64::try_from(age_ms).expect("an age"));
    ParityView { looking: false, seen: Observed::seen_at(table, at) }
}

fn estate(parity: Option<ParityView>) -> Snapshot {
    Snapshot { parity, ..fixture::estate() }
}

fn shown(parity: Option<ParityView>, size: (u16, u16)) -> Model {
    let mut m = fixture::model(estate(parity), size);
    press(&mut m, &["7"]);
    m
}

fn failed() -> ParityView {
    let why = Trouble::new("blue: no broker answers", "check the bootstrap addresses in the plan");
    ParityView { looking: false, seen: Observed::Absent { why } }
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
