//! `cutover replay`: what is missing is carried to the other cluster.

use crate::diff::asked;
use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::act::wait_for_interrupt;
use super::args::{GlobalArgs, ReplayArgs};
use super::diff::run_to_end;
use super::offsets::measure_group;
use super::out::ask;
use super::{Error, Exit, build_options, load_plan, print_json, print_text, runtime, tell};
use crate::base::sanitise::{visible_name, visible_path, visible_text};
use crate::base::{Side, TopicPartition, Trouble, lock_unpoisoned};
use crate::diff::{DiffReport, DiffVerdict, TopicDiff};
use crate::jobs::compare as diff;
use crate::jobs::replay::{ReplayAnswer, ReplayQuestion, ReplayRequest, ReplayWhat, Stop, Ui, run_replay, source};
use crate::migration::facts::command::shell_word;
use crate::plan::Plan;
use crate::replay::report::{After, ReplayProgress};
use crate::replay::{Piece, Ranges, ReplayReport};
use crate::report;

/// A document of missing ranges larger than this is none of ours, bytes.
const LARGEST_DOCUMENT: u64 = 64 << 20;

/// Runs the verb.
pub fn run(global: &GlobalArgs, args: &ReplayArgs) -> Result<Exit, Error> {
    let plan = load_plan(global)?;
    let options = build_options(global)?;
    let (what, asked) = choose_what(global, args)?;
    let request = ReplayRequest {
        what,
        asked,
        from: args.from.into(),
        into: args.into.clone(),
        by: args.by,
        mark: !args.no_mark,
        accept_reorder: args.accept_reorder,
        again: args.again,
        rate: args.rate,
        read_back: !args.no_read_back,
    };
    let (stop, asking) = (Arc::new(Stop::default()), Arc::new(AtomicBool::new(false)));
    let mut report = runtime()?.block_on(async {
        let watcher = tokio::spawn(watch_for_interrupt(Arc::clone(&stop), Arc::clone(&asking)));
        let mut ui = Ui {
            say: &mut |line| say!("{}", visible_text(line)),
            tell: Arc::new(ProgressLines::default().into_teller()),
            confirm: &mut |question| {
                asking.store(true, Ordering::Relaxed);
                let answer = ask_confirmation(question, args.yes.as_deref());
                asking.store(false, Ordering::Relaxed);
                answer
            },
        };
        let report = run_replay(&plan, &options, &request, &mut ui, stop).await;
        watcher.abort();
        report
    });
    // Into a side topic nothing is missing any less. What was carried is told whatever becomes of the diff.
    let by_time = args.topic.is_some() && !args.all;
    let again = by_time || !args.no_read_back;
    let mut exit = Exit::of_end(report.class);
    if again && report.run.is_some() && report.class.is_none() && went_to_own_topics(&plan, &report) {
        let again = match (&args.topic, args.from_time, args.all) {
            (Some(topic), Some(from), false) => {
                let span = asked::Span::Times { from, to: args.to_time };
                let what = asked::DiffScope::Topics(vec![topic.clone()]);
                run_diff(global, args, (what, span, report.from), Some(Ranges::default()))
            }
            _ => compare_carried(global, args, &report),
        };
        // What the clusters hold counts more than that all of it was carried.
        let (after, exit_of_diff) = judge_diff(again);
        (report.after, exit) = (Some(after), exit_of_diff);
    }
    if global.json {
        print_json(&report::replay::to_json(&report, exit.0))?;
    } else {
        print_text(&report::replay::to_text(&report));
    }
    if let Some(trouble) = &report.trouble {
        tell(&format!("{}\n", super::describe_trouble(trouble)));
    }
    Ok(exit)
}

/// What is to be carried, and the words of it.
fn choose_what(global: &GlobalArgs, args: &ReplayArgs) -> Result<(ReplayWhat, String), Error> {
    if let Some(id) = &args.resume {
        return Ok((ReplayWhat::Resume(Some(id.clone()).filter(|id| !id.is_empty())), format!("--resume {id}")));
    }
    if let Some(group) = &args.group {
        let from: Side = args.from.into();
        let plan = measure_group(global, group, from.other())?;
        let ranges = source::ranges_of_group(group, &plan).map_err(Error::Unknown)?;
        return Ok((ReplayWhat::Ranges(ranges), format!("--group {}", shell_word(group))));
    }
    if let Some(path) = &args.from_diff {
        let name = visible_path(path);
        let unread = |e: std::io::Error| {
            Error::Usage(Trouble::new(format!("{name}: {e}"), "write it with `cutover diff --json > FILE`"))
        };
        let size = std::fs::metadata(path).map_err(unread)?.len();
        if size > LARGEST_DOCUMENT {
            let what = format!("{name} has {size} bytes, more than any document of missing ranges");
            return Err(Error::Usage(Trouble::new(what, "name the file that `cutover diff --json` wrote")));
        }
        let text = std::fs::read_to_string(path).map_err(unread)?;
        let ranges = source::from_document(&text, &name, args.from.into()).map_err(Error::Usage)?;
        return Ok((ReplayWhat::Ranges(ranges), format!("--from-diff {name}")));
    }
    if let (Some(topic), Some(from)) = (&args.topic, args.from_time) {
        if !args.all {
            let span = asked::Span::Times { from, to: args.to_time };
            let of = asked::DiffScope::Topics(vec![topic.clone()]);
            let interrupted = || Error::Failed(Trouble::new("the diff was interrupted", "start it again"));
            let diff = run_diff(global, args, (of, span, args.from.into()), None)?.ok_or_else(interrupted)?;
            if diff.worst_verdict() == DiffVerdict::Unknown {
                let why = describe_unknown(&diff).unwrap_or_default();
                let what = format!("what is missing of {} is not known: {why}", visible_name(topic));
                return Err(Error::Unknown(Trouble::new(what, "see `cutover diff`, or carry all of it with --all")));
            }
            let text = report::diff::to_json(&diff).to_string();
            let ranges = source::from_document(&text, "the diff", args.from.into()).map_err(Error::Failed)?;
            return Ok((ReplayWhat::Ranges(ranges), format!("--topic {} --from-time {from}", shell_word(topic))));
        }
        let asked = format!("--topic {} --from-time {from} --all", shell_word(topic));
        return Ok((ReplayWhat::Between { topic: topic.clone(), from, to: args.to_time }, asked));
    }
    Ok((ReplayWhat::Ranges(Ranges::from_pieces(args.range.iter().cloned())), "--range".to_owned()))
}

/// What the diff after a replay says, and the exit code that follows. What could not be compared is never a pass.
fn judge_diff(again: Result<Option<DiffReport>, Error>) -> (After, Exit) {
    let unknown =
        |why: String, exit| (After { verdict: DiffVerdict::Unknown.to_string(), missing: None, why: Some(why) }, exit);
    let again = match again {
        Ok(Some(again)) => again,
        Ok(None) => return unknown("the diff was interrupted".to_owned(), Exit::INTERRUPTED),
        Err(Error::Plan(problems)) => return unknown(problems.to_string(), Exit::UNKNOWN),
        Err(Error::Usage(t) | Error::Failed(t) | Error::Unknown(t)) => return unknown(t.what, Exit::UNKNOWN),
    };
    let why = describe_unknown(&again);
    if again.worst_verdict() == DiffVerdict::Unknown || why.is_some() {
        return unknown(why.unwrap_or_else(|| "nothing was compared".to_owned()), Exit::UNKNOWN);
    }
    let missing = again.topics.iter().map(|t| t.found.missing).sum();
    let exit = if missing == 0 { Exit::DONE } else { Exit::HOLDS };
    (After { verdict: again.worst_verdict().to_string(), missing: Some(missing), why: None }, exit)
}

/// Why something of a diff is not known, or not judged yet.
fn describe_unknown(diff: &DiffReport) -> Option<String> {
    let unsettled = |t: &&TopicDiff| t.verdict == DiffVerdict::Unknown && t.found.unsettled > 0;
    let pending = diff.topics.iter().filter(unsettled).map(|t| {
        let topic = visible_name(&t.topic);
        format!("{} records of {topic} are on one cluster alone, and may still arrive", t.found.unsettled)
    });
    diff.topics.iter().flat_map(|t| &t.unknown).cloned().chain(pending).next()
}

/// Whether each topic's records went into the topic of its own on the other cluster.
fn went_to_own_topics(plan: &Plan, report: &ReplayReport) -> bool {
    let own = |topic: &str| if report.to == Side::Green { plan.topic_rule(topic).green_name } else { topic.to_owned() };
    report.routes.iter().all(|(topic, route)| route.to == own(topic))
}

/// Whether anything of what was carried is still missing: each partition from its first carried record to its last one.
/// What is missing in between and was not to be carried is another matter.
fn compare_carried(global: &GlobalArgs, args: &ReplayArgs, report: &ReplayReport) -> Result<Option<DiffReport>, Error> {
    let carried = Ranges::from_pieces(report.ranges.iter().cloned());
    let topics: BTreeSet<String> = carried.partitions().map(|tp| tp.topic.clone()).collect();
    let what = asked::DiffScope::Topics(topics.into_iter().collect());
    let mut again = run_diff(global, args, (what, asked::Span::Comparable, report.from), Some(carried.clone()))?;
    again.iter_mut().flat_map(|d| &mut d.topics).for_each(|t| keep_only_carried(t, &carried));
    Ok(again)
}

/// Counts as missing only what was carried.
fn keep_only_carried(topic: &mut TopicDiff, carried: &Ranges) {
    let unsettled = |p: &crate::diff::PartitionDiff| {
        let tp = TopicPartition::new(&topic.topic, p.partition);
        let waiting = p.unsettled[0].ranges.iter().map(|(from, to)| Piece::new(tp.clone(), *from, *to));
        Ranges::from_pieces(waiting).common(carried).count_offsets()
    };
    topic.found.unsettled = topic.partitions.iter().map(unsettled).sum();
    // Beyond the list nobody can say whether what waits was carried.
    for p in topic.partitions.iter().filter(|p| p.unsettled[0].truncated) {
        let tp = TopicPartition::new(&topic.topic, p.partition);
        topic.unknown.push(format!(
            "{tp} has too many ranges that may still arrive to tell whether carried ones are among them"
        ));
    }
    if topic.verdict == DiffVerdict::Unknown && topic.found.unsettled == 0 && topic.unknown.is_empty() {
        topic.verdict = DiffVerdict::Clean;
    }
    topic.found.missing = 0;
    for p in &topic.partitions {
        let tp = TopicPartition::new(&topic.topic, p.partition);
        let missing = p.missing.ranges.iter().map(|(from, to)| Piece::new(tp.clone(), *from, *to));
        topic.found.missing += Ranges::from_pieces(missing).common(carried).count_offsets();
        if p.missing.truncated {
            let tp = tp.to_string();
            topic.unknown.push(format!("{tp} misses too many ranges to tell whether carried ones are among them"));
        }
    }
}

/// A diff; `replayed`: after a replay, of these ranges or of the whole span. `None`: interrupted.
fn run_diff(
    global: &GlobalArgs,
    args: &ReplayArgs,
    (what, span, source): (asked::DiffScope, asked::Span, Side),
    replayed: Option<Ranges>,
) -> Result<Option<DiffReport>, Error> {
    let plan = Arc::new(load_plan(global)?);
    let request = diff::DiffRequest {
        what,
        span,
        source,
        rate: args.rate,
        memory: None,
        resume: false,
        replayed: replayed.is_some(),
        carried: replayed.unwrap_or_default(),
    };
    let said: diff::DiffProgressSink =
        Arc::new(|p| say!("comparing {}: {:.0} %", visible_name(&p.topic), p.share * 100.0));
    match run_to_end(plan, request, said, &Arc::default())?.map_err(Error::from)? {
        diff::Ended::Done(report) => Ok(Some(*report)),
        diff::Ended::Interrupted => Ok(None),
    }
}

/// An interrupt stops the replay after the transaction that is open. While a person is asked nothing has been sent.
async fn watch_for_interrupt(stop: Arc<Stop>, asking: Arc<AtomicBool>) {
    wait_for_interrupt().await;
    if asking.load(Ordering::Relaxed) {
        tell("\n");
        std::process::exit(i32::from(Exit::INTERRUPTED.0));
    }
    tell("cutover: stopping after the transaction that is open\n");
    stop.set();
}

/// Shows what is going to happen, and takes `--yes` or what is typed.
pub(super) fn ask_confirmation(question: &ReplayQuestion, yes: Option<&str>) -> ReplayAnswer {
    question.lines.iter().for_each(|line| say!("{}", visible_text(line)));
    if let Some(yes) = yes {
        return ReplayAnswer::Yes(yes.to_owned());
    }
    let stdin = std::io::stdin();
    if !(stdin.is_terminal() && std::io::stderr().is_terminal()) {
        return ReplayAnswer::No;
    }
    // What was typed ahead was typed before the question could be read.
    if let Err(e) = rustix::termios::tcflush(&stdin, rustix::termios::QueueSelector::IFlush) {
        tracing::debug!("typed-ahead text stays: {e}");
    }
    ask(&format!("Type {} to go on: ", question.phrase));
    let mut line = String::new();
    match stdin.read_line(&mut line) {
        // 0 is the end of the input: nobody answers.
        Ok(n) if n > 0 => ReplayAnswer::Typed(line.trim().to_owned()),
        _ => ReplayAnswer::No,
    }
}

/// Progress as lines on standard error, one a second at most.
#[derive(Default)]
struct ProgressLines {
    last: Mutex<Option<(&'static str, u64, u64)>>,
}

impl ProgressLines {
    /// Lines come a second apart, ms.
    const EVERY_MS: u64 = 1_000;

    fn into_teller(self) -> impl Fn(&ReplayProgress) + Send + Sync {
        move |progress| {
            let mut last = lock_unpoisoned(&self.last);
            let before = match *last {
                Some((what, before, _)) if what == progress.what => before,
                _ => progress.done,
            };
            let due = last.is_none_or(|(what, _, ms)| what != progress.what || progress.ms >= ms + Self::EVERY_MS);
            if due || progress.done == progress.total {
                *last = Some((progress.what, before, progress.ms));
                // Let go before it is written: a slow terminal holds up no other thread.
                drop(last);
                tell(&format!("{}\n", report::replay::progress_line(progress, before)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_carried_counts_as_still_missing() {
        use crate::diff::{PartitionDiff, Spans};
        let missing = Spans { count: 6, ranges: vec![(10, 14), (20, 22)], truncated: false };
        let partition = PartitionDiff { partition: 1, missing, ..PartitionDiff::default() };
        let mut topic = TopicDiff::new(("t".into(), "t".into()), vec![partition], Vec::new(), Vec::new());
        let carried = Ranges::from_pieces([Piece::new(TopicPartition::new("t", 1), 12, 20)]);
        keep_only_carried(&mut topic, &carried);
        assert_eq!((topic.found.missing, topic.unknown.len()), (2, 0));
        topic.partitions[0].missing.truncated = true;
        keep_only_carried(&mut topic, &carried);
        assert_eq!(topic.unknown.len(), 1);
    }

    #[test]
    fn what_waits_beyond_the_list_may_have_been_carried_and_is_never_clean() {
        use crate::diff::{PartitionDiff, Spans};
        let of = |truncated| {
            let waits = Spans { count: 9, ranges: vec![(10, 14)], truncated };
            let unsettled = [waits, Spans::default()];
            let partition = PartitionDiff { partition: 1, unsettled, ..PartitionDiff::default() };
            let mut topic = TopicDiff::new(("t".into(), "t".into()), vec![partition], Vec::new(), Vec::new());
            topic.unknown.clear();
            keep_only_carried(
                &mut topic,
                &Ranges::from_pieces([Piece::new(TopicPartition::new("t", 1), 12_000, 12_009)]),
            );
            (topic.verdict, topic.unknown.len())
        };
        assert_eq!(of(false), (DiffVerdict::Clean, 0), "nothing of it was carried");
        assert_eq!(of(true), (DiffVerdict::Unknown, 1));
    }

    #[test]
    fn a_diff_that_failed_or_was_stopped_after_a_replay_is_unknown_and_no_pass() {
        let failed = Err(Error::Unknown(Trouble::new("green is gone", "")));
        let interrupted = "the diff was interrupted";
        for (again, why, exit) in [(failed, "green is gone", Exit::UNKNOWN), (Ok(None), interrupted, Exit::INTERRUPTED)]
        {
            let after = After { verdict: "UNKNOWN".to_owned(), missing: None, why: Some(why.to_owned()) };
            assert_eq!(judge_diff(again), (after, exit));
        }
    }
}
