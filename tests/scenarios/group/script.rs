//! What a script can set, plan and check of the group's world; the words are in `../script.rs`.

use std::collections::BTreeMap;

use cutover::base::{At, Observed, Side};
use cutover::estate::holder::TransactionHolder;
use cutover::estate::{GroupKind, SwitchState, WindowView};
use cutover::migration::facts::command::{Command, Subject};
use cutover::migration::facts::settings::{Settings, Slot};
use cutover::migration::rules::phase::PhaseView;
use cutover::migration::soak::criteria::{Criterion, Limit, Metric};
use cutover::migration::soak::trigger::{Arm, Trigger, TriggerComparison, TriggerMode};
use cutover::offsets::verdict::Verdict;

use super::Driver;
use super::asked::{command, settings};
use super::world::{GROUP, Loner, PRODUCER, World, at};
use crate::driver::{Fate, World as _};
use crate::script::{Said, Scripted, has, number, same, side};

pub fn play(case: &crate::Case) -> Vec<cutover::migration::facts::event::JournalEntry> {
    crate::script::play::<World>(case)
}

impl Scripted for World {
    const KINDS: &'static [&'static str] = &["switch", "translate", "commit", "restore", "flag"];

    fn settings() -> Settings {
        settings()
    }

    fn command(words: &str) -> Command {
        command(words)
    }

    fn set(&mut self, rest: &str) {
        let w = self;
        let words: Vec<&str> = rest.split_whitespace().collect();
        match words.as_slice() {
            ["cost", n] => w.cost = number(n).try_into().unwrap(),
            ["missing", n] => w.missing = number(n),
            ["verdict", "guess"] => w.verdict = Verdict::Guess,
            ["verdict", "unmappable"] => w.verdict = Verdict::Unmappable,
            ["verdict", "bounded"] => w.verdict = Verdict::Bounded,
            ["held", s] => w.hold(side(s)),
            ["free", s] => w.held[at(side(s))] = None,
            ["holder", pid, id] => {
                let (producer_id, since) = (number(pid).try_into().unwrap(), Some(w.now));
                w.holder =
                    Some(TransactionHolder { producer_id, transactional_id: Some((*id).into()), since, open_from: 0 });
            }
            ["marker", s] => w.markers[at(side(s))] += 1,
            ["expire", s] => w.expire(side(s)),
            ["cut", s, end] => w.cut(side(s), number(end).try_into().unwrap()),
            ["start", s, offset] => w.start[at(side(s))] = number(offset).try_into().unwrap(),
            ["endless", s] => w.endless[at(side(s))] = true,
            ["unsettled", n] => w.unsettled = number(n),
            ["recreated", s] => w.recreated[at(side(s))] = true,
            ["misread"] => w.misread = true,
            ["hidden", s] => w.hidden[at(side(s))] = true,
            ["shown", s] => w.hidden[at(side(s))] = false,
            ["switch_hidden"] => w.switch_hidden = true,
            ["no_right", "group", s] => w.barred_group[at(side(s))] = true,
            ["no_right", "topic", s] => w.barred_topic[at(side(s))] = true,
            ["right", s] => (w.barred_group[at(side(s))], w.barred_topic[at(side(s))]) = (false, false),
            ["veiled", s] => w.veiled[at(side(s))] = true,
            ["unveiled", s] => w.veiled[at(side(s))] = false,
            ["throttled", s] => w.throttled[at(side(s))] = true,
            ["mute", s] => w.mute[at(side(s))] = true,
            ["heard", s] => w.mute[at(side(s))] = false,
            ["broken", s] => w.broken[at(side(s))] = true,
            ["mended", s] => w.broken[at(side(s))] = false,
            ["extra", s, n] => w.extra[at(side(s))] = usize::try_from(number(n)).unwrap(),
            ["id", s, "none"] => w.ids[at(side(s))] = None,
            ["id", s, id] => w.ids[at(side(s))] = Some((*id).into()),
            ["kind", "share"] => w.kind = GroupKind::Share,
            ["kind", "streams"] => w.kind = GroupKind::Streams,
            ["kind", "consumer"] => w.kind = GroupKind::Consumer,
            ["deleted", s] => {
                (w.deleted[at(side(s))], w.joined[at(side(s))]) = (true, false);
                w.committed[at(side(s))].clear();
            }
            ["static"] => w.static_members = true,
            ["manual"] => w.manual = true,
            ["flag_manual"] => w.flag_manual = true,
            ["switch", to] => w.switch = to.parse::<SwitchState>().unwrap(),
            ["flag", to] => w.flag = to.parse().unwrap(),
            ["writes", to] => w.writes = Some(to.parse().unwrap()),
            ["partitions", s, n] => w.partitions[at(side(s))] = usize::try_from(number(n)).unwrap(),
            ["stop_delay", n] => w.stop_delay = number(n),
            ["commit", s, p, o] => {
                w.committed[at(side(s))].insert(i32::try_from(number(p)).unwrap(), number(o).try_into().unwrap());
            }
            // `other notes both assigned`, `other notes blue committed 5`
            ["other", topic, sides, facts @ ..] => {
                let other = w.others.entry((*topic).into()).or_default();
                other.on = [*sides != "green" && *sides != "neither", *sides != "blue" && *sides != "neither"];
                (other.assigned, other.subscribed) = (facts.contains(&"assigned"), facts.contains(&"subscribed"));
                let offset = facts.iter().position(|f| *f == "committed").and_then(|i| facts.get(i + 1));
                other.committed[0] = offset.map(|o| number(o).try_into().unwrap());
            }
            ["other_held", topic] => w.others.get_mut(*topic).expect("such a topic").held = true,
            ["other_commit", s, topic, o] => {
                let other = w.others.get_mut(*topic).expect("such a topic");
                other.committed[at(side(s))] = Some(number(o).try_into().unwrap());
            }
            ["loner", how] => w.loner = Some(Loner { committed: 900, moves: *how == "moves" }),
            ["alone"] => w.alone = true,
            ["every", n] => w.every = number(n).try_into().unwrap(),
            ["stubborn"] => w.stubborn = true,
            ["client", id] => w.client = (*id).into(),
            ["protocol", name] => w.protocol = (*name).into(),
            ["rebalancing", is] => w.rebalancing = *is == "yes",
            ["worker", protocol] => w.worker = Some((*protocol).into()),
            ["window", name, "open", n] => {
                let open_until = Some(w.now.plus(number(n) * 1000));
                w.windows = vec![WindowView { name: (*name).into(), open_until, opens: None }];
            }
            ["window", name, "opens", n] => {
                let opens = Some(w.now.plus(number(n) * 1000));
                w.windows = vec![WindowView { name: (*name).into(), open_until: None, opens }];
            }
            _ => panic!("nothing to set: {rest:?}"),
        }
    }

    fn plan(s: &mut Settings, rest: &str) {
        let g = s.groups.get_mut(GROUP).expect("a group");
        let p = s.producers.get_mut(PRODUCER).expect("a producer");
        match rest.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["max_re_read", n] => g.max_re_read = number(n),
            ["drain_timeout", n] => g.drain_timeout_ms = number(n) * 1000,
            ["drain_still", n] => g.drain_still_ms = number(n) * 1000,
            ["no_switch"] => g.has_switch = false,
            ["overlap"] => g.mode = cutover::migration::facts::settings::Mode::Overlap,
            ["not_critical"] => p.critical = false,
            ["no_producer"] => s.producers.clear(),
            ["transactional"] => p.transactional_ids.blue = vec!["shop-1".into()],
            ["pin", "blue", id] => s.cluster_ids.blue = Some((*id).into()),
            ["pin", "green", id] => s.cluster_ids.green = Some((*id).into()),
            ["unlisted"] => s.groups.clear(),
            ["no_topics"] => g.topics.clear(),
            ["commit_interval", n] => g.commit_interval_ms = Some(number(n) * 1000),
            ["window", name] => g.slot = Some(Slot { window: Some((*name).into()), day: None }),
            // from and until, seconds since the world began
            ["day", from, until] => {
                let at = |n: &str| At(1_000_000 + i64::try_from(number(n) * 1000).unwrap());
                g.slot = Some(Slot { window: None, day: Some((at(from), at(until))) });
            }
            ["trigger", arm, mode, above, seconds, countdown] => g.criteria.triggers.push(Trigger {
                name: "green-lag".into(),
                metric: Metric::Lag,
                comparison: TriggerComparison::Above,
                value: number(above) as f64,
                for_ms: number(seconds) * 1000,
                mode: if *mode == "any" { TriggerMode::Any } else { TriggerMode::Sustained },
                arm: if *arm == "armed" { Arm::Armed } else { Arm::Shadow },
                countdown_ms: number(countdown) * 1000,
            }),
            ["p99"] => g.criteria.rules.push(Criterion::new(Metric::P99, Limit::Within(0.1), 60_000)),
            _ => panic!("nothing to plan: {rest:?}"),
        }
    }

    fn fates(&mut self) -> &mut BTreeMap<&'static str, Fate> {
        &mut self.fates
    }

    fn subjects() -> Vec<Subject> {
        vec![World::subject(), Subject::Producer(PRODUCER.into())]
    }

    fn remarks(d: &Driver) -> String {
        d.machine.state().groups.get(GROUP).and_then(|g| g.remark.clone()).map(|r| r.1).unwrap_or_default()
    }

    fn check(d: &Driver, rest: &str) -> Said {
        let w = &d.world;
        let (what, is) = rest.split_once(' ').unwrap_or((rest, ""));
        let found = match what {
            "countdown" => {
                let all = d.machine.countdowns();
                let text: Vec<String> = all.iter().map(|c| c.describe_countdown(w.now)).collect();
                return if is == "none" && text.is_empty() { Ok(()) } else { has(&text.join(" | "), is) };
            }
            "actor" => {
                d.machine.state().last_run_of(&World::subject()).map(|r| r.actor.to_string()).unwrap_or_default()
            }
            "running" => w.runs_on().iter().map(|s| s.name()).collect::<Vec<_>>().join(" "),
            "lost" => w.lost.to_string(),
            "re_read" => w.re_read.to_string(),
            "never_both" => format!("{}", !w.both_ran).replace("true", ""),
            "way_back" => cutover::migration::rules::rollback::describe_way_back(&d.machine.way_back(GROUP, w.now)),
            "stage" => d.stage(),
            "switch" => w.switch.to_string(),
            "flag" => w.flag.to_string(),
            "phases" => {
                let all = d.machine.phases(&Observed::not_yet(), w.now);
                let done = |p: &PhaseView| match (p.done, p.checked) {
                    (Some(done), _) if p.note.is_some() => format!("{done}!"),
                    (Some(done), _) => done.to_string(),
                    (None, Some(checked)) => format!("{checked}?"),
                    (None, None) => "?".to_owned(),
                };
                all.iter().map(|p| format!("{}/{}", done(p), p.total)).collect::<Vec<_>>().join(" ")
            }
            "notice" => {
                let all = d.machine.notices(w.now);
                let text: Vec<String> = all.iter().map(|n| n.trouble.what.clone()).collect();
                return has(&text.join(" | "), is);
            }
            "focus" => d.machine.focus_groups(w.now).len().to_string(),
            "warning" => {
                let p = d.machine.prepare(&command("cutover"), w.now).map_err(|r| r.why)?;
                return has(&p.warnings.join(" | "), is);
            }
            "by_hand" => {
                let p = d.machine.prepare(&command("cutover"), w.now).map_err(|r| r.why)?;
                return has(&p.by_hand.join(" | "), is);
            }
            "other" | "other_blue" => {
                let (topic, value) = is.split_once(' ').ok_or("check other TOPIC VALUE")?;
                let found = w.others.get(topic).and_then(|o| o.committed[usize::from(what == "other")]);
                return same(&found.map_or("none".into(), |o| o.to_string()), value);
            }
            "committed" => {
                let (s, value) = is.split_once(' ').ok_or("check committed SIDE VALUE")?;
                let all = &w.committed[at(side(s))];
                let found =
                    if all.is_empty() { "none".to_string() } else { format!("{:?}", all.values().collect::<Vec<_>>()) };
                return same(&found, value);
            }
            "estimate" => match d.machine.latest_estimate(GROUP) {
                Some((to, Observed::Known { value, .. })) => {
                    format!("{to} {:?}", value.totals.re_read.unwrap_or_default())
                }
                _ => "none".into(),
            },
            other => panic!("nothing to check: {other:?}"),
        };
        if what == "way_back" && found.starts_with(is) { Ok(()) } else { same(&found, is) }
    }

    fn verb(d: &mut Driver, verb: &str, rest: &str) -> Said {
        match verb {
            "accepted" => {
                let state = d.machine.state();
                let run = state.last_run_of(&World::subject()).ok_or("no run")?;
                let one = |a: &cutover::migration::facts::overrides::Accepted| {
                    format!("{} {}: {}", a.gate, a.at_most.map_or("-".into(), |n| n.to_string()), a.reason)
                };
                let found = run.accepted.iter().map(one).collect::<Vec<_>>().join(" | ");
                same(&found, rest)
            }
            "p99" => {
                let (at, ms) = (d.world.now, number(rest) as f64);
                d.machine.handle_metric(GROUP, Side::Blue, Metric::P99, at, Ok(ms));
                Ok(())
            }
            // `past 60 81 83 80`: so many seconds apart, up to now
            "past" => {
                let words: Vec<u64> = rest.split_whitespace().map(number).collect();
                let [step, values @ ..] = words.as_slice() else { return Err("past SECONDS VALUES".into()) };
                let now = d.world.now;
                let at = |i: usize| At(now.0 - i64::try_from(step * 1_000 * (values.len() - 1 - i) as u64).unwrap());
                let points: Vec<(At, f64)> = values.iter().enumerate().map(|(i, v)| (at(i), *v as f64)).collect();
                d.machine.handle_past(GROUP, Side::Blue, Metric::P99, now, &points);
                Ok(())
            }
            other => panic!("no verb {other:?}"),
        }
    }
}
