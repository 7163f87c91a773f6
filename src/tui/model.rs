//! What the screens know: the newest snapshot, and where the person is in it. Plain values; no I/O, no clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use tui_input::Input;

use super::choose::Choose;
use super::dialog::{AskPurpose, Dialog};
use super::filter::Filter;
use super::hosting::{Sent, is_doing};
use super::partitions::{self, PartitionTable};
use super::theme::{Role, Theme};
use super::{text, words};
use crate::base::sanitise::visible_name;
use crate::base::{At, Person, Sides, TopicPartition};
use crate::estate::FlagState;
use crate::migration::facts::command::{Command, Subject};
use crate::migration::facts::overrides::GateName;
use crate::migration::facts::stage::{NextStep, SideState, Stage};
use crate::offsets::Cut;
use crate::snapshot::{Arming, DiffView, DiffWhat, GroupRow, JournalLine, Notice, ProducerRow, Snapshot};

/// Most requests whose answers are waited for at once; older ones are forgotten.
const MAX_PENDING: usize = 64;

/// Below this many columns nothing useful can be shown.
pub(crate) const MIN_COLUMNS: u16 = 60;
/// Below this many rows nothing useful can be shown.
pub(crate) const MIN_ROWS: u16 = 16;
/// How long letters do nothing after a dialog has closed by itself, ms: who types a phrase does not look up at each letter.
pub const DEAF_MS: u64 = 2_000;

/// What a screen is told before the first snapshot arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScreenOptions {
    /// Looks.
    pub theme: Theme,
    /// Who sits here; goes into the journal with every command.
    pub actor: Person,
    /// Started with `--read-only`: no command that changes anything is offered.
    pub read_only: bool,
    /// Name of the migration, for the first frame.
    pub migration: String,
    /// Bootstrap addresses, blue first, for the first frame.
    pub connecting: Sides<String>,
    /// Another process is the controller: leaving this screen stops nothing.
    pub attached: bool,
    /// Time zone of who sits here, by its IANA name.
    pub zone: String,
}

/// The tables of the cockpit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pane {
    /// Consumer groups.
    Groups,
    /// Producers.
    Producers,
    /// The journal.
    Journal,
    /// What should be read now.
    Notices,
}

impl Pane {
    /// All, in the order of their number keys.
    pub const ALL: [Pane; 4] = [Pane::Groups, Pane::Producers, Pane::Journal, Pane::Notices];
}

/// What fills the screen under the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Screen {
    /// Both clusters, and one table.
    Cockpit,
    /// One group: its partitions and its run.
    Group(String),
    /// One partition of a group, that under the cursor: why its offset is right.
    Partition(String),
    /// One producer: its topics and its run.
    Producer(String),
    /// The diff that is under way, or the last one.
    Verify,
    /// The migration calendar.
    Calendar,
    /// How green is set up beside blue.
    Parity,
}

/// The values of the records on a partition's screen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RecordValues {
    /// Nobody asked for them.
    #[default]
    Hidden,
    /// They are being read; the number of the question.
    Asked(u64),
    /// The records as they were read again.
    Shown(Cut),
    /// Why they could not be read.
    Failed(String),
}

/// A table that can be filtered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// One of the cockpit's.
    Pane(Pane),
    /// The partitions of a group's screen.
    Partitions,
}

impl From<Pane> for Table {
    fn from(pane: Pane) -> Self {
        Table::Pane(pane)
    }
}

/// Which part of a group's screen the keys move in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScreenFocus {
    /// The partition table.
    Partitions,
    /// The steps of the run.
    Run,
    /// What stands above the table, where there is no room for all of it.
    Top,
}

/// What lies over the screen and takes the keys.
#[derive(Debug, Clone)]
pub enum Overlay {
    /// All keys.
    Help {
        /// First line shown.
        scroll: usize,
        /// What is looked for.
        find: Input,
        /// Whether that is being typed.
        finding: bool,
    },
    /// Commands by name.
    Palette {
        /// What was typed.
        input: Input,
        /// Index of the chosen line.
        selected: usize,
        /// What that line said when a person chose it; `None` when it only came first.
        picked: Option<String>,
    },
    /// Typing a filter for the table.
    Filter {
        /// What was typed.
        input: Input,
    },
    /// Choosing a flag state for a producer.
    Route {
        /// Producer.
        producer: String,
        /// Index into [`ROUTES`].
        selected: usize,
    },
    /// Choosing which records are compared.
    Range {
        /// What is compared.
        what: DiffWhat,
        /// Index into [`super::verify::RANGES`].
        selected: usize,
    },
    /// Typing the word that does something at once.
    Say {
        /// What it does.
        saying: Saying,
        /// What was typed.
        input: Input,
        /// What was wrong with that.
        remark: Option<String>,
    },
    /// Choosing how a group's offsets are found.
    Choose(Box<Choose>),
    /// Typing why a gate that holds a command may be passed over.
    PassOver {
        /// The command.
        command: Command,
        /// The gate.
        gate: GateName,
        /// What holds.
        held: String,
        /// What was typed.
        input: Input,
    },
    /// Confirming a command.
    Confirm(Box<Dialog>),
    /// Leaving although something stops with it.
    Leave {
        /// What was typed.
        input: Input,
    },
}

/// What is done once its word was typed: none of it has a dialog of its own, and no single key may do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saying {
    /// `hold` and why.
    Hold(Subject),
    /// `resume`.
    Resume(Subject),
    /// `stop`: the diff that is under way.
    StopDiff,
}

impl Saying {
    /// The word to type.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Saying::Hold(_) => "hold",
            Saying::Resume(_) => "resume",
            Saying::StopDiff => "stop",
        }
    }
}

/// The flag states that a producer can be routed to, in the order of the way.
pub(crate) const ROUTES: [FlagState; 4] = [FlagState::Blue, FlagState::Dual, FlagState::Green, FlagState::Off];

/// How loud a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// It was done.
    Plain,
    /// Not now.
    Hold,
    /// It failed.
    Fail,
}

/// A message that stays until the next key, or for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flash {
    /// Words.
    pub text: String,
    /// How loud.
    pub tone: Tone,
    /// Shown until then.
    pub until: At,
}

/// Everything a view reads.
#[derive(Debug, Clone)]
pub struct Model {
    /// As started.
    pub options: ScreenOptions,
    /// The newest snapshot.
    pub snapshot: Option<Arc<Snapshot>>,
    /// When it arrived, by this screen's clock.
    pub snapshot_at: At,
    /// This screen's clock at the last message.
    pub now: At,
    /// When the screen was opened.
    pub started: At,
    /// Columns and rows.
    pub size: (u16, u16),
    /// What is shown.
    pub screen: Screen,
    /// Which table of the cockpit.
    pub pane: Pane,
    /// The group under the cursor, by id: rows may move under it.
    pub group: Option<String>,
    /// The producer under the cursor.
    pub producer: Option<String>,
    /// Journal and notices: lines up from the newest.
    pub back: usize,
    /// The partition under the cursor, by name: rows are sorted by what needs a person. `None`: the first.
    pub partition: Option<TopicPartition>,
    /// First line shown of a partition's screen.
    pub scroll: usize,
    /// The values of a partition's records at the cut, where they were asked for; gone with the screen.
    pub values: RecordValues,
    /// The row under the cursor of the diff's screen.
    pub diff_at: usize,
    /// The line under the cursor of the parity screen.
    pub parity_at: usize,
    /// What the cursor of the calendar stands on.
    pub planned: Option<Subject>,
    /// The screen that the diff's or the calendar was opened from, or the calendar, from which another was.
    pub came_from: Option<Screen>,
    /// Which part of a group's screen has the focus.
    pub focus: ScreenFocus,
    /// The first step of a run that is shown, where a person chose it; `None`: where it stands is in sight.
    pub run_from: Option<usize>,
    /// Filters by table.
    pub filters: BTreeMap<Table, String>,
    /// What lies over the screen.
    pub overlay: Option<Overlay>,
    /// The message line.
    pub flash: Option<Flash>,
    /// Letters do nothing until then: they were meant for what has closed by itself.
    pub deaf_until: At,
    /// The controller has stopped sending.
    pub controller_gone: bool,
    /// Questions whose answers are waited for, with what to say of them.
    pub pending: BTreeMap<u64, AskPurpose>,
    /// Commands whose effect no picture shows yet.
    pub sent: Sent,
    /// Next question number.
    pub next_id: u64,
}

impl Model {
    /// A screen before anything is known.
    #[must_use]
    pub fn new(options: ScreenOptions, size: (u16, u16), now: At) -> Self {
        Self {
            options,
            snapshot: None,
            snapshot_at: now,
            now,
            started: now,
            size,
            screen: Screen::Cockpit,
            pane: Pane::Groups,
            group: None,
            producer: None,
            back: 0,
            partition: None,
            scroll: 0,
            values: RecordValues::Hidden,
            diff_at: 0,
            parity_at: 0,
            planned: None,
            came_from: None,
            focus: ScreenFocus::Partitions,
            run_from: None,
            filters: BTreeMap::new(),
            overlay: None,
            flash: None,
            deaf_until: now,
            controller_gone: false,
            pending: BTreeMap::new(),
            sent: Sent::default(),
            next_id: 1,
        }
    }

    /// The looks.
    #[must_use]
    pub fn theme(&self) -> &Theme {
        &self.options.theme
    }

    /// The controller's clock now: ages of facts are counted from here, and go on when no snapshot comes.
    #[must_use]
    pub fn clock(&self) -> At {
        self.snapshot.as_ref().map_or(self.now, |s| s.now.plus(self.now.since(self.snapshot_at)))
    }

    /// Age of the newest snapshot, ms.
    #[must_use]
    pub(crate) fn snapshot_age(&self) -> u64 {
        self.now.since(self.snapshot_at)
    }

    /// Why nothing of both clusters together is known now: one is another cluster, is stale or was never seen, or the
    /// controller's last picture is old. While that is so nothing is shown as proven or ready.
    #[must_use]
    pub fn why_untrusted(&self) -> Option<String> {
        let s = self.snapshot.as_ref()?;
        self.why_unheard().or_else(|| s.why_untrusted(self.clock()))
    }

    /// Why the controller's last picture is no picture of now: it has stopped, or has said nothing for too long.
    #[must_use]
    pub(crate) fn why_unheard(&self) -> Option<String> {
        let age = self.snapshot_age();
        match self.controller_gone {
            true => Some("the controller has stopped".into()),
            false => (age > self.stale_after())
                .then(|| format!("the controller was last heard {} ago", text::format_age(age))),
        }
    }

    /// What comes next for a group or producer as its row shows it now: nothing is ready while that can't be known.
    #[must_use]
    pub(crate) fn next_of<'a>(&self, next: &'a NextStep) -> &'a str {
        if next.ready && self.why_untrusted().is_some() { "not known" } else { &next.words }
    }

    /// The way back of a group as its row shows it now.
    #[must_use]
    pub(crate) fn way_back_of(&self, g: &GroupRow) -> (Role, String) {
        match words::describe_way_back_of(g) {
            (role, words) if words.is_empty() || role == Role::Dim || self.why_untrusted().is_none() => (role, words),
            _ => (Role::Unknown, "UNKNOWN".into()),
        }
    }

    /// An observation older than this is stale, ms.
    #[must_use]
    pub(crate) fn stale_after(&self) -> u64 {
        self.snapshot.as_ref().map_or(10_000, |s| s.header.stale_after_ms)
    }

    /// Whether commands that change anything are refused, by this screen or by its controller.
    #[must_use]
    pub fn read_only(&self) -> bool {
        self.options.read_only
            || self.snapshot.as_ref().is_some_and(|s| matches!(s.header.arming, Arming::ReadOnly { .. }))
    }

    /// The table that the keys move in.
    #[must_use]
    pub fn table(&self) -> Table {
        match self.screen {
            Screen::Group(_) | Screen::Partition(_) => Table::Partitions,
            Screen::Cockpit | Screen::Producer(_) | Screen::Verify | Screen::Calendar | Screen::Parity => {
                Table::Pane(self.pane)
            }
        }
    }

    /// The filter of a table; empty when there is none.
    #[must_use]
    pub fn filter(&self, table: impl Into<Table>) -> &str {
        let table = table.into();
        match &self.overlay {
            Some(Overlay::Filter { input }) if self.table() == table => input.value(),
            _ => self.filters.get(&table).map_or("", String::as_str),
        }
    }

    /// The partitions of the group that keys act on, as shown.
    #[must_use]
    pub fn partition_rows(&self) -> PartitionTable<'_> {
        self.current_group().map_or_else(PartitionTable::default, |g| partitions::shown_partitions(self, g))
    }

    /// Groups as shown: filtered, and what needs a person first.
    #[must_use]
    pub fn groups(&self) -> Vec<&GroupRow> {
        let Some(s) = &self.snapshot else { return Vec::new() };
        let filter = Filter::new(self.filter(Pane::Groups));
        let mut rows: Vec<&GroupRow> = s
            .groups
            .iter()
            .filter(|g| {
                let (name, team) = (visible_name(&g.group), visible_name(&g.team));
                filter.matches(&[&name, &team, &words::group_state(g).word, &g.next.words])
            })
            .collect();
        rows.sort_by_key(|g| group_rank(g));
        rows
    }

    /// Producers as shown.
    #[must_use]
    pub fn producers(&self) -> Vec<&ProducerRow> {
        let Some(s) = &self.snapshot else { return Vec::new() };
        let filter = Filter::new(self.filter(Pane::Producers));
        let mut rows: Vec<&ProducerRow> = s
            .producers
            .iter()
            .filter(|p| {
                filter.matches(&[&visible_name(&p.name), &visible_name(&p.team), &p.topics.join(" "), &p.next.words])
            })
            .collect();
        rows.sort_by_key(|p| producer_rank(p));
        rows
    }

    /// Journal lines as shown, oldest first.
    #[must_use]
    pub fn journal(&self) -> Vec<&JournalLine> {
        let Some(s) = &self.snapshot else { return Vec::new() };
        let filter = Filter::new(self.filter(Pane::Journal));
        s.journal.iter().filter(|l| filter.matches(&[&l.text, &visible_name(&l.actor), &l.about()])).collect()
    }

    /// Notices as shown, worst and newest last.
    #[must_use]
    pub fn notices(&self) -> Vec<&Notice> {
        let Some(s) = &self.snapshot else { return Vec::new() };
        let filter = Filter::new(self.filter(Pane::Notices));
        s.notices.iter().filter(|n| filter.matches(&[&n.trouble.what, &n.subject.short_name()])).collect()
    }

    /// A group of the snapshot by id.
    #[must_use]
    pub(crate) fn group_row(&self, id: &str) -> Option<&GroupRow> {
        self.snapshot.as_ref()?.groups.iter().find(|g| g.group == id)
    }

    /// A producer of the snapshot by name.
    #[must_use]
    pub(crate) fn producer_row(&self, name: &str) -> Option<&ProducerRow> {
        self.snapshot.as_ref()?.producers.iter().find(|p| p.name == name)
    }

    /// The diff that is under way, or the last one.
    #[must_use]
    pub fn diff(&self) -> Option<&DiffView> {
        self.snapshot.as_ref()?.diff.as_ref()
    }

    /// The group that keys act on: the one of the screen, or the one under the cursor.
    #[must_use]
    pub fn current_group(&self) -> Option<&GroupRow> {
        match &self.screen {
            Screen::Group(id) | Screen::Partition(id) => self.group_row(id),
            Screen::Cockpit if self.pane == Pane::Groups => {
                let rows = self.groups();
                rows.get(self.group_index(&rows)).copied()
            }
            _ => None,
        }
    }

    /// The producer that keys act on.
    #[must_use]
    pub(crate) fn current_producer(&self) -> Option<&ProducerRow> {
        match &self.screen {
            Screen::Producer(name) => self.producer_row(name),
            Screen::Cockpit if self.pane == Pane::Producers => {
                let rows = self.producers();
                rows.get(self.producer_index(&rows)).copied()
            }
            _ => None,
        }
    }

    /// What keys act on.
    #[must_use]
    pub(crate) fn current_subject(&self) -> Option<Subject> {
        self.current_group()
            .map(|g| Subject::Group(g.group.clone()))
            .or_else(|| self.current_producer().map(|p| Subject::Producer(p.name.clone())))
    }

    /// Index of the cursor in the rows shown; the first row when the chosen one is gone.
    #[must_use]
    pub(crate) fn group_index(&self, rows: &[&GroupRow]) -> usize {
        self.group.as_ref().and_then(|id| rows.iter().position(|r| r.group == *id)).unwrap_or(0)
    }

    /// The same for producers.
    #[must_use]
    pub(crate) fn producer_index(&self, rows: &[&ProducerRow]) -> usize {
        self.producer.as_ref().and_then(|n| rows.iter().position(|r| r.name == *n)).unwrap_or(0)
    }

    /// How many rows wait for a person.
    #[must_use]
    pub(crate) fn count_needing_you(&self) -> usize {
        let Some(s) = &self.snapshot else { return 0 };
        let waits = |state: &Option<SideState>| matches!(state, Some(SideState::NeedsOperator { .. }));
        s.groups.iter().filter(|g| waits(&g.side_state)).count()
            + s.producers.iter().filter(|p| waits(&p.side_state)).count()
    }

    /// A fresh question number, remembered with what to say of it.
    pub(crate) fn ask_id(&mut self, about: AskPurpose) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        if self.pending.len() >= MAX_PENDING {
            self.pending.pop_first();
        }
        self.pending.insert(id, about);
        id
    }

    /// Whether the terminal is too small for anything to be seen on it.
    #[must_use]
    pub fn too_small(&self) -> bool {
        self.size.0 < MIN_COLUMNS || self.size.1 < MIN_ROWS
    }

    /// Lets letters do nothing for a while: what they were meant for has closed, or changed, by itself.
    pub(crate) fn be_deaf(&mut self) {
        self.deaf_until = self.deaf_until.max(self.now.plus(DEAF_MS));
    }

    /// Says something in the message line.
    pub(crate) fn show_message(&mut self, tone: Tone, text: impl Into<String>) {
        let text = text.into();
        // Long enough to read: 60 ms a letter, at least 6 s.
        let ms = (text.len() as u64).saturating_mul(60).max(6_000);
        self.flash = Some(Flash { text, tone, until: self.now.plus(ms) });
    }
}

fn side_rank(state: &Option<SideState>) -> u8 {
    match state {
        Some(SideState::NeedsOperator { .. }) => 0,
        Some(SideState::Blocked { .. }) => 2,
        Some(SideState::Held { .. }) => 3,
        None => 4,
    }
}

/// What needs a person, then what moves, then what is stopped, then the plan, then the rest.
fn group_rank(g: &GroupRow) -> u8 {
    match side_rank(&g.side_state) {
        0 => 0,
        _ if matches!(g.stage, Stage::Moving { .. }) => 1,
        4 if !g.listed => 6,
        4 if g.blue.stuck || g.green.stuck => 2,
        r => r,
    }
}

fn producer_rank(p: &ProducerRow) -> u8 {
    match side_rank(&p.side_state) {
        0 => 0,
        _ if p.run.as_ref().is_some_and(is_doing) => 1,
        4 if p.disagreement.is_some() => 2,
        r => r,
    }
}
