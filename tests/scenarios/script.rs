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
//! session dry                    the process ends, and a dry-run session (or a `real` one) opens the journal
//! phrase green x lose 5 = cutover over missing: why   the dialog of that command asks for this phrase
//! check running blue             exactly there; also: lost 0, re_read 7, way_back exact, committed green none
//! ```

use cutover::migration::command::{Command, Subject};
use cutover::migration::criteria::Metric;
use cutover::migration::estate::{GroupKind, Observed, Side, SwitchState};
use cutover::migration::event::{Event, RunEnd};
use cutover::migration::machine::Session;
use cutover::migration::trigger::{Arm, Comparison, Trigger, TriggerMode};
use cutover::offsets::verdict::Verdict;

use crate::driver::{Driver, command, settings};
use crate::world::{Fate, GROUP, PRODUCER};

pub fn play(case: &crate::Case) {
    let session = Session { dry_run: case.dry_run, read_only: case.read_only.clone() };
    let mut player = Player { d: Driver::new(settings(), session), dialog: None, seen: 0 };
    for (n, line) in case.script.lines().enumerate() {
        let line = line.split(" # ").next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Err(why) = player.line(line) {
            let journal: Vec<String> = player.d.journal.iter().map(|e| word(&e.event)).collect();
            panic!("line {} `{line}`: {why}\n  journal: {}", n + 1, journal.join(", "));
        }
    }
}

struct Player {
    d: Driver,
    dialog: Option<(Command, String, String)>,
    seen: usize,
}

type Said = Result<(), String>;

fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or_else(|_| panic!("no number: {text:?}"))
}

fn has(text: &str, words: &str) -> Said {
    if text.contains(words.trim()) { Ok(()) } else { Err(format!("{words:?} is not in {text:?}")) }
}

fn side(word: &str) -> usize {
    usize::from(word == "green")
}

impl Player {
    fn subject() -> Subject {
        Subject::Group(GROUP.into())
    }

    fn line(&mut self, line: &str) -> Said {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb.trim_end_matches(':') {
            "run" => {
                self.d.run(number(rest));
                Ok(())
            }
            "set" => self.set(rest),
            "plan" => self.plan(rest),
            "fate" => self.fate(rest),
            "ask" => {
                self.d.ask(&command(rest), None).map(|_| ()).map_err(|r| format!("refused: {} ({})", r.why, r.advice))
            }
            "type" => {
                let (typed, words) = rest.trim_start_matches('"').split_once('"').ok_or("type \"...\" command")?;
                match self.d.ask(&command(words.trim()), Some(typed)) {
                    Ok(_) => Err("it was taken".into()),
                    Err(r) => has(&r.why, "not confirmed"),
                }
            }
            "refused" => self.refused(rest),
            "phrase" => {
                let (wanted, asked) = rest.split_once(" = ").ok_or("phrase WORDS = command")?;
                let p = self.d.machine.prepare(&command(asked), self.d.world.now).map_err(|r| r.why)?;
                match p.level {
                    cutover::migration::command::Level::Typed(t) if t == wanted => Ok(()),
                    other => Err(format!("it asks for {other:?}")),
                }
            }
            "stale" => {
                let c = command(rest.trim_start_matches("dialog "));
                let p = self.d.machine.prepare(&c, self.d.world.now).map_err(|r| r.why)?;
                let phrase = match p.level {
                    cutover::migration::command::Level::Typed(t) => t,
                    _ => String::new(),
                };
                self.dialog = Some((c, phrase, p.facts));
                Ok(())
            }
            "confirm" => {
                let (c, phrase, facts) = self.dialog.take().ok_or("no dialog is open")?;
                match self.d.machine.handle_command(&c, "ann@bastion", &phrase, Some(&facts), self.d.world.now) {
                    Ok(_) => Err("it was taken".into()),
                    Err(r) => has(&r.why, rest),
                }
            }
            "until" => self.until(rest),
            "needs" => self.needs(rest),
            "waiting" => self.waiting(rest),
            "effects" => self.effects(rest),
            "journal" => self.journal(rest),
            "remark" => {
                let state = self.d.machine.state();
                let said = state.groups.get(GROUP).and_then(|g| g.remark.clone()).ok_or("no remark")?;
                has(&said.1, rest)
            }
            "kill" => {
                self.d.restart();
                Ok(())
            }
            "session" => {
                self.d.session.dry_run = rest == "dry";
                self.d.restart();
                Ok(())
            }
            "accepted" => {
                let state = self.d.machine.state();
                let run = state.last_run_of(&Self::subject()).ok_or("no run")?;
                let one = |a: &cutover::migration::overrides::Accepted| {
                    format!("{} {}: {}", a.gate, a.at_most.map_or("-".into(), |n| n.to_string()), a.reason)
                };
                let found = run.accepted.iter().map(one).collect::<Vec<_>>().join(" | ");
                if found == rest { Ok(()) } else { Err(format!("accepted: {found:?}")) }
            }
            "check" => self.check(rest),
            other => panic!("no verb {other:?}"),
        }
    }

    fn set(&mut self, rest: &str) -> Said {
        let w = &mut self.d.world;
        let words: Vec<&str> = rest.split_whitespace().collect();
        match words.as_slice() {
            ["cost", n] => w.cost = number(n).try_into().unwrap(),
            ["missing", n] => w.missing = number(n),
            ["verdict", "guess"] => w.verdict = Verdict::Guess,
            ["verdict", "unmappable"] => w.verdict = Verdict::Unmappable,
            ["verdict", "bounded"] => w.verdict = Verdict::Bounded,
            ["unsettled", n] => w.unsettled = number(n),
            ["recreated", s] => w.recreated[side(s)] = true,
            ["misread"] => w.misread = true,
            ["hidden", s] => w.hidden[side(s)] = true,
            ["shown", s] => w.hidden[side(s)] = false,
            ["switch_hidden"] => w.switch_hidden = true,
            ["broken", s] => w.broken[side(s)] = true,
            ["mended", s] => w.broken[side(s)] = false,
            ["extra", s, n] => w.extra[side(s)] = usize::try_from(number(n)).unwrap(),
            ["id", s, "none"] => w.ids[side(s)] = None,
            ["id", s, id] => w.ids[side(s)] = Some((*id).into()),
            ["kind", "share"] => w.kind = GroupKind::Share,
            ["kind", "streams"] => w.kind = GroupKind::Streams,
            ["deleted", s] => {
                w.deleted[side(s)] = true;
                w.committed[side(s)].clear();
            }
            ["static"] => w.static_members = true,
            ["manual"] => w.manual = true,
            ["flag_manual"] => w.flag_manual = true,
            ["switch", to] => w.switch = to.parse::<SwitchState>().unwrap(),
            ["flag", to] => w.flag = to.parse().unwrap(),
            ["writes", to] => w.writes = Some(to.parse().unwrap()),
            ["partitions", s, n] => w.partitions[side(s)] = usize::try_from(number(n)).unwrap(),
            ["stop_delay", n] => w.stop_delay = number(n),
            ["commit", s, p, o] => {
                w.committed[side(s)].insert(i32::try_from(number(p)).unwrap(), number(o).try_into().unwrap());
            }
            _ => panic!("nothing to set: {rest:?}"),
        }
        Ok(())
    }

    fn plan(&mut self, rest: &str) -> Said {
        let mut s = self.d.settings.clone();
        let g = s.groups.get_mut(GROUP).ok_or("no group")?;
        let p = s.producers.get_mut(PRODUCER).ok_or("no producer")?;
        match rest.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["max_re_read", n] => g.max_re_read = number(n),
            ["drain_timeout", n] => g.drain_timeout_ms = number(n) * 1000,
            ["drain_still", n] => g.drain_still_ms = number(n) * 1000,
            ["no_switch"] => g.has_switch = false,
            ["overlap"] => g.mode = cutover::migration::settings::Mode::Overlap,
            ["not_critical"] => p.critical = false,
            ["no_producer"] => s.producers.clear(),
            ["transactional"] => p.transactional_blue = vec!["shop-1".into()],
            ["pin", "blue", id] => s.blue_cluster_id = Some((*id).into()),
            ["pin", "green", id] => s.green_cluster_id = Some((*id).into()),
            ["unlisted"] => s.groups.clear(),
            ["trigger", arm, mode, above, seconds, countdown] => g.criteria.triggers.push(Trigger {
                name: "green-lag".into(),
                metric: Metric::Lag,
                comparison: Comparison::Above,
                value: number(above) as f64,
                for_ms: number(seconds) * 1000,
                mode: if *mode == "any" { TriggerMode::Any } else { TriggerMode::Sustained },
                arm: if *arm == "armed" { Arm::Armed } else { Arm::Shadow },
                countdown_ms: number(countdown) * 1000,
            }),
            _ => panic!("nothing to plan: {rest:?}"),
        }
        let world = self.d.world.clone();
        self.d = Driver::new(s, self.d.session.clone());
        self.d.world = world;
        Ok(())
    }

    fn fate(&mut self, rest: &str) -> Said {
        let (kind, fate) = rest.split_once(' ').ok_or("fate KIND FATE")?;
        let kinds = ["switch", "translate", "commit", "restore", "flag"];
        let kind = kinds.into_iter().find(|k| *k == kind).ok_or("no such effect")?;
        let fate = match fate {
            "fails" => Fate::Fails,
            "unknown_took" => Fate::UnknownTook,
            "unknown_not" => Fate::UnknownNot,
            "silent" => Fate::Silent,
            other => panic!("no fate {other:?}"),
        };
        self.d.world.fates.insert(kind, fate);
        Ok(())
    }

    fn refused(&mut self, rest: &str) -> Said {
        let (head, words) = rest.rsplit_once(':').ok_or("refused CODE command: words")?;
        let (code, asked) = head.split_once(' ').ok_or("refused CODE command: words")?;
        match self.d.ask(&command(asked), None) {
            Ok(_) => Err("it was taken".into()),
            Err(r) if u64::from(r.exit_code) != number(code) => Err(format!("exit code {} ({})", r.exit_code, r.why)),
            Err(r) if r.advice.is_empty() => Err("no advice".into()),
            Err(r) => has(&r.why, words),
        }
    }

    fn until(&mut self, rest: &str) -> Said {
        let (stage, seconds) = rest.rsplit_once(' ').ok_or("until STAGE SECONDS")?;
        for _ in 0..number(seconds) {
            if self.d.stage() == stage {
                return Ok(());
            }
            self.d.run(1);
        }
        if self.d.stage() == stage {
            return Ok(());
        }
        let next = self.d.machine.next_words(GROUP, self.d.world.now);
        Err(format!("it is {}: {next}", self.d.stage()))
    }

    fn needs(&mut self, rest: &str) -> Said {
        let (seconds, words) = rest.split_once(':').ok_or("needs SECONDS: words")?;
        for _ in 0..=number(seconds) {
            for subject in [Self::subject(), Subject::Producer(PRODUCER.into())] {
                if let Some((why, advice)) = self.d.needs(&subject) {
                    return has(&format!("{why} | {advice}"), words);
                }
            }
            self.d.run(1);
        }
        Err(format!("nobody is needed: {} {}", self.d.stage(), self.d.machine.next_words(GROUP, self.d.world.now)))
    }

    fn waiting(&mut self, rest: &str) -> Said {
        let (seconds, words) = rest.split_once(':').ok_or("waiting SECONDS: words")?;
        let mut last = String::new();
        for _ in 0..=number(seconds) {
            last = self.d.machine.next_words(GROUP, self.d.world.now);
            let producer = self.d.machine.producer_next(PRODUCER, self.d.world.now);
            if last.contains(words.trim()) || producer.contains(words.trim()) {
                return Ok(());
            }
            last = format!("{last} / {producer}");
            self.d.run(1);
        }
        Err(format!("it says {last:?}"))
    }

    fn effects(&mut self, rest: &str) -> Said {
        let new = self.d.world.effects[self.seen..].join(", ");
        self.seen = self.d.world.effects.len();
        if new == rest.trim() || (rest.trim() == "none" && new.is_empty()) {
            Ok(())
        } else {
            Err(format!("they are: {new}"))
        }
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

    fn check(&mut self, rest: &str) -> Said {
        let w = &self.d.world;
        let (what, is) = rest.split_once(' ').unwrap_or((rest, ""));
        let found = match what {
            "countdown" => {
                let all = self.d.machine.countdowns();
                let text: Vec<String> = all.iter().map(|c| c.words(w.now)).collect();
                return if is == "none" && text.is_empty() { Ok(()) } else { has(&text.join(" | "), is) };
            }
            "actor" => {
                self.d.machine.state().last_run_of(&Self::subject()).map(|r| r.actor.clone()).unwrap_or_default()
            }
            "running" => w.runs_on().iter().map(|s| s.name()).collect::<Vec<_>>().join(" "),
            "lost" => w.lost.to_string(),
            "re_read" => w.re_read.to_string(),
            "never_both" => format!("{}", !w.both_ran).replace("true", ""),
            "way_back" => cutover::migration::rollback::words(&self.d.machine.way_back(GROUP, w.now)),
            "stage" => self.d.stage(),
            "switch" => w.switch.to_string(),
            "flag" => w.flag.to_string(),
            "phases" => {
                let all = self.d.machine.phases(w.now);
                all.iter().map(|p| format!("{}/{}", p.done, p.total)).collect::<Vec<_>>().join(" ")
            }
            "notice" => {
                let all = self.d.machine.notices(w.now);
                let text: Vec<String> = all.iter().map(|n| n.trouble.what.clone()).collect();
                return has(&text.join(" | "), is);
            }
            "focus" => self.d.machine.focus(w.now).len().to_string(),
            "warning" => {
                let p = self.d.machine.prepare(&command("cutover"), w.now).map_err(|r| r.why)?;
                return has(&p.warnings.join(" | "), is);
            }
            "by_hand" => {
                let p = self.d.machine.prepare(&command("cutover"), w.now).map_err(|r| r.why)?;
                return has(&p.by_hand.join(" | "), is);
            }
            "committed" => {
                let (s, value) = is.split_once(' ').ok_or("check committed SIDE VALUE")?;
                let all = &w.committed[side(s)];
                let found =
                    if all.is_empty() { "none".to_string() } else { format!("{:?}", all.values().collect::<Vec<_>>()) };
                return if found == value { Ok(()) } else { Err(format!("it is {found}")) };
            }
            "estimate" => match self.d.machine.estimate(GROUP) {
                Some((to, Observed::Known { value, .. })) => {
                    format!("{to} {:?}", value.totals.re_read.unwrap_or_default())
                }
                _ => "none".into(),
            },
            other => panic!("nothing to check: {other:?}"),
        };
        if found == is || (what == "way_back" && found.starts_with(is)) {
            Ok(())
        } else {
            Err(format!("it is {found:?}"))
        }
    }
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
        Event::Intent { issued, .. } => format!("intent {}", crate::world::name(&issued.effect).0),
        Event::Result { key, outcome, .. } => {
            let how = match outcome {
                cutover::migration::effect::Outcome::Done { .. } => "done",
                cutover::migration::effect::Outcome::Failed { .. } => "failed",
                cutover::migration::effect::Outcome::Unknown { .. } => "unknown",
            };
            format!("result {key} {how}")
        }
        Event::PassedOver { passed, .. } => format!("passed {}", passed.gate),
        Event::Drained { .. } => "Drained".into(),
        Event::Predicted { .. } => "Predicted".into(),
        Event::Coupled { group, .. } => format!("Coupled {group}"),
        Event::Seamed { to, .. } => format!("Seamed {to}"),
        Event::Approved { .. } => "Approved".into(),
        Event::ProducerCompleted { .. } => "ProducerCompleted".into(),
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
