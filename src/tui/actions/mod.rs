//! The registry: each thing a key can do is one row of one table ([`ACTIONS`]). Dispatch, footer, help, palette and
//! `docs/keys.md` all come from it.

mod asks;
mod over;
mod places;
mod ready;
mod table;

use std::fmt::Write as _;
use std::sync::OnceLock;

use crokey::KeyCombination;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

pub use table::ACTIONS;

use super::choose::ChoiceStep;
use super::model::{Model, Overlay, Pane, Screen};
use super::update::Cmd;

pub(super) use asks::measure_anew;
pub(super) use over::close_overlay;
pub(super) use places::open_subject as open;

/// Where a key works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::AsRefStr, strum::VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum Scope {
    /// Everywhere, unless something is being typed or confirmed.
    Global,
    /// The cockpit's tables.
    Cockpit,
    /// The table of groups.
    Groups,
    /// The table of producers.
    Producers,
    /// The journal.
    Journal,
    /// The notices.
    Notices,
    /// One group's screen.
    Group,
    /// One partition's screen.
    Partition,
    /// One producer's screen.
    Producer,
    /// The confirm dialog.
    Confirm,
    /// The screen of the diff.
    Verify,
    /// The calendar.
    Calendar,
    /// The screen of how green is set up.
    Parity,
    /// Choosing a flag state.
    Route,
    /// Choosing which records are compared.
    Range,
    /// Choosing how offsets are found.
    Choose,
    /// Typing why something is held, why a strategy is chosen, or a moment.
    Why,
    /// The command palette.
    Palette,
    /// Typing a filter.
    Filter,
    /// Help.
    Help,
    /// Leaving although something stops with it.
    Leave,
}

impl Scope {
    /// Its heading in help and docs.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Scope::Global => "Everywhere",
            Scope::Cockpit => "In the tables",
            Scope::Groups => "On a group",
            Scope::Producers => "On a producer",
            Scope::Journal => "In the journal",
            Scope::Notices => "In the notices",
            Scope::Group => "On a group's screen",
            Scope::Partition => "On a partition's screen",
            Scope::Producer => "On a producer's screen",
            Scope::Confirm => "In the confirm dialog",
            Scope::Verify => "On the diff's screen",
            Scope::Calendar => "In the calendar",
            Scope::Parity => "On the parity screen",
            Scope::Route => "Choosing a flag state",
            Scope::Range => "Choosing which records are compared",
            Scope::Choose => "Choosing how offsets are found",
            Scope::Why => "Typing a reason or a moment",
            Scope::Palette => "In the palette",
            Scope::Filter => "Typing a filter",
            Scope::Help => "In this help",
            Scope::Leave => "Leaving although something stops",
        }
    }
}

/// What an action can do to an estate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::AsRefStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Danger {
    /// Moves about the screens.
    None,
    /// Asks the clusters; changes nothing.
    Reads,
    /// Writes a file beside the plan.
    Writes,
    /// Writes to the journal only.
    Journals,
    /// Changes the estate, after a dialog.
    Changes,
}

impl Danger {
    fn describe_danger(self) -> &'static str {
        match self {
            Danger::None => "",
            Danger::Reads => "reads the clusters",
            Danger::Writes => "writes a file",
            Danger::Journals => "writes the journal",
            Danger::Changes => "changes the estate, after a dialog",
        }
    }
}

/// Whether an action works now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It does.
    Now,
    /// Not now, and why, with what to do about it.
    NotNow(String),
    /// There is nothing for it to act on.
    No,
}

/// One row of the registry.
pub struct KeyAction {
    /// Stable name: what one types in the palette.
    pub id: &'static str,
    /// What it does, in a sentence.
    pub doc: &'static str,
    /// What the footer calls it.
    pub word: &'static str,
    /// Default keys, in crokey's words.
    pub keys: &'static [&'static str],
    /// Where it works.
    pub scopes: &'static [Scope],
    /// What it can do to an estate.
    pub danger: Danger,
    /// Place in the footer; 0: not shown there.
    pub footer: u8,
    /// Whether it works now.
    pub ready: fn(&Model) -> Readiness,
    /// Does it.
    pub run: fn(&mut Model) -> Vec<Cmd>,
}

impl std::fmt::Debug for KeyAction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Action").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The scopes that hold now, the narrowest first.
#[must_use]
pub(crate) fn list_scopes(m: &Model) -> Vec<Scope> {
    match (&m.overlay, &m.screen, m.pane) {
        (Some(Overlay::Help { finding: false, .. }), ..) => vec![Scope::Help],
        (Some(Overlay::Help { finding: true, .. }), ..) => vec![Scope::Filter],
        (Some(Overlay::Palette { .. }), ..) => vec![Scope::Palette],
        (Some(Overlay::Filter { .. }), ..) => vec![Scope::Filter],
        (Some(Overlay::Route { .. }), ..) => vec![Scope::Route],
        (Some(Overlay::Range { .. }), ..) => vec![Scope::Range],
        (Some(Overlay::Choose(c)), ..) if c.step == ChoiceStep::Strategy => vec![Scope::Choose],
        (Some(Overlay::Say { .. } | Overlay::Choose(_) | Overlay::PassOver { .. }), ..) => vec![Scope::Why],
        (Some(Overlay::Confirm(_)), ..) => vec![Scope::Confirm],
        (Some(Overlay::Leave { .. }), ..) => vec![Scope::Leave],
        (None, Screen::Group(_), _) => vec![Scope::Group, Scope::Global],
        (None, Screen::Partition(_), _) => vec![Scope::Partition, Scope::Global],
        (None, Screen::Producer(_), _) => vec![Scope::Producer, Scope::Global],
        (None, Screen::Verify, _) => vec![Scope::Verify, Scope::Global],
        (None, Screen::Calendar, _) => vec![Scope::Calendar, Scope::Global],
        (None, Screen::Parity, _) => vec![Scope::Parity, Scope::Global],
        (None, Screen::Cockpit, Pane::Groups) => vec![Scope::Groups, Scope::Cockpit, Scope::Global],
        (None, Screen::Cockpit, Pane::Producers) => vec![Scope::Producers, Scope::Cockpit, Scope::Global],
        (None, Screen::Cockpit, Pane::Journal) => vec![Scope::Journal, Scope::Cockpit, Scope::Global],
        (None, Screen::Cockpit, Pane::Notices) => vec![Scope::Notices, Scope::Cockpit, Scope::Global],
    }
}

/// The key as the table has it: what Shift did to a character is in the character already.
#[must_use]
pub(crate) fn combination_of(key: KeyEvent) -> KeyCombination {
    let mut key = key;
    // Letters keep it: the table writes `shift-g`.
    if let KeyCode::Char(c) = key.code
        && !c.is_ascii_alphabetic()
    {
        key.modifiers.remove(KeyModifiers::SHIFT);
    }
    KeyCombination::from(key)
}

/// The parsed keys of each row, in the order of the table.
fn parsed_keys() -> &'static [Vec<KeyCombination>] {
    static KEYS: OnceLock<Vec<Vec<KeyCombination>>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let parse = |k: &&str| crokey::parse(k).ok().map(KeyCombination::normalized);
        ACTIONS.iter().map(|a| a.keys.iter().filter_map(parse).collect()).collect()
    })
}

/// The action that a key stands for now, in the narrowest scope, passing over those with nothing to act on.
#[must_use]
pub fn find_action(m: &Model, key: KeyEvent) -> Option<&'static KeyAction> {
    let combination = combination_of(key);
    let keys = parsed_keys();
    list_scopes(m).into_iter().find_map(|scope| {
        ACTIONS
            .iter()
            .zip(keys)
            .filter(|(a, keys)| a.scopes.contains(&scope) && keys.contains(&combination))
            .map(|(a, _)| a)
            .find(|a| (a.ready)(m) != Readiness::No)
    })
}

/// An action by its id.
#[must_use]
pub(crate) fn find_by_id(id: &str) -> Option<&'static KeyAction> {
    ACTIONS.iter().find(|a| a.id == id)
}

/// The keys that work now, in the footer's order.
#[must_use]
pub fn list_footer_actions(m: &Model) -> Vec<&'static KeyAction> {
    let scopes = list_scopes(m);
    let mut rows: Vec<&KeyAction> = ACTIONS
        .iter()
        .filter(|a| a.footer > 0 && a.scopes.iter().any(|s| scopes.contains(s)) && (a.ready)(m) == Readiness::Now)
        .collect();
    rows.sort_by_key(|a| a.footer);
    rows
}

/// The first key of an action as people read it: `esc`, `c`, `ctrl-l`.
#[must_use]
pub(crate) fn key_label(a: &KeyAction) -> &'static str {
    a.keys.first().copied().unwrap_or("")
}

/// All keys of an action, for help.
#[must_use]
pub(crate) fn keys_label(a: &KeyAction) -> String {
    a.keys.join(" ")
}

/// `docs/keys.md`, made from the table.
#[must_use]
pub fn render_keys_page() -> String {
    use strum::VariantArray;
    let mut out = String::from(
        "# Keys\n\nMade from the action registry (`src/tui/actions/table.rs`); a test keeps the two the same.\n\
         In the cockpit, `?` shows those that work where you are, and `:` runs each by its name.\n",
    );
    for scope in Scope::VARIANTS {
        let rows: Vec<&KeyAction> = ACTIONS.iter().filter(|a| a.scopes.contains(scope)).collect();
        if rows.is_empty() {
            continue;
        }
        let _ = write!(out, "\n## {}\n\n| keys | name | what it does | |\n|---|---|---|---|\n", scope.title());
        for a in rows {
            let keys = a.keys.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(" ");
            let _ = writeln!(out, "| {keys} | {} | {} | {} |", a.id, a.doc, a.danger.describe_danger());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use strum::VariantArray;

    #[test]
    fn every_key_parses_and_no_two_actions_of_a_scope_share_one() {
        for a in ACTIONS {
            for k in a.keys {
                assert!(crokey::parse(k).is_ok(), "{}: {k}", a.id);
            }
        }
        for scope in Scope::VARIANTS {
            let mut seen = BTreeSet::new();
            for a in ACTIONS.iter().filter(|a| a.scopes.contains(scope)) {
                for k in a.keys {
                    assert!(seen.insert(*k), "{}: {k} is taken in {scope:?}", a.id);
                }
            }
        }
    }

    #[test]
    fn ids_are_kebab_case_and_unique() {
        let mut seen = BTreeSet::new();
        for a in ACTIONS {
            assert!(a.id.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", a.id);
            assert!(seen.insert(a.id), "{} twice", a.id);
            assert!(!a.doc.is_empty() && !a.word.is_empty() && !a.keys.is_empty(), "{}", a.id);
        }
    }

    #[test]
    fn shift_is_in_the_character_already() {
        let q = KeyEvent::new(KeyCode::Char('?'), KeyModifiers::SHIFT);
        assert_eq!(combination_of(q), combination_of(KeyEvent::new(KeyCode::Char('?'), KeyModifiers::NONE)));
    }
}
