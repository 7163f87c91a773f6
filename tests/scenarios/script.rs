//! The words of a script, one a line; `#` starts a comment.
//!
//! ```text
//! run 12                         seconds pass; the world is observed every second
//! set cost 7                     a fact of the world (see `set` below)
//! plan max_re_read 10            a fact of the plan (before the first `run`)
//! fate commit unknown_took       how the next effect of that kind ends: fails, unknown_took, unknown_not, silent
//! ask cutover                    asked, typed as the dialog wants, and taken
//! type "green x" cutover         asked with something else typed: refused
//! refused 4 cutover: stale       refused with that exit code, and these words in its reason
//! advised cutover: measure it    refused, and what it says to do has these words
//! stale dialog cutover           the dialog is opened here ...
//! confirm: switch was            ... and confirmed here: refused with these words
//! until soaking 60               at most so many seconds until that stage
//! needs 60: not Stable           at most so many seconds until it waits for a person, with these words
//! waiting 9: by hand             at most so many seconds until the next words contain this
//! effects switch off, commit green    exactly these effects since the last `effects`
//! journal Drained, Predicted     these events are in the journal, in this order
//! remark: 37 would be            the last remark on the group has these words
//! accepted missing 5: why        what the last run's confirmation passed over, and the most it may cost
//! kill                           the process dies and a new one replays the journal
//! die step 1                     it dies as soon as the journal has such an entry (and lies dead until `kill`)
//! session dry                    the process ends, and a dry-run session (or a `real` one) opens the journal
//! says there is no undo = complete                   the dialog of that command has these words among costs and way back
//! phrase green x lose 5 = cutover over missing: why   the dialog of that command asks for this phrase
//! check running blue             exactly there; also: lost 0, re_read 7, way_back exact, committed green none
//! ```

use std::collections::BTreeMap;

use cutover::base::Side;
use cutover::cli::Exit;
use cutover::migration::facts::command::{Command, Level, Refusal, Subject};
use cutover::migration::facts::effect::Outcome;
use cutover::migration::facts::event::{Event, JournalEntry, RunEnd};
use cutover::migration::facts::settings::Settings;
use cutover::migration::run::machine::SessionMode;

use crate::driver::{Driver, Fate, World, name};

pub type Said = Result<(), String>;

/// What a script needs of a world besides what its driver does.
pub trait Scripted: World {
    /// Kinds of effects that can have a fate.
    const KINDS: &'static [&'static str];
    fn settings() -> Settings;
    fn command(words: &str) -> Command;
    /// A fact of the world.
    fn set(&mut self, rest: &str);
    /// A fact of the plan.
    fn plan(settings: &mut Settings, rest: &str);
    /// The plan has changed: what the world knows of it.
    fn replan(&mut self, _: &Settings) {}
    fn fates(&mut self) -> &mut BTreeMap<&'static str, Fate>;
    /// Whose need of a person counts.
    fn subjects() -> Vec<Subject>;
    fn remarks(d: &Driver<Self>) -> String;
    fn check(d: &Driver<Self>, rest: &str) -> Said;
    /// A verb of this world alone.
    fn verb(d: &mut Driver<Self>, verb: &str, rest: &str) -> Said;
}

/// Plays a case; what it has journalled.
pub fn play<W: Scripted>(case: &crate::Case) -> Vec<JournalEntry> {
    let session = SessionMode { dry_run: case.dry_run, read_only: case.read_only.clone() };
    let mut player = Player::<W> { d: Driver::new(W::settings(), session), dialog: None, seen: 0 };
    for (n, line) in crate::cases::lines(&case.script) {
        if let Err(why) = player.line(line) {
            let journal: Vec<String> = player.d.journal.iter().map(|e| word(&e.event)).collect();
            let newest: Vec<String> = player.d.journal.iter().rev().take(2).map(|e| format!("{:?}", e.event)).collect();
            panic!(
                "line {n} `{line}`: {why}\n  journal: {}\n  newest first: {}",
                journal.join(", "),
                newest.join("\n")
            );
        }
    }
    player.d.journal
}

struct Player<W> {
    d: Driver<W>,
    dialog: Option<(Command, String, String)>,
    seen: usize,
}

/// What a shell would be told of a refusal.
fn exit_code(refusal: &Refusal) -> u64 {
    Exit::of_end(Some(refusal.class)).0.into()
}

pub fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or_else(|_| panic!("no number: {text:?}"))
}

pub fn side(word: &str) -> Side {
    if word == "green" { Side::Green } else { Side::Blue }
}

pub fn has(text: &str, words: &str) -> Said {
    if text.contains(words.trim()) { Ok(()) } else { Err(format!("{words:?} is not in {text:?}")) }
}

pub fn same(found: &str, wanted: &str) -> Said {
    if found == wanted { Ok(()) } else { Err(format!("it is {found:?}")) }
}

fn fate(word: &str) -> Fate {
    match word {
        "fails" => Fate::Fails,
        "unknown_took" => Fate::UnknownTook,
        "unknown_not" => Fate::UnknownNot,
        "silent" => Fate::Silent,
        other => panic!("no fate {other:?}"),
    }
}

impl<W: Scripted> Player<W> {
    fn line(&mut self, line: &str) -> Said {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb.trim_end_matches(':') {
            "run" => self.d.run(number(rest)),
            "set" => self.d.world.set(rest),
            "plan" => self.plan(rest),
            "fate" => {
                let (kind, how) = rest.split_once(' ').ok_or("fate KIND FATE")?;
                let kind = W::KINDS.iter().find(|k| **k == kind).ok_or("no such effect")?;
                self.d.world.fates().insert(kind, fate(how));
            }
            "kill" => self.d.restart(),
            "die" => self.d.die_on = Some(rest.to_owned()),
            "planes" => self.d.hear_planes(),
            "session" => {
                self.d.session.dry_run = rest == "dry";
                self.d.restart();
            }
            "ask" => {
                let asked = self.d.ask(&W::command(rest));
                return asked.map(|_| ()).map_err(|r| format!("refused: {} ({})", r.why, r.advice));
            }
            "type" | "refused" | "advised" | "phrase" | "says" | "stale" | "confirm" => {
                return self.dialog(verb.trim_end_matches(':'), rest);
            }
            "until" => return self.until(rest),
            "needs" => return self.needs(rest),
            "waiting" => return self.waiting(rest),
            "effects" => return self.effects(rest),
            "journal" => return self.journal(rest),
            "remark" => return has(&W::remarks(&self.d), rest),
            "check" => return W::check(&self.d, rest),
            own => return W::verb(&mut self.d, own, rest),
        }
        Ok(())
    }

    /// What a dialog shows, and how it answers.
    fn dialog(&mut self, verb: &str, rest: &str) -> Said {
        match verb {
            "type" => {
                let (typed, words) = typed(rest)?;
                match self.d.ask_typing(&W::command(words), Some(typed)) {
                    Ok(_) => Err("it was taken".into()),
                    Err(r) => has(&r.why, "not confirmed"),
                }
            }
            "refused" => self.refused(rest),
            "advised" => {
                let (asked, words) = rest.rsplit_once(':').ok_or("advised command: words")?;
                match self.d.ask(&W::command(asked)) {
                    Ok(_) => Err("it was taken".into()),
                    Err(r) => has(&r.advice, words),
                }
            }
            "phrase" => {
                let (wanted, asked) = rest.split_once(" = ").ok_or("phrase WORDS = command")?;
                let p = self.d.machine.prepare(&W::command(asked), self.d.now()).map_err(|r| r.why)?;
                match p.level {
                    Level::Typed(t) if t == wanted => Ok(()),
                    other => Err(format!("it asks for {other:?}")),
                }
            }
            "says" => {
                let (wanted, asked) = rest.split_once(" = ").ok_or("says WORDS = command")?;
                let p = self.d.machine.prepare(&W::command(asked), self.d.now()).map_err(|r| r.why)?;
                has(&format!("{}\n{}", p.warnings.join("\n"), p.way_back), wanted)
            }
            "stale" => {
                let c = W::command(rest.trim_start_matches("dialog "));
                let p = self.d.machine.prepare(&c, self.d.now()).map_err(|r| r.why)?;
                let phrase = match p.level {
                    Level::Typed(t) => t,
                    _ => String::new(),
                };
                self.dialog = Some((c, phrase, p.facts));
                Ok(())
            }
            _ => {
                let (c, phrase, facts) = self.dialog.take().ok_or("no dialog is open")?;
                match self.d.confirm(&c, &phrase, &facts) {
                    Ok(_) => Err("it was taken".into()),
                    Err(r) => has(&r.why, rest),
                }
            }
        }
    }

    fn plan(&mut self, rest: &str) {
        let mut settings = self.d.settings.clone();
        W::plan(&mut settings, rest);
        let (world, actor) = (self.d.world.clone(), std::mem::take(&mut self.d.actor));
        self.d = Driver::new(settings, self.d.session.clone());
        (self.d.world, self.d.actor) = (world, actor);
        self.d.world.replan(&self.d.settings);
    }

    fn refused(&mut self, rest: &str) -> Said {
        let (head, words) = rest.rsplit_once(':').ok_or("refused CODE command: words")?;
        let (code, asked) = head.split_once(' ').ok_or("refused CODE command: words")?;
        match self.d.ask(&W::command(asked)) {
            Ok(_) => Err("it was taken".into()),
            Err(r) if exit_code(&r) != number(code) => Err(format!("exit code {} ({})", exit_code(&r), r.why)),
            Err(r) if r.advice.is_empty() => Err("no advice".into()),
            Err(r) => has(&r.why, words),
        }
    }

    /// Lets seconds pass until something is found.
    fn within<T>(&mut self, seconds: &str, found: impl Fn(&Driver<W>) -> Option<T>) -> Option<T> {
        for _ in 0..number(seconds) {
            if let Some(found) = found(&self.d) {
                return Some(found);
            }
            self.d.run(1);
        }
        found(&self.d)
    }

    fn until(&mut self, rest: &str) -> Said {
        let (stage, seconds) = rest.rsplit_once(' ').ok_or("until STAGE SECONDS")?;
        let there = self.within(seconds, |d| (d.stage() == stage).then_some(()));
        there.ok_or_else(|| format!("it is {}: {}", self.d.stage(), self.d.next()))
    }

    fn needs(&mut self, rest: &str) -> Said {
        let (seconds, words) = rest.split_once(':').ok_or("needs SECONDS: words")?;
        match self.within(seconds, |d| W::subjects().iter().find_map(|s| d.needs(s))) {
            Some((why, advice)) => has(&format!("{why} | {advice}"), words),
            None => Err(format!("nobody is needed: {} {}", self.d.stage(), self.d.next())),
        }
    }

    fn waiting(&mut self, rest: &str) -> Said {
        let (seconds, words) = rest.split_once(':').ok_or("waiting SECONDS: words")?;
        let says = |d: &Driver<W>| W::next(&d.machine, d.now()).iter().any(|n| n.contains(words.trim())).then_some(());
        self.within(seconds, says).ok_or_else(|| format!("it says {:?}", self.d.next()))
    }

    fn effects(&mut self, rest: &str) -> Said {
        let all = self.d.world.effects();
        let new = all[self.seen..].join(", ");
        self.seen = all.len();
        same(if new.is_empty() { "none" } else { &new }, rest.trim())
    }

    fn journal(&self, rest: &str) -> Said {
        let mut events = self.d.journal.iter().map(|e| word(&e.event));
        for wanted in rest.split(',').map(str::trim) {
            if !events.any(|e| e == wanted) {
                return Err(format!("no {wanted:?} (in that order)"));
            }
        }
        Ok(())
    }
}

/// `"what is typed" command`.
pub fn typed(rest: &str) -> Result<(&str, &str), String> {
    let (typed, words) = rest.trim_start_matches('"').split_once('"').ok_or("\"what is typed\" command")?;
    Ok((typed, words.trim()))
}

/// An event in one word or two.
pub fn word(event: &Event) -> String {
    match event {
        Event::RunStarted { kind, .. } => format!("start {kind}"),
        Event::RunEnded { end: RunEnd::Done, .. } => "end done".into(),
        Event::RunEnded { end: RunEnd::ReplacedBy(_), .. } => "end replaced".into(),
        Event::RunEnded { end: RunEnd::Failed(_), .. } => "end failed".into(),
        Event::StepStarted { step, .. } => format!("step {step}"),
        Event::StepDone { step, .. } => format!("done {step}"),
        Event::Intent { issued, .. } => format!("intent {}", name(&issued.effect).0),
        Event::Result { key, outcome, .. } => {
            let how = match outcome {
                Outcome::Done { .. } => "done",
                Outcome::Failed { .. } => "failed",
                Outcome::Unknown { .. } => "unknown",
            };
            format!("result {key} {how}")
        }
        Event::PassedOver { passed, .. } => format!("passed {}", passed.gate),
        Event::Reads { .. } => "Reads".into(),
        Event::Reading { .. } => "Reading".into(),
        Event::Drained { .. } => "Drained".into(),
        Event::Predicted { .. } => "Predicted".into(),
        Event::Coupled { group, .. } => format!("Coupled {group}"),
        Event::Seamed { to, .. } => format!("Seamed {to}"),
        Event::Approved { .. } => "Approved".into(),
        Event::PointOfNoReturn { .. } => "PointOfNoReturn".into(),
        Event::NeedsOperator { .. } => "NeedsOperator".into(),
        Event::Continued { .. } => "Continued".into(),
        Event::Completed { .. } => "Completed".into(),
        Event::Held { .. } => "Held".into(),
        Event::Resumed { .. } => "Resumed".into(),
        Event::Noticed { .. } => "Noticed".into(),
        Event::TriggerFired { .. } => "TriggerFired".into(),
        Event::TriggerCleared { .. } => "TriggerCleared".into(),
        Event::Baselined { .. } => "Baselined".into(),
        Event::Pinned { side: Side::Blue, .. } => "pin blue".into(),
        Event::Pinned { side: Side::Green, .. } => "pin green".into(),
        _ => "other".into(),
    }
}
