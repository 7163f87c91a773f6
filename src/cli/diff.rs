//! `cutover diff`: both clusters compared record by record.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::act::wait_for_interrupt;
use super::args::{DiffArgs, GlobalArgs, ProgressArg};
use super::out::redraw;
use super::{Error, Exit, load_plan, print_json, print_text, runtime, tell};
use crate::base::Trouble;
use crate::base::sanitise::{visible_name, visible_text};
use crate::diff::DiffVerdict;
use crate::diff::asked::{DiffProgress, DiffScope, Span};
use crate::jobs::compare as diff;
use crate::jobs::compare::{DiffFailure, DiffProgressSink, DiffRequest, Ended};
use crate::plan::Plan;
use crate::replay::Ranges;
use crate::report;

/// `cutover diff`.
pub fn run(global: &GlobalArgs, args: &DiffArgs) -> Result<Exit, Error> {
    let plan = Arc::new(load_plan(global)?);
    let request = build_request(args)?;
    let stop = Arc::new(AtomicBool::new(false));
    let ended = run_to_end(plan, request, progress_teller(args.progress), &stop)?;
    if args.progress == ProgressArg::Text && std::io::stderr().is_terminal() {
        redraw("");
    }
    let report = match ended {
        Ok(Ended::Done(report)) => report,
        Ok(Ended::Interrupted) => {
            tell("cutover: interrupted; the same command with --resume goes on where it was\n");
            return Ok(Exit::INTERRUPTED);
        }
        // A read that was broken off fails in its own words: it is an interruption all the same.
        Err(broken) if stop.load(Ordering::Relaxed) => {
            let trouble = broken.trouble();
            tell(&format!("cutover: interrupted; {}\n", visible_text(&trouble.what)));
            return Ok(Exit::INTERRUPTED);
        }
        Err(broken) => return Err(broken.into()),
    };
    if global.json {
        print_json(&report::diff::to_json(&report))?;
    } else {
        print_text(&report::diff::to_text(&report));
    }
    Ok(match report.worst_verdict() {
        DiffVerdict::Clean => Exit::DONE,
        DiffVerdict::Differs => Exit::HOLDS,
        DiffVerdict::Unknown => Exit::UNKNOWN,
    })
}

/// Runs a diff to its end, or until an interrupt sets `stop` and so breaks it off.
pub(super) fn run_to_end(
    plan: Arc<Plan>,
    request: DiffRequest,
    tell: DiffProgressSink,
    stop: &Arc<AtomicBool>,
) -> Result<Result<Ended, DiffFailure>, Error> {
    let ended = runtime()?.block_on(async {
        let heard = Arc::clone(stop);
        let ear = tokio::spawn(async move {
            wait_for_interrupt().await;
            heard.store(true, Ordering::Relaxed);
        });
        // On a thread of the runtime: reading blocks it.
        let ended = tokio::spawn(diff::run_diff(plan, request, tell, Arc::clone(stop))).await;
        ear.abort();
        ended
    });
    // Not in its own words, which may be made of what the clients were given.
    ended.map_err(|_| Error::Failed(Trouble::new("the diff broke off", "report this as a bug")))
}

impl From<DiffFailure> for Error {
    fn from(broken: DiffFailure) -> Self {
        match broken {
            DiffFailure::Usage(trouble) => Error::Usage(trouble),
            DiffFailure::Failed(trouble) => Error::Failed(trouble),
            DiffFailure::Unknown(trouble) => Error::Unknown(trouble),
        }
    }
}

fn build_request(args: &DiffArgs) -> Result<DiffRequest, Error> {
    let what = match (&args.producer, &args.group) {
        (Some(producer), _) => DiffScope::Producer(producer.clone()),
        (_, Some(group)) => DiffScope::Group(group.clone()),
        _ if args.topic.is_empty() => DiffScope::Plan,
        _ => DiffScope::Topics(args.topic.clone()),
    };
    let wrong = |what: &str, advice: &str| Err(Error::Usage(Trouble::new(what, advice)));
    let span = match (args.from_time, args.from_offset, args.partition) {
        (Some(from), ..) if args.to_time.is_some_and(|to| to <= from) => {
            return wrong("--to-time is not after --from-time", "give the later moment as --to-time");
        }
        (Some(from), ..) => Span::Times { from, to: args.to_time },
        (None, Some(_), Some(_)) if args.topic.len() != 1 => {
            return wrong("offsets are of one topic", "give one --topic with --partition and --from-offset");
        }
        (None, Some(from), Some(partition)) => Span::Offsets { partition, from, to: args.to_offset },
        _ => Span::Comparable,
    };
    let (rate, memory) = (args.rate, args.memory);
    if memory.is_some_and(|m| m < 4 << 20) {
        return wrong("--memory is less than 4MiB", "give it at least 4MiB");
    }
    Ok(DiffRequest {
        what,
        span,
        source: args.source.into(),
        rate,
        memory,
        resume: args.resume,
        replayed: false,
        carried: Ranges::default(),
    })
}

/// On a terminal one line that is drawn over; else a line every ten seconds or so.
fn progress_teller(how: ProgressArg) -> DiffProgressSink {
    let terminal = std::io::stderr().is_terminal();
    let told = std::sync::atomic::AtomicU64::new(0);
    Arc::new(move |progress: &DiffProgress| match how {
        ProgressArg::None => {}
        ProgressArg::Json => {
            if let Ok(line) = serde_json::to_string(progress) {
                say!("{}", crate::base::sanitise::ascii_json(&line));
            }
        }
        ProgressArg::Text if terminal => redraw(&describe_progress(progress)),
        ProgressArg::Text => {
            if told.fetch_add(1, Ordering::Relaxed).is_multiple_of(10) {
                tell(&format!("{}\n", describe_progress(progress)));
            }
        }
    })
}

fn describe_progress(p: &DiffProgress) -> String {
    let (done, all) = p.topics;
    let left = p.left_ms.map_or_else(|| "time left unknown".to_owned(), |ms| format!("{} s left", ms.div_ceil(1_000)));
    let held = p.held_back.as_deref().map(|why| format!("; {}", visible_text(why))).unwrap_or_default();
    let seconds = (p.ms as f64 / 1_000.0).max(0.001);
    let rate = crate::plan::size::format_size((p.bytes as f64 / seconds) as u64);
    format!(
        "{} ({} of {all}): {:.0} %, {} records, {rate}/s, {left}{held}",
        visible_name(&p.topic),
        done + 1,
        p.share * 100.0,
        p.records
    )
}
