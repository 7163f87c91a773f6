//! Acting: what the machine wants is journalled, then done. The order is the whole safety.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;

use super::{Core, ESTIMATE_AGE_MS, Measurement, MeasurementOrder};
use crate::base::{Actor, At, Side, Trouble};
use crate::controller::eos::watch::EosFocus;
use crate::controller::observe::GroupFocus;
use crate::controller::present;
use crate::jobs::translate::{Purpose, TranslationProgressSink, Translator, WantedGroup};
use crate::migration::facts::command::Subject;
use crate::migration::facts::effect::{IssuedEffect, Outcome};
use crate::migration::facts::event::Event;
use crate::migration::run::machine::Action;
use crate::session::clock::Clock;
use crate::session::crash;
use crate::session::crash::Boundary;
use crate::snapshot::{Arming, Severity};

impl Core {
    /// Carries out what the machine wants, each journal entry durable before the next action is taken.
    pub(super) async fn carry_out_actions(&mut self) {
        while let Some(action) = self.machine.poll() {
            match action {
                // No new effect when it ends: neither the intent nor the deed; the next start finds the run where the
                // journal leaves it.
                Action::Journal { event: Event::Intent { .. }, .. } | Action::Do(_) if self.stopping => {}
                Action::Journal { at, actor, event } => {
                    if !self.write_entry_at(at, actor, event).await {
                        // What stands behind it in the queue rests on this entry: none of it is carried out.
                        return;
                    }
                }
                Action::Do(issued) => self.start(issued),
                Action::Measure { group, to, chosen, topics } => self.to_measure.push((group, to, chosen, topics)),
            }
        }
        let now = Clock.now();
        let questions = self.machine.wanted_metrics(now);
        // Only a change wakes the pollers: this comes by with every observation.
        self.questions.send_if_modified(|asked| replace_if_changed(asked, questions));
        let closely: EosFocus = self.machine.eos_focus(now).into_iter().collect();
        self.eos_focus.send_if_modified(|focus| replace_if_changed(focus, closely));
        let wanted: GroupFocus = self.machine.focus_groups(now).into_iter().collect();
        self.focus.send_if_modified(|focus| replace_if_changed(focus, wanted));
    }

    /// Writes an entry. When the journal can't be written, nothing is done any more: not one effect without its intent on disk.
    pub(super) async fn write_entry(&mut self, actor: impl Into<Actor>, event: Event) -> bool {
        self.write_entry_at(Clock.now(), actor.into(), event).await
    }

    /// The same for what became true at `at`.
    async fn write_entry_at(&mut self, at: At, actor: Actor, event: Event) -> bool {
        if let Event::Intent { issued, .. } = &event {
            crash::abort_if_at(self.options.crash_at.as_ref(), Boundary::Before, &issued.key);
        }
        if matches!(self.arming, Arming::ReadOnly { .. }) {
            return false;
        }
        if let (Event::Intent { issued, .. }, Some(crash_at)) = (&event, &self.options.crash_at)
            && crash_at.is_at(Boundary::Full, &issued.key)
        {
            self.journal_failed(Trouble::new("the disk is full (a test's)", "free some space there"), &event);
            return false;
        }
        match self.ledger.append(at, actor, event.clone()).await {
            Ok(entry) => {
                // Only now: nothing is shown or told that a crash could take back.
                self.remember_entry(&entry);
                if let Some(told) = &self.options.on_entry {
                    told(&entry);
                }
                if let Event::Intent { issued, .. } = &entry.event {
                    crash::abort_if_at(self.options.crash_at.as_ref(), Boundary::AfterIntent, &issued.key);
                }
                true
            }
            Err(trouble) => {
                self.journal_failed(trouble, &event);
                false
            }
        }
    }

    /// Keeps what soaks measured since the last time, so that a restart goes on counting.
    pub(super) async fn keep_samples(&mut self) {
        let changes = self.machine.unsaved_samples();
        if changes.is_empty() || matches!(self.arming, Arming::ReadOnly { .. }) {
            return;
        }
        if let Err(trouble) = self.ledger.keep_samples(changes).await {
            tracing::warn!(why = %trouble.what, "samples are not kept");
            self.machine.mark_samples_unsaved();
            self.add_notice(Severity::Warn, Subject::Migration, trouble);
        }
    }

    pub(super) fn start(&mut self, issued: IssuedEffect) {
        let Some(executor) = self.executor.clone().filter(|_| self.unwritable.is_none()) else {
            let why = Trouble::new("this session changes nothing", "use the session that holds the journal");
            // Failed and not unknown: nothing was begun.
            self.machine.handle_outcome(&issued.key, Outcome::Failed { why }, Clock.now());
            return;
        };
        let (key, crash_at) = (issued.key.clone(), self.options.crash_at.clone());
        let kind: &'static str = (&issued.effect).into();
        tracing::info!(key, kind, "effect started");
        self.effects.spawn(async move {
            let watch = Clock.stopwatch();
            // On a task of its own, so that one which panics still has an outcome, an unknown one.
            let effect = tokio::spawn(async move { executor.execute(issued).await });
            // Not in its own words, which may be made of what the clients were given.
            let outcome = effect.await.unwrap_or_else(|_| Outcome::Unknown {
                why: Trouble::new("the effect broke off", "look at what stands; this is a fault of cutover"),
            });
            let ms = watch.elapsed_ms();
            match &outcome {
                Outcome::Done { .. } => tracing::info!(key, kind, ms, "effect done"),
                Outcome::Failed { why } => tracing::warn!(key, kind, ms, why = %why.what, "effect failed"),
                Outcome::Unknown { why } => tracing::warn!(key, kind, ms, why = %why.what, "effect unknown"),
            }
            crash::abort_if_at(crash_at.as_ref(), Boundary::AfterEffect, &key);
            (key, outcome)
        });
    }

    pub(super) fn effect_ended(&mut self, ended: Result<(String, Outcome), tokio::task::JoinError>) {
        // Without an outcome the intent stands alone in the journal, and the next start takes it for unknown.
        if let Ok((key, outcome)) = ended {
            self.progress.remove(&key);
            self.machine.handle_outcome(&key, outcome, Clock.now());
        }
    }

    /// Starts the measurements that were asked for, those to one side together: what several groups read is read once.
    /// While more questions wait they may be more of the same.
    pub(super) fn start_measurements(&mut self) {
        if self.to_measure.is_empty() || !self.ends.asks.is_empty() {
            return;
        }
        let all = std::mem::take(&mut self.to_measure);
        let Some(translator) = self.translator.clone() else {
            let why = Trouble::new("records can't be read", "see the notice about the client properties");
            for (group, to, chosen, _) in all {
                self.machine.handle_estimate(&group, to, chosen.as_ref(), Err(why.clone()), Clock.now());
            }
            return;
        };
        for side in Side::BOTH {
            let some: Vec<_> = all.iter().filter(|(_, to, _, _)| *to == side).cloned().collect();
            if !some.is_empty() {
                self.measurements.spawn(measure_all(translator.clone(), side, some));
            }
        }
    }

    pub(super) fn take_measurements(&mut self, measured: Result<Vec<Measurement>, tokio::task::JoinError>) {
        for (group, to, chosen, result) in measured.into_iter().flatten() {
            self.machine.handle_estimate(&group, to, chosen.as_ref(), result, Clock.now());
        }
    }

    /// While a person reads a dialog, its estimate stays young.
    pub(super) async fn keep_estimate_fresh(&mut self, now: At) {
        let Some(watched) = &self.watching else { return };
        let Some(command) = present::due_measurement(&self.machine, watched, now, ESTIMATE_AGE_MS) else { return };
        if self.machine.handle_command(&command, &self.options.actor.clone().into(), "", None, now).is_ok() {
            self.carry_out_actions().await;
        }
    }

    /// A dry run beside the session that holds the journal goes by what stood when it began: what that session does
    /// meanwhile is said, not mixed into what is only thought.
    pub(super) async fn notice_growth(&mut self) {
        if self.ledger.read_newer().await.is_ok_and(|entries| !entries.is_empty()) {
            let what = "the session that holds the journal has gone on since this dry run began";
            let advice = "what is shown here stood then: start the dry run again to go by what stands now";
            self.add_notice(Severity::Warn, Subject::Migration, Trouble::new(what, advice));
        }
    }
}

/// Puts a value in the place of another; whether that changed anything.
fn replace_if_changed<T: PartialEq>(slot: &mut T, value: T) -> bool {
    let changed = *slot != value;
    *slot = value;
    changed
}

async fn measure_all(translator: Translator, to: Side, some: Vec<MeasurementOrder>) -> Vec<Measurement> {
    let quiet: TranslationProgressSink = Arc::new(|_| {});
    let wanted: Vec<WantedGroup<'_>> =
        some.iter().map(|(group, _, chosen, topics)| WantedGroup { group, chosen: chosen.as_ref(), topics }).collect();
    let translating = AssertUnwindSafe(translator.translate_many(&wanted, to, Purpose::Estimate, &quiet));
    let mut results = translating.catch_unwind().await.unwrap_or_default().into_iter();
    let end = |(group, to, chosen, _): MeasurementOrder| {
        // Without an answer the group would count as being measured for ever.
        let broken = || Trouble::new("the measurement broke off", "this is a fault of cutover: run with --log");
        (group, to, chosen, results.next().unwrap_or_else(|| Err(broken())))
    };
    some.into_iter().map(end).collect()
}
