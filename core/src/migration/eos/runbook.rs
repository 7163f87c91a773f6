//! The ordered steps of a hard cutover, of its rollback, and of undoing either: their number rests on the command
//! alone, so that a run is at the same step after a restart, whatever the plan says then.

use super::GreenOnly;
use crate::base::Side;
use crate::base::format_duration;
use crate::base::sanitise::{visible_name, visible_names};
use crate::estate::FlagState;
use crate::migration::facts::command::Command;
use crate::migration::facts::event::RunKind;
use crate::migration::facts::settings::ProducerSettings;
use crate::migration::run::runbook::{FRESH_MS, Step, StepKind, TRANSLATE_MS};

/// How long fencing all ids of a side may take, ms: InitProducerId is asked again while markers are under way.
pub(crate) const FENCE_MS: u64 = 60_000;
/// How long nothing may be open, nor written, before ids are fenced, ms; `still` of the plan when that is shorter.
pub(crate) const QUIET_MS: u64 = 3_000;
/// How often what does no harm when it is repeated is done by itself before a person is asked.
pub(crate) const REPEATS: usize = 3;

/// The steps of a producer's run that goes to `to`.
#[must_use]
pub fn hard_steps(kind: RunKind, producer: &ProducerSettings, command: &Command, to: Side) -> Vec<Step> {
    match kind {
        RunKind::HardGiveBack => give_back_steps(producer, to),
        _ => cut_steps(producer, command, to),
    }
}

fn flag_step(producer: &ProducerSettings, to: FlagState) -> Step {
    let how = producer.flag_words.in_brackets(to);
    Step::new(StepKind::Flag { to }, format!("set the flag to {to}, read back{how}"))
}

fn cut_steps(producer: &ProducerSettings, command: &Command, to: Side) -> Vec<Step> {
    let from = to.other();
    let (again, forth) = (format!("start on {from} again"), if to == Side::Green { "roll back" } else { "go on" });
    let mut steps = list_closing_steps(producer, from, &again);
    steps.extend(list_coupled_steps(producer, to, &again));
    let carries = matches!(command, Command::HardBack { green_only: GreenOnly::Carry, .. });
    if carries {
        steps.push(
            Step::new(StepKind::Carry { from }, format!("carry what only {from} holds to {to}, exactly once"))
                .undo(forth),
        );
    }
    // Behind a carry there is no giving back: what was carried can't be taken away again.
    let undo = if carries { forth } else { again.as_str() };
    steps.push(
        Step::new(StepKind::Seam { to }, format!("journal the seam: the end of {from}, the high watermark of {to}"))
            .undo(undo),
    );
    steps.extend(list_opening_steps(producer, to, forth));
    steps
}

/// From the gate until nothing of the producer can write on the side that is left any more.
fn list_closing_steps(producer: &ProducerSettings, from: Side, again: &str) -> Vec<Step> {
    let to = from.other();
    let ids = format!("{} ids on {from}", producer.ids(from).len());
    let deny = match producer.principal(from) {
        Some(principal) => {
            format!("deny {principal} to write with its {ids}", principal = visible_name(principal))
        }
        None => format!("keep restarted instances out of {from}: the plan names no principal, so by watching only"),
    };
    vec![
        Step::new(StepKind::Preflight, "check every row of the gate again"),
        flag_step(producer, FlagState::Off).undo(again),
        // Before the fence: InitProducerId aborts what is open, and a writer that is about to end it must be let.
        Step::new(StepKind::Quiet { side: from }, format!("wait for the end of its transactions on {from}"))
            .within(producer.drain_timeout_ms)
            .undo(again),
        Step::new(StepKind::Fence { side: from }, format!("fence its {ids}"))
            .within(FENCE_MS)
            .undo("none needed: a new instance initialises again"),
        // After the fence, which works on those that live: a denial keeps out those that start later.
        Step::new(StepKind::Deny { side: from }, deny).undo("allow it again"),
        Step::new(
            StepKind::Still { side: from },
            format!("settled, fenced, closed on {from}, nobody on {to}, held {}", format_duration(producer.still_ms)),
        )
        // What disturbs the time starts it anew, so there has to be room for more than one.
        .within(producer.drain_timeout_ms.max(producer.still_ms.saturating_mul(3)))
        .undo(again),
    ]
}

/// The groups whose offsets it commits in its transactions move with it. Where there are none the steps stand all the
/// same: their number rests on the command alone.
fn list_coupled_steps(producer: &ProducerSettings, to: Side, again: &str) -> [Step; 2] {
    let (coupled, commit) = match producer.coupled_groups() {
        [] => ("no coupled groups to translate".to_owned(), format!("no coupled groups to commit on {to}")),
        groups => {
            let names = visible_names(groups);
            (
                format!("translate {names} to {to}: PROVEN, 0 lost, 0 re-read"),
                format!("commit {names} on {to}, read back"),
            )
        }
    };
    [
        Step::new(StepKind::Couple { to }, coupled).within(couple_ms(producer)).undo(again),
        Step::new(StepKind::CoupleCommit { side: to }, commit).undo("none needed: the next cut sets them anew"),
    ]
}

/// Behind the seam, until the producer is seen at work on the side that it goes to, and nowhere else.
fn list_opening_steps(producer: &ProducerSettings, to: Side, forth: &str) -> [Step; 4] {
    let from = to.other();
    [
        // Only behind the seam: from here on somebody may write there.
        Step::new(StepKind::Allow { side: to }, format!("allow on {to} what an earlier cut denied there, if any"))
            .undo(forth),
        flag_step(producer, FlagState::only_on(to)).undo(forth),
        Step::new(StepKind::First { side: to }, format!("see its first committed transaction on {to}"))
            .within(producer.commit_timeout_ms)
            .undo(forth),
        Step::new(
            StepKind::Left { side: from },
            format!("see {from} stand still for {}, nobody past the fence", format_duration(producer.still_ms)),
        )
        .within(producer.still_ms.saturating_mul(3).max(FRESH_MS))
        .undo(forth),
    ]
}

fn give_back_steps(producer: &ProducerSettings, to: Side) -> Vec<Step> {
    vec![
        Step::new(StepKind::Settle, "let the running effect end"),
        Step::new(StepKind::Allow { side: to }, format!("allow on {to} what was denied there, if anything")),
        flag_step(producer, FlagState::only_on(to)),
        Step::new(StepKind::First { side: to }, format!("see it write on {to}")).within(producer.commit_timeout_ms),
    ]
}

/// How long the groups that move with it may take to be translated, one after the other, ms.
fn couple_ms(producer: &ProducerSettings) -> u64 {
    let groups = u64::try_from(producer.coupled_groups().len()).unwrap_or(u64::MAX);
    groups.max(1).saturating_mul(TRANSLATE_MS).saturating_add(producer.settle_timeout_ms)
}

/// How long a cut may take at most before the switch is behind it, ms: a window must have more than that left.
#[must_use]
pub(crate) fn worst_case_ms(producer: &ProducerSettings) -> u64 {
    let steps = cut_steps(producer, &Command::hard_cut(""), Side::Green);
    let behind = steps.iter().position(|s| matches!(s.kind, StepKind::Left { .. })).unwrap_or(steps.len());
    steps[..behind]
        .iter()
        .map(|s| s.timeout_ms.unwrap_or_else(|| look_ms(producer, s.kind)))
        .fold(0, u64::saturating_add)
}

/// How long a step without a time of its own may wait for fresh looks, ms.
fn look_ms(producer: &ProducerSettings, kind: StepKind) -> u64 {
    match kind {
        StepKind::CoupleCommit { .. } if producer.coupled_groups().is_empty() => 0,
        StepKind::CoupleCommit { .. } | StepKind::Seam { .. } | StepKind::Allow { .. } => FRESH_MS,
        StepKind::Flag { to } if to != FlagState::Off => FRESH_MS,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_case_is_what_the_steps_may_take() {
        let mut producer = ProducerSettings {
            reads: Some(vec!["a".into(), "b".into(), "c".into()]),
            still_ms: 60_000,
            drain_timeout_ms: 90_000,
            settle_timeout_ms: 30_000,
            commit_timeout_ms: 45_000,
            ..ProducerSettings::default()
        };
        let couple = |p: &ProducerSettings| {
            let steps = cut_steps(p, &Command::hard_cut("p"), Side::Green);
            steps.iter().find(|s| matches!(s.kind, StepKind::Couple { .. })).and_then(|s| s.timeout_ms).unwrap()
        };
        assert_eq!(couple(&producer), 3 * TRANSLATE_MS + 30_000, "one after the other");
        let still = 3 * producer.still_ms;
        // The commit, the seam, what is allowed and the flag each wait for looks.
        let all = 90_000 + FENCE_MS + still + 3 * TRANSLATE_MS + 30_000 + 4 * FRESH_MS + 45_000;
        assert_eq!(worst_case_ms(&producer), all);
        (producer.reads, producer.settle_timeout_ms) = (None, 0);
        assert_eq!(couple(&producer), TRANSLATE_MS);
        assert_eq!(worst_case_ms(&producer), all - 2 * TRANSLATE_MS - 30_000 - FRESH_MS);
    }
}
