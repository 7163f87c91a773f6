//! One message in, the model changed, what is to be done outside out. Pure: time comes with the message.

use std::sync::Arc;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use super::actions::{self, KeyAction, Readiness};
use super::choose::ChoiceStep;
use super::dialog::{self, AskPurpose, Phase};
use super::model::{Model, Overlay, RecordValues, ScreenFocus, Tone};
use super::words;
use crate::base::At;
use crate::migration::facts::command::{Command, Level, Refusal};
use crate::snapshot::{Ask, Reply, Snapshot};

/// How long the controller may take to answer before the dialog says so, ms.
pub(crate) const ANSWER_MS: u64 = 10_000;
/// Most letters of a typed line; a phrase that is longer can be typed all the same.
const MAX_TYPED: usize = 300;

/// What happens to a screen.
#[derive(Debug, Clone)]
pub enum Msg {
    /// A key.
    Key(KeyEvent, At),
    /// Bracketed paste.
    Paste(String, At),
    /// The terminal's size: columns, rows.
    Resize(u16, u16),
    /// A newer snapshot.
    Snapshot(Arc<Snapshot>, At),
    /// An answer of the controller.
    Reply(Reply, At),
    /// Time passes.
    Tick(At),
    /// The terminal is ours again after ctrl-z; false: nobody was there to take it.
    Continued(bool, At),
    /// The terminal said how light its background is: true for a light one.
    Background(bool),
    /// A question could not be sent: the controller does not keep up.
    Unsent(Ask),
    /// The controller has gone; what is shown ages.
    ControllerGone,
}

/// What is to be done outside.
#[derive(Debug, Clone, PartialEq)]
pub enum Cmd {
    /// Send this to the controller.
    Ask(Ask),
    /// Put this on the person's clipboard.
    Copy(String),
    /// Draw everything again.
    Redraw,
    /// Give the terminal back to the shell until it continues us.
    Suspend,
    /// Leave.
    Quit,
}

/// Takes one message in.
pub fn update(m: &mut Model, msg: Msg) -> Vec<Cmd> {
    let cmds = handle_message(m, msg);
    // Whatever sent it: from now on something may be under way that the picture does not show.
    m.sent.note_commands(&cmds);
    cmds
}

fn handle_message(m: &mut Model, msg: Msg) -> Vec<Cmd> {
    match msg {
        Msg::Key(key, at) => {
            m.now = m.now.max(at);
            on_key(m, key)
        }
        Msg::Paste(text, at) => {
            m.now = m.now.max(at);
            on_paste(m, &text);
            Vec::new()
        }
        Msg::Resize(columns, rows) => {
            m.size = (columns, rows);
            Vec::new()
        }
        Msg::Snapshot(snapshot, at) => {
            m.now = m.now.max(at);
            on_snapshot(m, snapshot)
        }
        Msg::Reply(reply, at) => {
            m.now = m.now.max(at);
            on_reply(m, reply)
        }
        Msg::Tick(at) => {
            m.now = m.now.max(at);
            on_tick(m)
        }
        Msg::Continued(stopped, at) => {
            m.now = m.now.max(at);
            if !stopped {
                m.show_message(Tone::Hold, "ctrl-z: there is no shell here that could take the terminal.");
                m.be_deaf();
            }
            Vec::new()
        }
        Msg::Background(light) => {
            m.options.theme = m.options.theme.on_background(light);
            Vec::new()
        }
        Msg::Unsent(ask) => {
            on_unsent(m, &ask);
            Vec::new()
        }
        Msg::ControllerGone => {
            m.controller_gone = true;
            Vec::new()
        }
    }
}

/// Does an action, or says why not.
pub(crate) fn perform_action(m: &mut Model, action: &KeyAction) -> Vec<Cmd> {
    match (action.ready)(m) {
        Readiness::Now => (action.run)(m),
        Readiness::NotNow(why) => {
            m.show_message(Tone::Hold, why);
            Vec::new()
        }
        Readiness::No => {
            m.show_message(Tone::Hold, format!("{}: there is nothing here that it could act on.", action.id));
            Vec::new()
        }
    }
}

fn on_key(m: &mut Model, key: KeyEvent) -> Vec<Cmd> {
    // Windows and terminals with the kitty protocol tell that a key was let go, too: it was handled when it went down.
    if key.kind == KeyEventKind::Release {
        return Vec::new();
    }
    if m.too_small() {
        return handle_unseen_key(m, key);
    }
    if falls_on_deaf_ears(m, key) {
        // Who goes on typing still means what has closed: the time begins anew.
        m.be_deaf();
        if m.flash.is_none() {
            m.show_message(Tone::Hold, "What was typed was meant for what is not there any more: dropped.");
        }
        return Vec::new();
    }
    m.flash = None;
    if let Some(Overlay::Confirm(d)) = &mut m.overlay {
        d.last_key = m.now;
        let leaving = actions::find_action(m, key).is_some_and(|a| matches!(a.id, "close" | "leave-anyway"));
        if let Some(Overlay::Confirm(d)) = &mut m.overlay
            && !leaving
            && d.typed_ahead(m.now)
        {
            d.remark = Some("typed ahead: dropped".to_owned());
            return Vec::new();
        }
    }
    if let Some(action) = actions::find_action(m, key) {
        return perform_action(m, action);
    }
    type_key(m, key);
    Vec::new()
}

/// Where nothing can be seen nothing is done, and nothing is typed.
fn handle_unseen_key(m: &mut Model, key: KeyEvent) -> Vec<Cmd> {
    let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
    let blind = |a: &&KeyAction| matches!(a.id, "leave" | "leave-anyway" | "redraw" | "suspend");
    actions::find_action(m, key)
        .filter(|_| ctrl)
        .filter(blind)
        .map_or_else(Vec::new, |action| perform_action(m, action))
}

/// Whether a key would say something: a letter, or enter. Keys that move, leave or close do not.
fn is_word(key: KeyEvent) -> bool {
    let held = key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
    !held && matches!(key.code, KeyCode::Char(_) | KeyCode::Enter)
}

/// Whether a key belongs to what was being typed when its dialog closed or changed by itself. In a dialog that was
/// refused enter only asks again, and a line that is typed takes any letter.
fn falls_on_deaf_ears(m: &Model, key: KeyEvent) -> bool {
    let speaks = match &m.overlay {
        None | Some(Overlay::Route { .. } | Overlay::Range { .. }) => is_word(key),
        Some(Overlay::Choose(c)) if c.step == ChoiceStep::Strategy => is_word(key),
        Some(Overlay::Confirm(d)) if matches!(d.phase, Phase::Refused(_)) => is_word(key) && key.code != KeyCode::Enter,
        Some(_) => false,
    };
    speaks && m.now < m.deaf_until
}

/// The line that is being typed, if one is.
fn input_being_typed(m: &mut Model) -> Option<&mut Input> {
    match m.overlay.as_mut()? {
        Overlay::Palette { input, selected, picked } => {
            (*selected, *picked) = (0, None);
            Some(input)
        }
        Overlay::Help { scroll, find, finding: true } => {
            *scroll = 0;
            Some(find)
        }
        Overlay::Say { input, remark, .. } => {
            *remark = None;
            Some(input)
        }
        Overlay::Filter { input } | Overlay::PassOver { input, .. } | Overlay::Leave { input } => Some(input),
        Overlay::Confirm(d) => {
            d.remark = None;
            (d.phase == Phase::Shown && d.phrase().is_some()).then_some(&mut d.input)
        }
        Overlay::Choose(c) => {
            c.remark = None;
            (c.step != ChoiceStep::Strategy).then_some(&mut c.input)
        }
        Overlay::Help { finding: false, .. } | Overlay::Route { .. } | Overlay::Range { .. } => None,
    }
}

/// Most letters of the line that is being typed.
fn max_typed_letters(m: &Model) -> usize {
    match &m.overlay {
        Some(Overlay::Confirm(d)) => d.phrase().map_or(0, |phrase| phrase.chars().count()).max(MAX_TYPED),
        _ => MAX_TYPED,
    }
}

fn type_key(m: &mut Model, key: KeyEvent) {
    let most = max_typed_letters(m);
    let Some(input) = input_being_typed(m) else {
        // Letters that choose nothing are no choice: neither is the enter behind them.
        let choosing = matches!(m.overlay, Some(Overlay::Route { .. } | Overlay::Range { .. } | Overlay::Choose(_)));
        if choosing && is_word(key) {
            m.be_deaf();
        }
        return;
    };
    let before = input.clone();
    input.handle_event(&Event::Key(key));
    if input.value().chars().count() > most {
        *input = before;
    }
}

fn on_paste(m: &mut Model, text: &str) {
    if m.too_small() {
        return;
    }
    if let Some(Overlay::Confirm(d)) = &mut m.overlay {
        d.last_key = m.now;
        d.remark = Some("pasted: dropped; type it".to_owned());
        return;
    }
    // The first line only: a pasted line break must never say yes.
    let line: String = text.lines().next().unwrap_or("").chars().filter(|c| !c.is_control()).collect();
    if let Some(input) = input_being_typed(m) {
        let room = MAX_TYPED.saturating_sub(input.value().chars().count());
        let line: String = line.chars().take(room).collect();
        *input = Input::new(format!("{}{line}", input.value()));
    }
}

fn on_snapshot(m: &mut Model, snapshot: Arc<Snapshot>) -> Vec<Cmd> {
    // Another process may be the controller by now: it counts from 1 again.
    if m.snapshot.as_ref().is_some_and(|s| s.seq > snapshot.seq && s.header.pid == snapshot.header.pid) {
        return Vec::new();
    }
    let is_older = |s: &Arc<Snapshot>| s.seq < snapshot.seq || s.header.pid != snapshot.header.pid;
    if m.snapshot.as_ref().is_none_or(is_older) {
        m.sent.note_picture();
    }
    m.snapshot = Some(snapshot);
    m.snapshot_at = m.now;
    m.controller_gone = false;
    ask_with_new_measurement(m)
}

/// When the measurement that a dialog shows was made.
fn measured_at(m: &Model, command: &Command) -> Option<At> {
    let (group, _) = dialog::estimate_shown_for(command)?;
    let row = m.group_row(group).filter(|g| dialog::is_measured_for(g, command))?;
    row.estimate.as_ref()?.at()
}

/// A newer measurement changes what the dialog rests on: what would it do now?
fn ask_with_new_measurement(m: &mut Model) -> Vec<Cmd> {
    let Some(Overlay::Confirm(d)) = &m.overlay else { return Vec::new() };
    let at = measured_at(m, &d.command);
    if d.phase != Phase::Shown || d.refreshing.is_some() || at == d.measured_at {
        return Vec::new();
    }
    let command = d.command.clone();
    let id = m.ask_id(AskPurpose::Seen);
    if let Some(Overlay::Confirm(d)) = &mut m.overlay {
        (d.refreshing, d.measured_at) = (Some(id), at);
    }
    vec![Cmd::Ask(Ask::Prepare { id, command })]
}

fn on_reply(m: &mut Model, reply: Reply) -> Vec<Cmd> {
    match reply {
        Reply::Prepared { id, result } => {
            m.pending.remove(&id);
            let now = m.now;
            let Some(Overlay::Confirm(d)) = &m.overlay else { return Vec::new() };
            let at = measured_at(m, &d.command);
            let Some(Overlay::Confirm(d)) = &mut m.overlay else { return Vec::new() };
            if d.refreshing == Some(id) && d.phase == Phase::Shown {
                let refused = result.is_err();
                d.take_new_answer(result, now);
                if refused {
                    m.be_deaf();
                }
                return Vec::new();
            }
            if d.question != id || d.phase != Phase::Asking {
                return Vec::new();
            }
            d.take_answer(result, now);
            d.measured_at = at;
            let bare = matches!(d.prepared.as_ref().map(|p| &p.level), Some(Level::None));
            if bare && d.phase == Phase::Shown { confirm_at_once(m) } else { Vec::new() }
        }
        Reply::Executed { id, result } => on_executed(m, id, result),
        Reply::Records { id, result } => {
            m.pending.remove(&id);
            if m.values == RecordValues::Asked(id) {
                m.values = match result {
                    Ok(cut) => RecordValues::Shown(cut),
                    Err(r) => RecordValues::Failed(words::to_sentence(&r.why, &r.advice)),
                };
            }
            Vec::new()
        }
        Reply::Diff { id, result } => {
            m.pending.remove(&id);
            if let Err(r) = result {
                m.show_message(Tone::Hold, words::to_sentence(&r.why, &r.advice));
            }
            Vec::new()
        }
        Reply::Exported { id, result } => {
            on_exported(m, id, result);
            Vec::new()
        }
    }
}

/// A command that needs no confirmation is sent as soon as it is known to need none.
fn confirm_at_once(m: &mut Model) -> Vec<Cmd> {
    let id = m.ask_id(AskPurpose::Command("run".to_owned()));
    let Some(Overlay::Confirm(d)) = &mut m.overlay else { return Vec::new() };
    d.confirm(&m.options.actor, id, m.now).map(Cmd::Ask).into_iter().collect()
}

fn on_executed(m: &mut Model, id: u64, result: Result<Option<u64>, Refusal>) -> Vec<Cmd> {
    let about = m.pending.remove(&id).unwrap_or_default();
    m.sent.note_answer(id, result.is_ok());
    let now = m.now;
    if let Some(Overlay::Confirm(d)) = &mut m.overlay
        && d.question == id
        && d.phase == Phase::Sent
    {
        return match result {
            Ok(run) => {
                let (subject, begins) = (d.command.subject(), d.command == Command::Provision);
                let cmds = actions::close_overlay(m);
                m.be_deaf();
                actions::open(m, &subject);
                m.focus = if run.is_some() { ScreenFocus::Run } else { m.focus };
                m.show_message(
                    Tone::Plain,
                    run.map_or_else(
                        || if begins { "begun: its lines are here" } else { "done" }.to_owned(),
                        |r| format!("run {r} started; its steps are below"),
                    ),
                );
                cmds
            }
            Err(refusal) => {
                d.phase = Phase::Refused(refusal);
                d.since = now;
                d.last_key = now;
                m.be_deaf();
                Vec::new()
            }
        };
    }
    if about == AskPurpose::Measurement
        && let (Err(r), Some(Overlay::Confirm(d))) = (&result, &mut m.overlay)
    {
        d.no_estimate = Some(words::to_sentence(&r.why, &r.advice));
        return Vec::new();
    }
    match (result, about) {
        (Ok(_), AskPurpose::Seen | AskPurpose::Measurement) => {}
        // Its dialog was closed before the answer: it was taken, and is not done.
        (Ok(Some(run)), AskPurpose::Command(_)) => m.show_message(Tone::Plain, format!("run {run} started")),
        (Ok(None), AskPurpose::Command(about)) => m.show_message(Tone::Plain, format!("{about}: done")),
        (Err(r), _) => m.show_message(Tone::Hold, words::to_sentence(&r.why, &r.advice)),
    }
    Vec::new()
}

/// The dialog that lies over the message line says itself where the file is.
fn on_exported(m: &mut Model, id: u64, result: Result<String, Refusal>) {
    m.pending.remove(&id);
    let (tone, words) = match result {
        Ok(path) => (Tone::Plain, format!("wrote {path}")),
        Err(r) => (Tone::Hold, words::to_sentence(&r.why, &r.advice)),
    };
    match &mut m.overlay {
        Some(Overlay::Confirm(d)) => d.exported = Some((tone, words)),
        _ => m.show_message(tone, words),
    }
}

fn on_tick(m: &mut Model) -> Vec<Cmd> {
    if m.flash.as_ref().is_some_and(|f| m.now > f.until) {
        m.flash = None;
    }
    let now = m.now;
    let Some(Overlay::Confirm(d)) = &mut m.overlay else { return Vec::new() };
    let unanswered = match d.phase {
        Phase::Asking | Phase::Sent => now.since(d.since) > ANSWER_MS,
        Phase::Shown => d.renewed.is_some_and(|at| now.since(at) > ANSWER_MS),
        Phase::Refused(_) => false,
    };
    if unanswered {
        let sent = d.phase == Phase::Sent;
        d.phase = Phase::Refused(Refusal::unknown(
            "the controller has not answered for 10 s",
            if sent {
                "It may have been taken: look at the group and the journal before you ask again."
            } else {
                "Nothing was sent yet. Enter asks again."
            },
        ));
        m.be_deaf();
        return Vec::new();
    }
    if d.is_expired(now) { renew_dialog(m) } else { Vec::new() }
}

/// What a dialog rests on is too old to say yes to: it is asked for anew, and measured anew where it rests on a
/// measurement that is old. The dialog stays; what was typed is typed again.
fn renew_dialog(m: &mut Model) -> Vec<Cmd> {
    let Some(Overlay::Confirm(d)) = &m.overlay else { return Vec::new() };
    let command = d.command.clone();
    let id = m.ask_id(AskPurpose::Seen);
    let mut cmds = vec![Cmd::Ask(Ask::Prepare { id, command: command.clone() })];
    cmds.extend(actions::measure_anew(m, &command));
    let now = m.now;
    if let Some(Overlay::Confirm(d)) = &mut m.overlay {
        d.ask_anew(id, now);
    }
    cmds
}

fn on_unsent(m: &mut Model, ask: &Ask) {
    if let Some(id) = ask.id() {
        m.pending.remove(&id);
        m.sent.note_answer(id, false);
    }
    let refusal = Refusal::unknown("the controller does not keep up: nothing was sent", "Enter asks again.");
    match (ask, &mut m.overlay) {
        (Ask::Prepare { id, .. }, Some(Overlay::Confirm(d))) if d.question == *id => d.phase = Phase::Refused(refusal),
        // Asked again with the next measurement.
        (Ask::Prepare { id, .. }, Some(Overlay::Confirm(d))) if d.refreshing == Some(*id) => {
            (d.refreshing, d.measured_at, d.renewed) = (None, None, None);
        }
        (Ask::Execute { id, .. }, Some(Overlay::Confirm(d))) if d.question == *id => d.phase = Phase::Refused(refusal),
        (Ask::Execute { command, .. }, _) => {
            let what = match command {
                Command::Estimate { .. } => "the measurement",
                Command::Hold { .. } => "the hold",
                Command::Resume { .. } => "the resume",
                _ => "the command",
            };
            m.show_message(Tone::Fail, format!("The controller does not keep up: {what} was not sent. Try again."));
        }
        // A lost watch only makes the estimate older; its age is shown.
        (Ask::Prepare { .. } | Ask::Watch { .. } | Ask::WatchChoice { .. }, _) => {}
        (Ask::Records { .. }, _) => {
            m.values = RecordValues::Failed("The controller does not keep up: try again.".to_owned());
        }
        (Ask::StartDiff { .. } | Ask::StopDiff { .. } | Ask::LookAtSetup, _) => {
            m.show_message(Tone::Fail, "The controller does not keep up: nothing was sent. Try again.")
        }
        (Ask::Export { .. }, _) => {
            m.show_message(Tone::Fail, "The controller does not keep up: nothing was written. Try again.")
        }
    }
}
