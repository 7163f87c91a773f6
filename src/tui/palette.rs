//! The command palette: every action by its name, fuzzily, and after a name the groups or producers it can act on.

use std::collections::BTreeSet;

use nucleo_matcher::pattern::{AtomKind, CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use super::actions::{self, ACTIONS, Danger, KeyAction, Readiness, Scope};
use super::model::{Model, Pane, Screen, Tone};
use super::update::Cmd;
use super::verify;
use crate::base::sanitise::visible_name;
use crate::migration::facts::command::Subject;
use crate::snapshot::DiffWhat;

/// Most lines offered.
const MAX_ENTRIES: usize = 200;

/// What people type to leave elsewhere.
const LEAVES: [&str; 10] = ["q", "q!", "qa", "qa!", "quit", "quit!", "wq", "wq!", "x", "exit"];

/// A line of the palette.
#[derive(Debug, Clone)]
pub(crate) struct PaletteEntry {
    /// What tab makes of the input.
    pub completion: String,
    /// What it does.
    pub doc: String,
    /// Its key, for next time.
    pub key: &'static str,
    /// Whether it would work, and why not.
    pub ready: Readiness,
    action: Option<&'static KeyAction>,
    subject: Option<Subject>,
    /// What a diff is asked for of, and the range as it was typed after the name.
    diff: Option<(DiffWhat, Option<String>)>,
}

impl PaletteEntry {
    /// The line of an action by its name.
    fn entry_of(m: &Model, a: &'static KeyAction) -> Self {
        PaletteEntry {
            completion: if matches!(argument_of(a), Takes::Nothing) { a.id.to_owned() } else { format!("{} ", a.id) },
            doc: a.doc.to_owned(),
            key: actions::key_label(a),
            ready: if is_reachable(m, a) { (a.ready)(m) } else { refuse_elsewhere(a) },
            action: Some(a),
            subject: None,
            diff: None,
        }
    }

    /// Whether it may be run because letters of what was typed are scattered over it: it only moves about, or reads.
    fn is_harmless(&self) -> bool {
        self.action
            .is_none_or(|a| a.id != "leave" && a.id != "suspend" && matches!(a.danger, Danger::None | Danger::Reads))
    }
}

/// What an action of the palette takes after its name.
enum Takes {
    Nothing,
    Group,
    Producer,
    Either,
    Compared,
}

fn argument_of(a: &KeyAction) -> Takes {
    let all = |scopes: &[Scope]| scopes.iter().all(|s| a.scopes.contains(s));
    match (all(&[Scope::Group, Scope::Groups]), all(&[Scope::Producer, Scope::Producers])) {
        _ if a.id == "verify" => Takes::Compared,
        (true, true) => Takes::Either,
        (true, false) => Takes::Group,
        (false, true) => Takes::Producer,
        (false, false) => Takes::Nothing,
    }
}

/// Whether an action belongs into the palette: those of overlays alone and plain movement do not.
fn is_listed(a: &KeyAction) -> bool {
    let overlay = |s: &Scope| {
        matches!(
            s,
            Scope::Confirm
                | Scope::Route
                | Scope::Range
                | Scope::Choose
                | Scope::Why
                | Scope::Palette
                | Scope::Filter
                | Scope::Help
                | Scope::Leave
        )
    };
    let moves = a.scopes.contains(&Scope::Help);
    !a.scopes.iter().all(overlay) && !moves && a.id != "palette"
}

/// Whether an action can be reached from where the person is.
fn is_reachable(m: &Model, a: &KeyAction) -> bool {
    let mut under = m.clone();
    under.overlay = None;
    let scopes = actions::list_scopes(&under);
    a.scopes.iter().any(|s| scopes.contains(s))
}

/// The lines for what was typed, best first.
#[must_use]
pub(crate) fn list_entries(m: &Model, typed: &str) -> Vec<PaletteEntry> {
    // Before any search: what is typed to leave is found in other names too, as `x` is in `export`.
    if LEAVES.contains(&typed.trim()) {
        let leave = actions::find_by_id("leave").into_iter();
        return leave
            .map(|a| PaletteEntry { completion: typed.trim().to_owned(), ..PaletteEntry::entry_of(m, a) })
            .collect();
    }
    let (word, rest) = typed.split_once(' ').map_or((typed, None), |(w, r)| (w, Some(r)));
    if let Some(rest) = rest
        && let Some(action) = ACTIONS.iter().find(|a| a.id == word && is_listed(a))
    {
        match argument_of(action) {
            Takes::Group => return entries_on_groups(m, action, rest),
            Takes::Producer => return entries_on_producers(m, action, rest),
            Takes::Compared => return entries_on_compared(m, action, rest),
            Takes::Either => {
                let mut rows = entries_on_groups(m, action, rest);
                rows.extend(entries_on_producers(m, action, rest));
                return rows;
            }
            Takes::Nothing => {}
        }
    }
    let mut rows: Vec<PaletteEntry> =
        ACTIONS.iter().filter(|a| is_listed(a)).map(|a| PaletteEntry::entry_of(m, a)).collect();
    if typed.trim().is_empty() {
        rows.sort_by_key(|e| e.ready != Readiness::Now);
        return rows;
    }
    if let Some(s) = &m.snapshot {
        let go = |subject: Subject, name: &str, kind: &str| PaletteEntry {
            completion: format!("{kind} {name}"),
            doc: format!("Opens {kind} {}.", visible_name(name)),
            key: "",
            ready: Readiness::Now,
            action: None,
            subject: Some(subject),
            diff: None,
        };
        rows.extend(s.groups.iter().map(|g| go(Subject::Group(g.group.clone()), &g.group, "group")));
        rows.extend(s.producers.iter().map(|p| go(Subject::Producer(p.name.clone()), &p.name, "producer")));
    }
    rank_entries(rows, typed)
}

fn refuse_elsewhere(a: &KeyAction) -> Readiness {
    match argument_of(a) {
        Takes::Group => Readiness::NotNow("Put the cursor on a group first, or type its name after this.".into()),
        Takes::Producer => Readiness::NotNow("Put the cursor on a producer first, or type its name after this.".into()),
        Takes::Compared | Takes::Either => {
            Readiness::NotNow("Put the cursor on a group or producer first, or type a name after this.".into())
        }
        Takes::Nothing => Readiness::NotNow("It does not work on this screen.".into()),
    }
}

fn entries_on_groups(m: &Model, action: &'static KeyAction, rest: &str) -> Vec<PaletteEntry> {
    let names = m.snapshot.iter().flat_map(|s| s.groups.iter().map(|g| g.group.as_str()));
    entries_on_subjects(m, action, rest, names, Subject::Group)
}

fn entries_on_producers(m: &Model, action: &'static KeyAction, rest: &str) -> Vec<PaletteEntry> {
    let names = m.snapshot.iter().flat_map(|s| s.producers.iter().map(|p| p.name.as_str()));
    entries_on_subjects(m, action, rest, names, Subject::Producer)
}

/// Groups, producers and topics that can be compared, after the word `verify`; what begins with `--` is the range.
fn entries_on_compared(m: &Model, action: &'static KeyAction, rest: &str) -> Vec<PaletteEntry> {
    let (name, range) = match rest.find("--") {
        Some(at) => (rest[..at].trim(), Some(rest[at..].to_owned())),
        None => (rest.trim(), None),
    };
    let Some(s) = &m.snapshot else { return Vec::new() };
    let groups = s.groups.iter().map(|g| (g.group.clone(), DiffWhat::Group(g.group.clone())));
    let producers = s.producers.iter().map(|p| (p.name.clone(), DiffWhat::Producer(p.name.clone())));
    let of_groups = s.groups.iter().flat_map(|g| g.partitions.iter().map(|p| p.topic.as_str()));
    let topics: BTreeSet<&str> =
        s.producers.iter().flat_map(|p| p.topics.iter().map(String::as_str)).chain(of_groups).collect();
    let topics = topics.into_iter().map(|t| (t.to_owned(), DiffWhat::Topics(vec![t.to_owned()])));
    let tail = range.as_ref().map(|r| format!(" {r}")).unwrap_or_default();
    let row = |(name, what): (String, DiffWhat)| PaletteEntry {
        completion: format!("{} {name}{tail}", action.id),
        doc: format!("Compares {} on both clusters.", what.describe()),
        key: actions::key_label(action),
        ready: match m.diff() {
            Some(d) if d.is_running() => (action.ready)(&model_standing_on(m, &d.subject())),
            _ => Readiness::Now,
        },
        action: Some(action),
        subject: None,
        diff: Some((what, range.clone())),
    };
    // Topics first: a name that a topic and a group share is a topic's.
    let rows: Vec<(String, DiffWhat)> = topics.chain(groups).chain(producers).collect();
    if let Some(exact) = rows.iter().position(|(n, _)| n == name) {
        return rows.into_iter().skip(exact).filter(|(n, _)| n == name).map(row).collect();
    }
    let rows: Vec<PaletteEntry> = rows.into_iter().map(row).collect();
    let mut rows = if name.is_empty() { rows } else { rank_entries(rows, &format!("{} {name}", action.id)) };
    rows.truncate(MAX_ENTRIES);
    rows
}

fn entries_on_subjects<'a>(
    m: &Model,
    action: &'static KeyAction,
    rest: &str,
    names: impl Iterator<Item = &'a str>,
    subject: fn(String) -> Subject,
) -> Vec<PaletteEntry> {
    let rows = names
        .map(|name| PaletteEntry {
            completion: format!("{} {name}", action.id),
            doc: action.doc.to_owned(),
            key: actions::key_label(action),
            ready: Readiness::Now,
            action: Some(action),
            subject: Some(subject(name.to_owned())),
            diff: None,
        })
        .collect::<Vec<_>>();
    let mut rows = if rest.trim().is_empty() { rows } else { rank_entries(rows, &format!("{} {rest}", action.id)) };
    rows.truncate(MAX_ENTRIES);
    // Only what is shown is asked whether it would work: a thousand groups stay quick.
    for row in rows.iter_mut().take(20) {
        if let Some(s) = &row.subject {
            row.ready = (action.ready)(&model_standing_on(m, s));
        }
    }
    rows
}

fn model_standing_on(m: &Model, subject: &Subject) -> Model {
    let mut there = m.clone();
    there.overlay = None;
    stand_on(&mut there, subject);
    there
}

/// Puts the cursor on a subject, so that actions act on it.
fn stand_on(m: &mut Model, subject: &Subject) {
    m.screen = Screen::Cockpit;
    match subject {
        Subject::Group(g) => {
            m.pane = Pane::Groups;
            m.filters.remove(&Pane::Groups.into());
            m.group = Some(g.clone());
        }
        Subject::Producer(p) => {
            m.pane = Pane::Producers;
            m.filters.remove(&Pane::Producers.into());
            m.producer = Some(p.clone());
        }
        Subject::Migration | Subject::Cluster(_) => {}
    }
}

fn rank_entries(rows: Vec<PaletteEntry>, typed: &str) -> Vec<PaletteEntry> {
    let mut matcher = Matcher::new(Config::DEFAULT);
    let pattern = Pattern::parse(typed.trim(), CaseMatching::Ignore, Normalization::Smart);
    // In a sentence scattered letters mean nothing: whole words only.
    let words = Pattern::new(typed.trim(), CaseMatching::Ignore, Normalization::Smart, AtomKind::Substring);
    let mut buf = Vec::new();
    let mut scored: Vec<(u32, PaletteEntry)> = rows
        .into_iter()
        .filter_map(|e| {
            // A hit in the name counts double: `jou` means the journal, not a sentence that mentions one.
            let name = pattern.score(Utf32Str::new(&e.completion, &mut buf), &mut matcher).map(|s| s * 2);
            let doc = words.score(Utf32Str::new(&e.doc, &mut buf), &mut matcher);
            name.max(doc).map(|s| (s, e))
        })
        .collect();
    scored.sort_by_key(|(s, e)| (std::cmp::Reverse(*s), e.ready != Readiness::Now));
    scored.into_iter().map(|(_, e)| e).take(MAX_ENTRIES).collect()
}

/// Which of the lines enter stands for: one that a person chose, else what was typed whole, else the only one that begins
/// so. Letters found anywhere run only what changes nothing; what is ambiguous runs nothing.
///
/// # Errors
/// It stands for none: what to do.
fn find_meant_entry(
    rows: &[PaletteEntry],
    typed: &str,
    selected: usize,
    picked: Option<&str>,
) -> Result<usize, String> {
    let want = typed.trim();
    if let Some(picked) = picked {
        // The lines are those of the newest picture: another one may stand in its place by now.
        let moved = || "The lines have moved since: choose again with up and down.".to_owned();
        return if rows[selected].completion == picked { Ok(selected) } else { Err(moved()) };
    }
    if want.is_empty() {
        return Err("type a name, or choose a line with up and down".to_owned());
    }
    let whole = rows
        .iter()
        .position(|e| e.completion == typed)
        .or_else(|| rows.iter().position(|e| e.completion.trim() == want));
    if let Some(whole) = whole {
        return Ok(whole);
    }
    let lower = want.to_lowercase();
    let mut begin = (0..rows.len()).filter(|i| rows[*i].completion.to_lowercase().starts_with(&lower));
    match (begin.next(), begin.count()) {
        (Some(only), 0) => Ok(only),
        (Some(_), more) => Err(format!("{} begin with `{want}`: tab completes, up and down choose", more + 1)),
        // The caller has held `selected` against these rows.
        (None, _) if rows[selected].is_harmless() => Ok(selected),
        (None, _) => Err(format!("nothing begins with `{want}`: up and down choose, tab completes")),
    }
}

/// Does what the chosen line says.
///
/// # Errors
/// What was typed does not say which: what to do about it, with the palette left open.
pub(crate) fn run_chosen_entry(
    m: &mut Model,
    typed: &str,
    selected: usize,
    picked: Option<&str>,
) -> Result<Vec<Cmd>, String> {
    let mut rows = list_entries(m, typed);
    if selected >= rows.len() {
        m.show_message(Tone::Hold, format!("There is no command `{}`; ? shows them all.", typed.trim()));
        return Ok(Vec::new());
    }
    let entry = rows.swap_remove(find_meant_entry(&rows, typed, selected, picked)?);
    Ok(carry_out_entry(m, entry))
}

fn carry_out_entry(m: &mut Model, entry: PaletteEntry) -> Vec<Cmd> {
    if let Some((what, range)) = entry.diff {
        return match (entry.ready, range) {
            (Readiness::NotNow(why), _) => {
                m.show_message(Tone::Hold, why);
                Vec::new()
            }
            (_, None) => verify::ask_range(m, what),
            (_, Some(range)) => match verify::parse_typed_range(&range, m.clock()) {
                Ok(span) => verify::start_diff(m, what, span, false),
                Err(why) => {
                    m.show_message(Tone::Hold, why);
                    Vec::new()
                }
            },
        };
    }
    match (entry.action, entry.subject) {
        (None, Some(subject)) => {
            actions::open(m, &subject);
            Vec::new()
        }
        (Some(action), subject) => {
            if let Some(subject) = subject {
                // Who stands on it already stays there, on its own screen too.
                if m.current_subject().as_ref() != Some(&subject) {
                    stand_on(m, &subject);
                }
            } else if let (false, Readiness::NotNow(why)) = (is_reachable(m, action), &entry.ready) {
                m.show_message(Tone::Hold, why.clone());
                return Vec::new();
            }
            super::update::perform_action(m, action)
        }
        (None, None) => Vec::new(),
    }
}
