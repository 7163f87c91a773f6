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

use std::collections::BTreeMap;

use cutover::base::{Observed, Side, Sides};
use cutover::estate::WindowView;
use cutover::migration::eos::HardGateRow;
use cutover::migration::facts::command::{Command, Subject};
use cutover::migration::facts::settings::Settings;
use cutover::offsets::verdict::Verdict;

use super::Driver;
use super::asked::{command, settings};
use super::world::{COUPLED, Instance, Loner, PRODUCER, READER, World, at};
use crate::driver::{Fate, World as _};
use crate::script::{Said, Scripted, has, number, same, side, typed};

pub fn play(case: &crate::Case) -> Vec<cutover::migration::facts::event::JournalEntry> {
    crate::script::play::<World>(case)
}

fn one(rows: &[HardGateRow], rest: &str) -> Said {
    let (head, words) = rest.split_once(':').unwrap_or((rest, ""));
    let (id, is) = head.trim().split_once(' ').ok_or("row ID WORD: words")?;
    let row = rows.iter().find(|r| r.id.to_string() == id).ok_or_else(|| format!("no row {id}"))?;
    if row.gate.word() != is {
        return Err(format!("it is {row:?}"));
    }
    has(&format!("{} {}", row.value, row.gate.why().unwrap_or_default()), words)
}

impl Scripted for World {
    const KINDS: &'static [&'static str] = &["flag", "fence", "deny", "allow", "carry", "translate", "commit"];

    fn settings() -> Settings {
        settings()
    }

    fn command(words: &str) -> Command {
        command(words)
    }

    fn set(&mut self, rest: &str) {
        let w = self;
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
            // `loner blue moves`, `loner blue still`: where its commit is, it stays
            ["loner", s, how] => {
                let committed = w.loner.map_or(0, |l| l.committed);
                w.loner = Some(Loner { side: side(s), committed, moves: *how == "moves" });
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

    fn plan(s: &mut Settings, rest: &str) {
        let p = s.producers.get_mut(PRODUCER).unwrap();
        match rest.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["second_person"] => p.needs_approval = true,
            ["no_principal"] => p.principals = Sides::default(),
            ["no_reads"] => p.reads = Some(Vec::new()),
            ["unlisted_reader"] => drop(s.groups.remove(READER)),
            ["same_ids"] => p.transactional_ids.green = p.transactional_ids.blue.clone(),
            ["no_flag"] => p.has_flag = false,
            ["still", n] => p.still_ms = number(n) * 1000,
            ["drain_timeout", n] => p.drain_timeout_ms = number(n) * 1000,
            _ => panic!("nothing to plan: {rest:?}"),
        }
    }

    fn replan(&mut self, settings: &Settings) {
        self.plan.clone_from(&settings.producers[PRODUCER]);
    }

    fn fates(&mut self) -> &mut BTreeMap<&'static str, Fate> {
        &mut self.fates
    }

    fn subjects() -> Vec<Subject> {
        vec![World::subject()]
    }

    fn remarks(d: &Driver) -> String {
        d.machine.state().remarks.iter().map(|(_, _, what)| what.as_str()).collect::<Vec<_>>().join(" | ")
    }

    fn check(d: &Driver, rest: &str) -> Said {
        let (what, is) = rest.split_once(' ').unwrap_or((rest, ""));
        let w = &d.world;
        let found = match what {
            "exact" => return d.exact(),
            "writes" => d.writes_on().to_owned(),
            "flag" => w.flag.to_string(),
            "stage" => d.stage(),
            "acls" => w.acls[at(side(is.split(' ').next().unwrap_or_default()))].len().to_string(),
            "committed" => {
                let (s, value) = is.split_once(' ').ok_or("check committed SIDE VALUE")?;
                let found = d.committed(side(s));
                return same(&found, value);
            }
            "rests" => {
                let state = d.machine.state();
                let rest = state.groups.get(COUPLED).map(|g| g.rest.word());
                rest.unwrap_or("on blue").to_owned()
            }
            "focus" => d.machine.eos_focus(w.now).join(" "),
            "warning" => {
                let (asked, words) = is.split_once(": ").ok_or("check warning COMMAND: words")?;
                let p = d.machine.prepare(&command(asked), w.now).map_err(|r| r.why)?;
                return has(&format!("{} | {}", p.warnings.join(" | "), p.way_back), words);
            }
            "steps" => {
                let p = d.machine.prepare(&command(is.split('=').next().unwrap_or_default().trim()), w.now);
                let p = p.map_err(|r| r.why)?;
                let n = format!("{} {:?}", p.steps.len(), p.no_return_after);
                return has(&n, is.split('=').nth(1).unwrap_or_default());
            }
            "blue_grew" => {
                let green = w.records(Side::Green, 0, 0, usize::MAX).len();
                format!("{}", green > 0)
            }
            "estate" => match d.estate.eos.blue.get(PRODUCER) {
                Some(Observed::Known { .. }) => "known".into(),
                _ => "none".into(),
            },
            other => panic!("nothing to check: {other:?}"),
        };
        let is = is.rsplit(' ').next().filter(|_| what == "acls").unwrap_or(is);
        same(&found, is)
    }

    fn verb(d: &mut Driver, verb: &str, rest: &str) -> Said {
        match verb {
            "actor" => {
                d.actor = rest.into();
                Ok(())
            }
            "typed" => {
                let (typed, words) = typed(rest)?;
                d.ask_typing(&command(words), Some(typed)).map(|_| ()).map_err(|r| r.why)
            }
            "row" | "after" => {
                let view = d.machine.eos_view(PRODUCER, d.world.now).ok_or("no view")?;
                one(if verb == "row" { &view.live } else { &view.after }, rest)
            }
            other => panic!("no verb {other:?}"),
        }
    }
}
