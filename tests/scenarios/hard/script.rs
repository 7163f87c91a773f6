//! The words of a script about a hard cutover, one a line; `#` starts a comment. As in `script.rs`, and:
//!
//! ```text
//! set busy | stuck | old blue | no_authorizer blue | window closed | window none | restarted blue | zombie ...
//! plan second_person | no_principal | no_reads | ...
//! actor bob@bastion         who asks from here on
//! row window HOLD: opens    that row of the gate, and these words in its value or reason
//! after fenced PASS         a row of the gate after the stop
//! check exact               every record once and in order, across the seam
//! check writes green        where the pipeline writes
//! ```

use cutover::migration::command::Level;
use cutover::migration::eos::Row;
use cutover::migration::estate::{Observed, Side, WindowView};
use cutover::migration::machine::Session;
use cutover::migration::stage::SideState;
use cutover::offsets::verdict::Verdict;

use super::driver::{Driver, command, settings};
use super::world::{Fate, Instance, PRODUCER, at};
use crate::script::word;

type Said = Result<(), String>;

struct Player {
    d: Driver,
    seen: usize,
}

pub fn play(case: &crate::Case) {
    let session = Session { dry_run: case.dry_run, read_only: case.read_only.clone() };
    let mut player = Player { d: Driver::new(settings(), session), seen: 0 };
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

fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or_else(|_| panic!("no number: {text:?}"))
}

fn side(word: &str) -> Side {
    if word == "green" { Side::Green } else { Side::Blue }
}

fn has(text: &str, words: &str) -> Said {
    if text.contains(words.trim()) { Ok(()) } else { Err(format!("{words:?} is not in {text:?}")) }
}

fn one(rows: &[Row], rest: &str) -> Said {
    let (head, words) = rest.split_once(':').unwrap_or((rest, ""));
    let (id, is) = head.trim().split_once(' ').ok_or("row ID WORD: words")?;
    let row = rows.iter().find(|r| r.id.to_string() == id).ok_or_else(|| format!("no row {id}"))?;
    if row.gate.word() != is {
        return Err(format!("it is {row:?}"));
    }
    has(&format!("{} {}", row.value, row.gate.why().unwrap_or_default()), words)
}

impl Player {
    fn line(&mut self, line: &str) -> Said {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let now = self.d.world.now;
        match verb.trim_end_matches(':') {
            "run" => self.d.run(number(rest)),
            "set" => self.set(rest),
            "plan" => self.plan(rest),
            "actor" => self.d.actor = rest.into(),
            "fate" => self.fate(rest)?,
            "ask" => {
                return self
                    .d
                    .ask(&command(rest))
                    .map(|_| ())
                    .map_err(|r| format!("refused: {} ({})", r.why, r.advice));
            }
            "type" => {
                let (typed, words) = rest.trim_start_matches('"').split_once('"').ok_or("type \"...\" command")?;
                return match self.d.ask_typing(&command(words.trim()), Some(typed)) {
                    Ok(_) => Err("it was taken".into()),
                    Err(r) => has(&r.why, "not confirmed"),
                };
            }
            "typed" => {
                let (typed, words) = rest.trim_start_matches('"').split_once('"').ok_or("typed \"...\" command")?;
                return self.d.ask_typing(&command(words.trim()), Some(typed)).map(|_| ()).map_err(|r| r.why);
            }
            "refused" => return self.refused(rest),
            "phrase" => {
                let (wanted, asked) = rest.split_once(" = ").ok_or("phrase WORDS = command")?;
                let p = self.d.machine.prepare(&command(asked), now).map_err(|r| r.why)?;
                return match p.level {
                    Level::Typed(t) if t == wanted => Ok(()),
                    other => Err(format!("it asks for {other:?}")),
                };
            }
            "row" | "after" => {
                let view = self.d.machine.eos_view(PRODUCER, now).ok_or("no view")?;
                return one(if verb == "row" { &view.live } else { &view.after }, rest);
            }
            "until" => return self.until(rest),
            "needs" => return self.needs(rest),
            "waiting" => return self.waiting(rest),
            "effects" => {
                let new = self.d.world.effects[self.seen..].join(", ");
                self.seen = self.d.world.effects.len();
                let same = new == rest.trim() || (rest.trim() == "none" && new.is_empty());
                return if same { Ok(()) } else { Err(format!("they are: {new}")) };
            }
            "journal" => {
                let mut events = self.d.journal.iter().map(|e| word(&e.event));
                for wanted in rest.split(',').map(str::trim) {
                    if !events.any(|e| e == wanted) {
                        return Err(format!("no {wanted:?} (in that order)"));
                    }
                }
            }
            "remark" => {
                let said: Vec<&str> = self.d.machine.state().remarks.iter().map(|(_, _, what)| what.as_str()).collect();
                return has(&said.join(" | "), rest);
            }
            "kill" => self.d.restart(),
            "check" => return self.check(rest),
            other => panic!("no verb {other:?}"),
        }
        Ok(())
    }

    fn set(&mut self, rest: &str) {
        let w = &mut self.d.world;
        match rest.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["busy"] => w.busy = true,
            ["stuck"] => w.stuck = true,
            ["loose"] => w.stuck = false,
            ["stop_delay", n] => w.stop_delay = number(n),
            ["old", s] => w.old[at(side(s))] = true,
            ["no_authorizer", s] => w.authorizer[at(side(s))] = false,
            ["broken", s] => w.broken[at(side(s))] = true,
            ["mended", s] => w.broken[at(side(s))] = false,
            ["hidden", s] => w.hidden[at(side(s))] = true,
            ["shown", s] => w.hidden[at(side(s))] = false,
            ["stranger", s] => w.stranger[at(side(s))] = true,
            ["rogue_partition", p] => w.rogue_partition = number(p).try_into().unwrap(),
            ["no_stranger", s] => w.stranger[at(side(s))] = false,
            // It is paused with its producer open, and goes on whenever it can.
            ["zombie", "paused"] => {
                let epoch = w.main.map_or(0, |m| m.epoch);
                w.zombie = Some(Instance { side: Side::Blue, epoch });
            }
            ["zombie", "resumed"] => w.awake = true,
            ["restarted", s] => w.restarted = Some((side(s), None)),
            ["not_restarted"] => w.restarted = None,
            ["cost", n] => w.cost = number(n).try_into().unwrap(),
            ["verdict", "bounded"] => w.verdict = Verdict::Bounded,
            ["flag", to] => w.flag = to.parse().unwrap(),
            ["reader", s] => {
                w.reader_runs = [false; 2];
                if *s != "none" {
                    w.reader_runs[at(side(s))] = true;
                }
            }
            ["window", "none"] => w.window = None,
            ["window", "closed"] => {
                let opens = Some(w.now.plus(3_600_000));
                w.window = Some(WindowView { name: "sunday".into(), open_until: None, opens });
            }
            ["window", "short"] => {
                let open_until = Some(w.now.plus(30_000));
                w.window = Some(WindowView { name: "sunday".into(), open_until, opens: None });
            }
            ["expired", s, n] => w.expired[at(side(s))] = number(n).try_into().unwrap(),
            ["no_carry"] => w.no_carry = true,
            ["unread", n] => w.unread = number(n).try_into().unwrap(),
            ["days", n] => w.now = w.now.plus(number(n) * 86_400_000),
            _ => panic!("nothing to set: {rest:?}"),
        }
    }

    fn plan(&mut self, rest: &str) {
        let mut s = self.d.settings.clone();
        let p = s.producers.get_mut(PRODUCER).unwrap();
        match rest.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["second_person"] => p.needs_approval = true,
            ["no_principal"] => p.principals = [None, None],
            ["no_reads"] => p.reads = Some(Vec::new()),
            ["unlisted_reader"] => drop(s.groups.remove(super::world::READER)),
            ["same_ids"] => p.transactional_green.clone_from(&p.transactional_blue),
            ["no_flag"] => p.has_flag = false,
            ["still", n] => p.still_ms = number(n) * 1000,
            ["drain_timeout", n] => p.drain_timeout_ms = number(n) * 1000,
            _ => panic!("nothing to plan: {rest:?}"),
        }
        let (world, actor) = (self.d.world.clone(), self.d.actor.clone());
        self.d = Driver::new(s, self.d.session.clone());
        let plan = self.d.world.plan.clone();
        (self.d.world, self.d.actor) = (world, actor);
        self.d.world.plan = plan;
    }

    fn fate(&mut self, rest: &str) -> Said {
        let (kind, fate) = rest.split_once(' ').ok_or("fate KIND FATE")?;
        let kinds = ["flag", "fence", "deny", "allow", "carry", "translate", "commit"];
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
        match self.d.ask(&command(asked)) {
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
        let next = self.d.machine.producer_next(PRODUCER, self.d.world.now);
        if self.d.stage() == stage { Ok(()) } else { Err(format!("it is {}: {next}", self.d.stage())) }
    }

    fn needs(&mut self, rest: &str) -> Said {
        let (seconds, words) = rest.split_once(':').ok_or("needs SECONDS: words")?;
        for _ in 0..=number(seconds) {
            let state = self.d.machine.side_state(&Driver::subject(), self.d.world.now);
            if let Some(SideState::NeedsOperator { why, advice }) = state {
                return has(&format!("{why} | {advice}"), words);
            }
            self.d.run(1);
        }
        let next = self.d.machine.producer_next(PRODUCER, self.d.world.now);
        Err(format!("nobody is needed: {} {next}", self.d.stage()))
    }

    fn waiting(&mut self, rest: &str) -> Said {
        let (seconds, words) = rest.split_once(':').ok_or("waiting SECONDS: words")?;
        let mut last = String::new();
        for _ in 0..=number(seconds) {
            last = self.d.machine.producer_next(PRODUCER, self.d.world.now);
            if last.contains(words.trim()) {
                return Ok(());
            }
            self.d.run(1);
        }
        Err(format!("it says {last:?}"))
    }

    fn check(&mut self, rest: &str) -> Said {
        let (what, is) = rest.split_once(' ').unwrap_or((rest, ""));
        let w = &self.d.world;
        let found = match what {
            "exact" => return self.d.exact(),
            "writes" => self.d.writes_on().to_owned(),
            "flag" => w.flag.to_string(),
            "stage" => self.d.stage(),
            "acls" => w.acls[at(side(is.split(' ').next().unwrap_or_default()))].len().to_string(),
            "committed" => {
                let (s, value) = is.split_once(' ').ok_or("check committed SIDE VALUE")?;
                let found = self.d.committed(side(s));
                return if found == value { Ok(()) } else { Err(format!("it is {found}")) };
            }
            "rests" => {
                let state = self.d.machine.state();
                let rest = state.groups.get(super::world::COUPLED).map(|g| g.rest.word());
                rest.unwrap_or("on blue").to_owned()
            }
            "focus" => self.d.machine.eos_focus(w.now).join(" "),
            "warning" => {
                let (asked, words) = is.split_once(": ").ok_or("check warning COMMAND: words")?;
                let p = self.d.machine.prepare(&command(asked), w.now).map_err(|r| r.why)?;
                return has(&format!("{} | {}", p.warnings.join(" | "), p.way_back), words);
            }
            "steps" => {
                let p = self.d.machine.prepare(&command(is.split('=').next().unwrap_or_default().trim()), w.now);
                let p = p.map_err(|r| r.why)?;
                let n = format!("{} {:?}", p.steps.len(), p.no_return_after);
                return has(&n, is.split('=').nth(1).unwrap_or_default());
            }
            "blue_grew" => {
                let green = w.records(Side::Green, 0, 0, usize::MAX).len();
                format!("{}", green > 0)
            }
            "estate" => match self.d.estate.eos(Side::Blue, PRODUCER) {
                Some(Observed::Known { .. }) => "known".into(),
                _ => "none".into(),
            },
            other => panic!("nothing to check: {other:?}"),
        };
        let is = is.rsplit(' ').next().filter(|_| what == "acls").unwrap_or(is);
        if found == is { Ok(()) } else { Err(format!("it is {found:?}")) }
    }
}
