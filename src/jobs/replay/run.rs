//! One replay from the question to the outcome.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::carry::{BEGIN_ANEW, CarriedTotals, Carrier, End, FoundProgress, Work, check_progress_fits};
use super::ground::{ReplayPreconditions, ReplayTarget};
use super::history::{EarlierReplays, KnownReplay};
use super::source::describe_briefly;
use super::stop::Stop;
use super::survey;
use super::survey::{SourceCensus, SurveyContext};
use super::{Halt, ReplayAnswer, ReplayProgressSink, ReplayQuestion, ReplayRequest, ReplayWhat, Ui};
use crate::base::sanitise::{quoted_name, visible_name};
use crate::base::{Side, Trouble};
use crate::migration::facts::command::shell_word;
use crate::migration::facts::event::{Event, JournalEntry};
use crate::plan::Plan;
use crate::replay::spec::transactional_id;
use crate::replay::{BatchLimits, Census, KeyBook, Ranges, Reordered, ReplayEnd, ReplayReport, ReplaySpec, ranges};
use crate::session::clock::Clock;
use crate::session::lease::WriteLease;
use crate::session::ledger::{Access, Ledger, build_opened_event};
use crate::session::options::{Options, Want};
use crate::snapshot::Arming;

/// Carries out a replay, or (with [`Want::DryRun`] or [`Want::ReadOnly`]) says what it would carry. Never fails: what
/// stood in the way is in the report. `stop` ends it in order after the transaction that is open.
pub async fn run_replay(
    plan: &Plan,
    options: &Options,
    request: &ReplayRequest,
    ui: &mut Ui<'_>,
    stop: Arc<Stop>,
) -> ReplayReport {
    let mut report = ReplayReport::new(request.from, options.want != Want::Armed);
    let ground = match ReplayPreconditions::new(plan) {
        Ok(ground) => ground,
        Err(why) => return end_report(report, Halt::Unknown(why)),
    };
    let access = match options.want {
        Want::Armed => Ledger::open(plan, options, Clock.now()).await,
        _ => Ledger::open(plan, &Options { want: Want::ReadOnly, ..options.clone() }, Clock.now()).await,
    };
    let Access { mut ledger, entries, arming, troubles, .. } = access;
    let lease = ledger.lease();
    if options.want == Want::Armed && lease.is_none() {
        let why = match arming {
            Arming::ReadOnly { why } => why,
            Arming::Armed | Arming::DryRun => "the journal can't be written".to_owned(),
        };
        let advice = troubles.first().map_or("end the session that holds it, or use that one", |t| t.advice.as_str());
        return end_report(report, Halt::Refused(Trouble::new(format!("nothing can be replayed: {why}"), advice)));
    }
    report.warnings.extend(troubles.into_iter().map(|t| t.what));
    let mut session = ReplaySession { plan, options, request, ground, entries, stop, lease };
    if session.lease.is_some() {
        let opened = build_opened_event(plan, options);
        if let Err(why) = ledger.append(Clock.now(), options.actor.clone(), opened).await {
            return end_report(report, Halt::Refused(why));
        }
    }
    let ended = session.run_to_end(&mut ledger, ui, &mut report).await;
    if session.lease.is_some() {
        let closed = Event::Closed { actor: options.actor.to_string() };
        if let Err(why) = ledger.append(Clock.now(), options.actor.clone(), closed).await {
            report.warnings.push(why.what);
        }
    }
    ledger.close().await;
    match ended {
        Ok(()) => report,
        Err(halt) => end_report(report, halt),
    }
}

pub(super) struct ReplaySession<'a> {
    pub plan: &'a Plan,
    pub options: &'a Options,
    pub request: &'a ReplayRequest,
    pub ground: ReplayPreconditions,
    pub entries: Vec<JournalEntry>,
    pub stop: Arc<Stop>,
    pub lease: Option<WriteLease>,
}

/// What was seen before a start.
struct ReplayPreview {
    spec: ReplaySpec,
    reordered: Option<Reordered>,
}

impl ReplaySession<'_> {
    async fn run_to_end(
        &mut self,
        ledger: &mut Ledger,
        ui: &mut Ui<'_>,
        report: &mut ReplayReport,
    ) -> Result<(), Halt> {
        self.ground.check_pins(&self.entries).await?;
        let earlier = EarlierReplays::from_entries(&self.entries);
        let (run, spec) = match &self.request.what {
            ReplayWhat::Resume(id) => {
                let (run, known) = earlier.to_resume(id.as_deref()).map_err(Halt::Refused)?;
                report.set_spec(&known.spec);
                report.run = Some(run.clone());
                (ui.say)(&format!("replay {run}: {}", describe_spec(&known.spec)));
                if self.lease.is_none() {
                    return Ok(());
                }
                let event = Event::ReplayResumed { replay: run.clone() };
                self.journal_event(ledger, event).await?;
                let spec = known.spec.clone();
                return self.carry_out(ledger, ui, report, run, spec, Some(known)).await;
            }
            _ => {
                let Some(seen) = self.survey_replay(&earlier, ui, report).await? else { return Ok(()) };
                let Some(confirmed) = self.ask_confirmation(ui, report, &seen)? else { return Ok(()) };
                let run = run_id();
                let event = Event::ReplayStarted {
                    replay: run.clone(),
                    spec: seen.spec.clone(),
                    confirmed,
                    reordered: seen.reordered.as_ref().map(|r| r.keys),
                };
                self.journal_event(ledger, event).await?;
                (run, seen.spec)
            }
        };
        report.run = Some(run.clone());
        (ui.say)(&format!("replay {run} starts; if it is cut off: cutover replay --resume {run}"));
        self.carry_out(ledger, ui, report, run, spec, None).await
    }

    async fn journal_event(&self, ledger: &mut Ledger, event: Event) -> Result<(), Halt> {
        ledger.append(Clock.now(), self.options.actor.clone(), event).await.map(drop).map_err(Halt::Refused)
    }

    /// Everything that can be known before anything is sent. `None`: there is nothing to carry.
    async fn survey_replay(
        &self,
        earlier: &EarlierReplays,
        ui: &mut Ui<'_>,
        report: &mut ReplayReport,
    ) -> Result<Option<ReplayPreview>, Halt> {
        let request = self.request;
        let ranges = match &request.what {
            ReplayWhat::Ranges(ranges) => ranges.clone(),
            ReplayWhat::Between { topic, from, to } => {
                self.ground.ranges_between(request.from, topic, *from, *to).await?
            }
            ReplayWhat::Resume(_) => Ranges::default(),
        };
        report.ranges = ranges.pieces().collect();
        if ranges.is_empty() {
            (ui.say)("nothing to carry: the ranges are empty");
            return Ok(None);
        }
        if ranges.len() > ranges::MAX_PIECES {
            let what = format!("{} ranges are more than a replay takes ({})", ranges.len(), ranges::MAX_PIECES);
            return Err(Halt::Refused(Trouble::new(what, "carry them in several replays")));
        }
        let counts = self.ground.check_source(request.from, &ranges).await?;
        let target = self.ground.survey_target(request, &counts).await?;
        // Wherever a topic's own readers would find the records among newer ones.
        let to = request.from.other();
        let keys = target.routes.iter().any(|(topic, route)| route.to == self.ground.names.topic_on(to, topic));
        let found = self.count_records(&ui.tell, &ranges, keys).await?;
        let spec = self.build_spec(&ranges, &target, &found.census);
        report.set_spec(&spec);
        if let Some(why) = earlier.find_repeat(&spec).filter(|_| !request.again) {
            return Err(Halt::Refused(why));
        }
        if spec.records == 0 {
            (ui.say)("nothing to carry: the ranges hold no committed record");
            return Ok(None);
        }
        self.check_target(&target, &found.census, report)?;
        // Before its intent is in the journal: it could neither be carried out nor gone on with.
        check_progress_fits(&spec).map_err(Halt::Refused)?;
        let reordered = match keys {
            true => Some(self.compare_keys(&ui.tell, &ranges, &target, found.books).await?),
            false => None,
        };
        report.reordered.clone_from(&reordered);
        Ok(Some(ReplayPreview { spec, reordered }))
    }

    fn survey_context(&self, side: Side, tell: &ReplayProgressSink, ranges: &Ranges) -> SurveyContext {
        let topics = ranges.partitions().map(|tp| tp.topic.clone());
        SurveyContext {
            link: self.ground.link(side),
            side,
            names: Arc::clone(&self.ground.names),
            stop: Arc::clone(&self.stop),
            tell: Arc::clone(tell),
            rules: topics.map(|topic| (topic.clone(), self.plan.topic_rule(&topic).identity)).collect(),
            identities: self.ground.identities.clone(),
        }
    }

    pub(super) async fn count_records(
        &self,
        tell: &ReplayProgressSink,
        ranges: &Ranges,
        keys: bool,
    ) -> Result<SourceCensus, Halt> {
        let look = self.survey_context(self.request.from, tell, ranges);
        let longest = ranges.partitions().map(|tp| tp.topic.len()).max().unwrap_or(0);
        let mark = self.request.mark.then(|| run_id().len() + longest + 32); // two numbers and three signs
        let ranges = ranges.clone();
        let found =
            run_blocking("counting the records", move || survey::count_records(&look, &ranges, mark, keys)).await?;
        found.map_err(Halt::Unknown)?.ok_or(Halt::Interrupted)
    }

    pub(super) fn build_spec(
        &self,
        ranges: &Ranges,
        target: &ReplayTarget,
        census: &BTreeMap<String, Census>,
    ) -> ReplaySpec {
        ReplaySpec {
            from: self.request.from,
            asked: self.request.asked.clone(),
            ranges: ranges.clone(),
            routes: target.routes.clone(),
            mark: self.request.mark,
            records: census.values().map(|c| c.records).sum(),
            bytes: census.values().map(|c| c.bytes).sum(),
            largest: census.values().filter_map(|c| c.largest.as_ref()).map(|l| l.0).max().unwrap_or(0),
            max_batch: target.topics.values().filter_map(|t| t.max_message_bytes).min(),
            target_ends: target.ends.clone(),
        }
    }

    /// Whether the target takes every record.
    pub(super) fn check_target(
        &self,
        target: &ReplayTarget,
        census: &BTreeMap<String, Census>,
        report: &mut ReplayReport,
    ) -> Result<(), Halt> {
        let now = Clock.now();
        for (topic, census) in census.iter().filter(|(_, c)| c.records > 0) {
            let Some(route) = target.routes.get(topic) else { continue };
            let Some(to) = target.topics.get(&route.to) else { continue };
            if let Some(why) = to.list_refusals(census, now).into_iter().next() {
                return Err(Halt::Refused(why));
            }
            report.warnings.extend(to.list_warnings(census, now));
            if route.by == crate::replay::By::Key && census.keyless > 0 {
                let keyless = census.keyless;
                report.warnings.push(format!(
                    "{keyless} records of {topic} have no key: they go to their partition's number modulo {}",
                    route.partitions,
                    topic = visible_name(topic)
                ));
            }
        }
        Ok(())
    }

    async fn compare_keys(
        &self,
        tell: &ReplayProgressSink,
        ranges: &Ranges,
        target: &ReplayTarget,
        books: BTreeMap<String, KeyBook>,
    ) -> Result<Reordered, Halt> {
        let to = self.request.from.other();
        let mut pieces = Vec::new();
        for (topic, book) in &books {
            let Some(from) = book.oldest_ts() else { continue };
            let sources: Vec<i32> =
                ranges.partitions().filter(|tp| tp.topic == *topic).map(|tp| tp.partition).collect();
            pieces.extend(self.ground.find_newer(to, target, topic, &sources, from).await?);
        }
        let there = Ranges::from_pieces(pieces);
        let look = self.survey_context(to, tell, &there);
        let found = run_blocking("comparing keys", move || survey::compare_keys(&look, &there, &books)).await?;
        found.map_err(Halt::Unknown)?.ok_or(Halt::Interrupted)
    }

    /// Shows what is going to happen and asks. `None`: a dry run, nothing is asked.
    fn ask_confirmation(
        &self,
        ui: &mut Ui<'_>,
        report: &ReplayReport,
        seen: &ReplayPreview,
    ) -> Result<Option<String>, Halt> {
        let spec = &seen.spec;
        let reorders = seen.reordered.as_ref().is_some_and(|r| !r.is_none()) && !self.request.accept_reorder;
        let topics: Vec<&String> = spec.routes.keys().collect();
        let name = if let [one] = topics.as_slice() { (*one).clone() } else { self.plan.name.clone() };
        let mut lines = vec![describe_spec(spec)];
        lines.extend(seen.reordered.as_ref().map(describe_order).unwrap_or_default());
        lines.extend(report.warnings.iter().map(|w| format!("warning: {w}")));
        if self.lease.is_none() {
            lines.iter().for_each(|line| (ui.say)(line));
            return Ok(None);
        }
        let shown = visible_name(&name);
        let phrase = format!("{} {shown}", if reorders { "reorder" } else { "replay" });
        let question = ReplayQuestion { lines, phrase, name: name.clone(), reorders };
        let behind = "records would land behind newer ones of their keys";
        match (ui.confirm)(&question) {
            ReplayAnswer::Typed(text) if text.trim() == question.phrase => Ok(Some(text)),
            ReplayAnswer::Yes(given) if (given == name || given == shown) && reorders => {
                Err(Halt::Holds(Trouble::new(
                    behind,
                    "accept that with --accept-reorder, or carry them into a side topic with --into TOPIC",
                )))
            }
            // as it is, or as it is shown: the journal has it as it is shown
            ReplayAnswer::Yes(given) if given == name || given == shown => Ok(Some(shown)),
            ReplayAnswer::Typed(given) | ReplayAnswer::Yes(given) => Err(Halt::Refused(Trouble::new(
                format!("not confirmed: {} is not what was asked for", quoted_name(&given)),
                format!("type \"{}\", or add --yes={}", question.phrase, shell_word(&name)),
            ))),
            ReplayAnswer::No => Err(Halt::Refused(Trouble::new(
                "not confirmed",
                format!("add --yes={} to confirm it", shell_word(&name)),
            ))),
        }
    }

    pub(super) fn build_work(&self, tell: &ReplayProgressSink, run: String, spec: ReplaySpec) -> Work {
        Work {
            run,
            from: self.ground.link(spec.from),
            to: self.ground.link(spec.target_side()),
            names: Arc::clone(&self.ground.names),
            rate: self.request.rate,
            limits: BatchLimits::default(),
            stop: Arc::clone(&self.stop),
            tell: Arc::clone(tell),
            spec,
        }
    }

    /// Carries what is left, reads back, and writes the outcome.
    async fn carry_out(
        &mut self,
        ledger: &mut Ledger,
        ui: &mut Ui<'_>,
        report: &mut ReplayReport,
        run: String,
        spec: ReplaySpec,
        known: Option<KnownReplay>,
    ) -> Result<(), Halt> {
        let Some(lease) = self.lease.take() else { return Ok(()) };
        let work = self.build_work(&ui.tell, run.clone(), spec);
        let (carried, end, lease, work) = run_blocking("carrying records", move || {
            let (carried, end) = carry_with_retries(&work, &lease, known.as_ref());
            (carried, end, lease, work)
        })
        .await?;
        self.lease = Some(lease);
        (report.carried, report.carried_bytes) = (carried.records, carried.bytes);
        (report.transactions, report.took_ms) = (carried.transactions, carried.ms);
        let resume = format!("go on with `cutover replay --resume {run}`");
        let (event, halt) = match end {
            End::Done => {
                self.read_back(&ui.tell, report, &work).await;
                let halt = (report.verified == Some(false)).then(|| {
                    let found = report.found.unwrap_or(0);
                    let what = format!("{found} marks were read back of {} records", work.spec.records);
                    Halt::Refused(Trouble::new(what, "compare both clusters with `cutover diff`"))
                });
                (ReplayEnd::Done { carried: carried.records, verified: report.verified }, halt)
            }
            End::Stopped => {
                (ui.say)(&format!("stopped after {} records; {resume}", carried.records));
                let why = "it was told to stop".to_owned();
                (ReplayEnd::Stopped { carried: carried.records, why }, Some(Halt::Interrupted))
            }
            End::Failed(why) => {
                let halt = Halt::Refused(Trouble::new(why.what.clone(), join_advice(&why.advice, &resume)));
                (ReplayEnd::Stopped { carried: carried.records, why: why.what }, Some(halt))
            }
            // Nobody is sent to go on with what can't be gone on with.
            End::Over(why) => {
                let end = ReplayEnd::Stopped { carried: carried.records, why: why.what.clone() };
                (end, Some(Halt::Refused(why)))
            }
        };
        let done = matches!(event, ReplayEnd::Done { .. });
        self.journal_event(ledger, Event::ReplayEnded { replay: run, end: event }).await?;
        if done {
            // The journal knows now: progress on the target would only look like a group that lags.
            report
                .warnings
                .extend(self.ground.delete_group(work.spec.target_side(), &transactional_id(&work.run)).await);
        }
        halt.map_or(Ok(()), Err)
    }

    /// Counts the run's marks on the target. What can't be read back is said, and is no pass.
    pub(super) async fn read_back(&self, tell: &ReplayProgressSink, report: &mut ReplayReport, work: &Work) {
        if !(work.spec.mark && self.request.read_back) {
            return;
        }
        let (link, run, ends) = (work.to.clone(), work.run.clone(), work.spec.target_ends.clone());
        let (stop, tell) = (Arc::clone(&self.stop), Arc::clone(tell));
        let read = run_blocking("reading back", move || match survey::find_written(&link, &ends, &stop, &tell)? {
            Some(written) => survey::read_back(&link, &run, &written, &stop, &tell),
            None => Ok(None),
        })
        .await;
        match read {
            Ok(Ok(Some(tally))) => {
                report.found = Some(tally.seen);
                report.verified = Some(tally.seen == work.spec.records && tally.again == 0);
            }
            Ok(Ok(None)) => report.warn_unread(None),
            Ok(Err(why)) => report.warn_unread(Some(why)),
            Err(halt) => report.warn_unread(halt.into_parts().1),
        }
    }
}

/// How often a go that carried something and then failed is followed by another one: a broker that dies takes the
/// transaction with it, and is usually back by then.
const GOES: u32 = 5;

/// Fences, finds out how far it came, carries; again while that gets on.
pub(super) fn carry_with_retries(work: &Work, lease: &WriteLease, known: Option<&KnownReplay>) -> (CarriedTotals, End) {
    let mut total = CarriedTotals::default();
    for left in (0..GOES).rev() {
        let (carrier, standing) = match Carrier::open(work, lease) {
            Ok(opened) => opened,
            Err(end) => return (total, end),
        };
        let before = total.records + known.map_or(0, |k| k.carried);
        let fresh = known.is_none() && before == 0;
        if matches!(standing, FoundProgress::Nothing)
            && !fresh
            && let Err(end) = nothing_was_carried(work, before)
        {
            return (total, end);
        }
        let (carried, end) = carrier.carry();
        total.add(carried);
        match end {
            End::Failed(why) if carried.records > 0 && left > 0 => {
                tracing::warn!(records = carried.records, left, why = %why.what, "carrying goes on");
            }
            end => return (total, end),
        }
    }
    (total, End::Stopped)
}

/// No progress is committed: either nothing was carried, or what was committed is gone. The marks tell; without marks
/// any record that was written since the start may be one of the run's. To be asked when earlier instances are fenced.
fn nothing_was_carried(work: &Work, before: u64) -> Result<(), End> {
    let lost = || {
        tracing::error!(run = %visible_name(&work.run), before, "the progress that was committed is gone");
        End::Over(Trouble::new(
            format!(
                "the progress of replay {} is gone from group {}",
                visible_name(&work.run),
                visible_name(&transactional_id(&work.run))
            ),
            format!("it can't be known what was carried: {BEGIN_ANEW}"),
        ))
    };
    if before > 0 {
        return Err(lost());
    }
    let found = || -> Result<Option<bool>, Trouble> {
        let Some(written) = survey::find_written(&work.to, &work.spec.target_ends, &work.stop, &work.tell)? else {
            return Ok(None);
        };
        if !work.spec.mark {
            return survey::holds_any(&work.to, &written, &work.stop);
        }
        let tally = survey::read_back(&work.to, &work.run, &written, &work.stop, &work.tell)?;
        Ok(tally.map(|tally| tally.seen > 0))
    };
    match found() {
        Ok(Some(false)) => Ok(()),
        Ok(Some(true)) => Err(lost()),
        Ok(None) => Err(End::Stopped),
        Err(why) => Err(End::Failed(why)),
    }
}

/// Runs what blocks on a thread of its own. Errors: it panicked.
pub(super) async fn run_blocking<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Halt> {
    tokio::task::spawn_blocking(work).await.map_err(|_| {
        // Not in its own words, which may be made of what the clients were given.
        let advice = "nothing more is sent; this is a fault of cutover, please report it";
        Halt::Refused(Trouble::new(format!("{what} broke off"), advice))
    })
}

/// An id that no other replay has: when, and which process. They sort by time.
fn run_id() -> String {
    let now = Clock.now();
    let when = jiff::Timestamp::from_millisecond(now.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{}-{:03}{:x}", when.strftime("%Y%m%d-%H%M%S"), now.0.rem_euclid(1_000), std::process::id())
}

fn describe_spec(spec: &ReplaySpec) -> String {
    let routes: Vec<String> = spec
        .routes
        .iter()
        .map(|(topic, route)| match topic == &route.to {
            true => format!("{topic} (partition by {})", route.by, topic = visible_name(topic)),
            false => format!(
                "{topic} into {} (partition by {})",
                visible_name(&route.to),
                route.by,
                topic = visible_name(topic)
            ),
        })
        .collect();
    format!(
        "{} records, {} bytes, from {} to {}: {}; offsets {}",
        spec.records,
        spec.bytes,
        spec.from,
        spec.target_side(),
        routes.join(", "),
        describe_briefly(&spec.ranges)
    )
}

fn describe_order(reordered: &Reordered) -> Vec<String> {
    if reordered.is_none() {
        return vec!["order: no key has a newer record there".to_owned()];
    }
    let at_least = if reordered.complete { "" } else { "at least " };
    let mut lines = vec![format!(
        "order: {at_least}{} keys have newer records there, and the carried ones land behind them",
        reordered.keys
    )];
    lines.extend(reordered.first.iter().map(|key| format!("  {key}")));
    lines
}

fn join_advice(one: &str, other: &str) -> String {
    if one.is_empty() { other.to_owned() } else { format!("{one}; then {other}") }
}

/// The report of a replay that ended short of being done.
fn end_report(mut report: ReplayReport, halt: Halt) -> ReplayReport {
    let (class, trouble) = halt.into_parts();
    (report.class, report.trouble) = (Some(class), trouble);
    report
}
