//! One diff at a time, beside everything else: it only reads, and the loop never waits for it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};

use super::Core;
use crate::base::{At, Person, Side, Trouble, lock_unpoisoned};
use crate::diff::DiffVerdict;
use crate::diff::asked::DiffProgress;
use crate::jobs::compare as diff;
use crate::jobs::compare::{DiffFailure, DiffRequest, Ended, finish_diff};
use crate::migration::facts::command::{Refusal, Subject};
use crate::migration::facts::event::{ComparedCounts, ComparedVerdict, Event};
use crate::replay::Ranges;
use crate::session::clock::Clock;
use crate::snapshot::{DiffResult, DiffSpan, DiffState, DiffView, DiffWhat, Notice, Severity, describe_span};

/// How long a diff that was told to stop may take to save when the controller ends.
const LAST_SAVE: Duration = Duration::from_secs(20);

/// What a diff came to: the result and how many topics have something unknown; `None` when it was stopped.
type DiffOutcome = Result<Option<(Box<DiffResult>, u64)>, DiffFailure>;

/// The diff under way, or the last one.
#[derive(Default)]
pub(super) struct CurrentDiff {
    /// As screens see it.
    pub view: Option<DiffView>,
    /// The one that runs; never more.
    pub tasks: JoinSet<DiffOutcome>,
    /// What people were told of earlier ones, by what was compared: another diff of the same takes it back.
    told: Vec<(DiffWhat, Notice)>,
    stop: Arc<AtomicBool>,
    progress: Arc<Mutex<Option<DiffProgress>>>,
}

impl Core {
    /// Starts a diff, unless one is under way.
    pub(super) fn start_diff(
        &mut self,
        what: DiffWhat,
        span: DiffSpan,
        resume: bool,
        actor: Person,
    ) -> Result<(), Refusal> {
        // The view may be that of the last one, which is over.
        if let Some(running) = self.comparing.view.as_ref().filter(|_| !self.comparing.tasks.is_empty()) {
            let words = running.what.describe();
            return Err(Refusal::holds(format!("a diff of {words} is under way"), "wait for it, or stop it first"));
        }
        if self.stopping {
            return Err(Refusal::refused("the controller is ending", "start it again"));
        }
        let (source, carried) = (Side::Blue, Ranges::default());
        let request = DiffRequest {
            what: what.clone(),
            span,
            source,
            rate: None,
            memory: None,
            resume,
            replayed: false,
            carried,
        };
        // New ones: the last diff's flag may still be set, and its words must not pass for this one's.
        self.comparing.stop = Arc::default();
        self.comparing.progress = Arc::default();
        let progress = Arc::clone(&self.comparing.progress);
        let tell: diff::DiffProgressSink = Arc::new(move |p: &DiffProgress| {
            *lock_unpoisoned(&progress) = Some(p.clone());
        });
        let (plan, stop) = (Arc::clone(&self.plan), Arc::clone(&self.comparing.stop));
        let about = what.clone();
        self.comparing.tasks.spawn(async move {
            match diff::run_diff(Arc::clone(&plan), request, tell, stop).await? {
                Ended::Interrupted => Ok(None),
                Ended::Done(report) => {
                    let unknown = report.topics.iter().filter(|t| !t.unknown.is_empty()).count() as u64;
                    let result = tokio::task::spawn_blocking(move || finish_diff(&plan, &about, &report)).await;
                    let broke =
                        |e| DiffFailure::Failed(Trouble::new(format!("the result was lost: {e}"), "verify again"));
                    Ok(Some((Box::new(result.map_err(broke)?), unknown)))
                }
            }
        });
        let state = DiffState::Running { progress: None, stopping: false };
        self.comparing.view = Some(DiffView { what, span, source, began: Clock.now(), actor, state });
        Ok(())
    }

    /// Tells the diff to stop; it saves what it has, and ends within about a second.
    pub(super) fn stop_diff(&mut self) -> Result<(), Refusal> {
        if self.comparing.tasks.is_empty() {
            return Err(Refusal::refused("no diff is under way", "start one with v on a group, producer or topic"));
        }
        self.comparing.stop.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// What screens see, with how far it is by now.
    pub(super) fn diff_view(&self) -> Option<DiffView> {
        let mut view = self.comparing.view.clone()?;
        if let DiffState::Running { progress, stopping } = &mut view.state {
            // It lies beside the view because the diff writes it from threads of its own.
            progress.clone_from(&lock_unpoisoned(&self.comparing.progress));
            *stopping = self.comparing.stop.load(Ordering::Relaxed);
        }
        Some(view)
    }

    /// A diff has ended: into the view, the journal and, where it wants reading, the notices.
    pub(super) async fn take_diff_outcome(&mut self, came: Result<DiffOutcome, JoinError>) {
        // Not in its own words, which may be made of what the clients were given.
        let broke =
            |_: JoinError| DiffFailure::Failed(Trouble::new("the diff broke off", "this is a fault of cutover"));
        let came = came.map_err(broke).and_then(|came| came);
        let Some(view) = &mut self.comparing.view else { return };
        let (at, words, subject, actor) = (Clock.now(), view.what.describe(), view.subject(), view.actor.clone());
        let (about, what) = (format!("verify {words}: "), view.what.clone());
        take_back_notices(&what, &mut self.comparing.told, &mut self.notices);
        match came {
            Ok(None) => view.state = end_without_result(None, at),
            Err(broken) => {
                view.state = end_without_result(Some(&broken), at);
                let trouble = broken.trouble();
                let notice = Trouble::new(format!("{about}{}", trouble.what), trouble.advice.clone());
                self.notice_diff(what, subject, notice);
            }
            Ok(Some((result, unknown_topics))) => {
                let counts = to_compared(&result, unknown_topics);
                let event = Event::Compared {
                    subject: subject.clone(),
                    what: format!("{words}, {}", describe_span(view.span)),
                    verdict: compared_verdict(&result),
                    counts,
                };
                let clean = result.verdict == DiffVerdict::Clean;
                let notice = Trouble::new(
                    format!("{about}{}; {}", result.said, crate::snapshot::journal_text::describe_counts(&counts)),
                    result.next.first().map(|next| next.text().to_owned()).unwrap_or_default(),
                );
                view.state = DiffState::Done { at, result };
                if !clean {
                    self.notice_diff(what, subject, notice);
                }
                self.write_entry(actor, event).await;
            }
        }
    }

    fn notice_diff(&mut self, what: DiffWhat, subject: Subject, trouble: Trouble) {
        let notice = Notice { at: Clock.now(), severity: Severity::Warn, subject, trouble };
        self.comparing.told.push((what, notice.clone()));
        self.push_notice(notice);
    }

    /// The controller ends: the diff saves what it has.
    pub(super) async fn end_diff(&mut self) {
        self.comparing.stop.store(true, Ordering::Relaxed);
        let tasks = &mut self.comparing.tasks;
        let saved = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_SAVE, saved).await.is_err() {
            tracing::warn!("the diff did not stop in time: it goes on from where it was last saved");
        }
    }
}

/// What screens see of a diff that ended without a result. Stopped, which says that it is kept and can go on, is only one
/// that saved what it had: a stop that was asked for excuses no failure.
fn end_without_result(broken: Option<&DiffFailure>, at: At) -> DiffState {
    match broken {
        None => DiffState::Stopped { at },
        Some(broken) => DiffState::Failed { at, trouble: broken.trouble().clone() },
    }
}

/// Takes back what was said of earlier diffs of the same. What is no notice any more, because newer ones took its place, is
/// forgotten with it, so that no more is kept than there are notices.
fn take_back_notices(what: &DiffWhat, told: &mut Vec<(DiffWhat, Notice)>, notices: &mut VecDeque<Notice>) {
    notices.retain(|n| !told.iter().any(|(of, said)| of == what && said.says_as(n)));
    told.retain(|(_, said)| notices.iter().any(|n| said.says_as(n)));
}

fn compared_verdict(result: &DiffResult) -> ComparedVerdict {
    match (result.verdict, result.known) {
        (DiffVerdict::Clean, _) => ComparedVerdict::Clean,
        (DiffVerdict::Unknown, _) => ComparedVerdict::Unknown,
        (DiffVerdict::Differs, true) => ComparedVerdict::Differs,
        (DiffVerdict::Differs, false) => ComparedVerdict::DiffersAndUnknown,
    }
}

fn to_compared(result: &DiffResult, unknown_topics: u64) -> ComparedCounts {
    let f = &result.found;
    ComparedCounts {
        equal: f.equal,
        missing: f.missing,
        only_target: f.only_target,
        duplicated: f.duplicated_source + f.duplicated_target,
        reordered: f.reordered,
        unsettled: f.unsettled,
        unknown_topics,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_diff_that_was_told_to_stop_and_could_not_save_is_not_called_stopped() {
        let full = Trouble::new("can't write diff/state: no space left on device", "make room");
        let state = end_without_result(Some(&DiffFailure::Failed(full.clone())), At(7));
        assert_eq!(state, DiffState::Failed { at: At(7), trouble: full });
        assert_eq!(end_without_result(None, At(7)), DiffState::Stopped { at: At(7) });
    }

    #[test]
    fn a_diff_takes_back_what_was_said_of_earlier_ones_of_the_same_only() {
        let notice = |what: &str| Notice {
            at: At(1),
            severity: Severity::Warn,
            subject: Subject::Migration,
            trouble: Trouble::new(what, ""),
        };
        let topics = |name: &str| DiffWhat::Topics(vec![name.to_owned()]);
        // A name may begin as the words of another notice do.
        let (one, other) = (notice("verify topic a: DIFFERS"), notice("verify topic a: b: DIFFERS"));
        let foreign = notice("verify topic a: is said by somebody else");
        let mut told = vec![(topics("a"), one.clone()), (topics("a: b"), other.clone()), (topics("c"), notice("gone"))];
        let mut notices: VecDeque<Notice> = [one, other.clone(), foreign.clone()].into();
        take_back_notices(&topics("a"), &mut told, &mut notices);
        assert_eq!(notices, [other.clone(), foreign]);
        assert_eq!(told, [(topics("a: b"), other)]);
    }
}
