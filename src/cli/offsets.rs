//! `cutover offsets plan|apply`: where groups must start on the other cluster, and setting it.

use std::io::IsTerminal as _;
use std::path::Path;

use super::act::{print_report, print_reports, say_interrupted, wait_for_interrupt};
use super::args::{GlobalArgs, OffsetsArgs, OffsetsVerb};
use super::out::print_file;
use super::overrides::OverrideArgs;
use super::{Error, Exit, attach_or_host, build_options, load_plan, print_json, print_text, runtime};
use crate::base::sanitise::{is_clean, visible_name, visible_path, visible_text};
use crate::base::{At, Side, Trouble};
use crate::controller::headless::{self, RunReport, execute};
use crate::controller::run::Controller;
use crate::migration::facts::command::{Command, Refusal};
use crate::offsets::verdict::{GroupTranslation, Verdict};
use crate::offsets::{Chosen, Strategy, reset_file};
use crate::plan::Plan;
use crate::report;
use crate::session::export;
use crate::session::options::{Options, Want};

/// `cutover offsets ...`.
pub fn run(global: &GlobalArgs, verb: OffsetsVerb) -> Result<Exit, Error> {
    match verb {
        OffsetsVerb::Plan { what, csv, records, show_values, export } => {
            let wanted = OffsetsPlanRequest {
                what,
                csv,
                records,
                show_values,
                export: export.export.as_deref().map(|p| (p, export.force)),
            };
            run_plan(global, &wanted)
        }
        OffsetsVerb::Apply { what, yes, overrides, export } => {
            let file = export.export.as_deref().map(|p| (p, export.force));
            apply(global, &what, &yes, &overrides, file)
        }
    }
}

/// What `offsets plan` was asked for.
struct OffsetsPlanRequest<'a> {
    what: OffsetsArgs,
    csv: bool,
    records: bool,
    show_values: bool,
    export: Option<(&'a Path, bool)>,
}

type MeasuredGroup = (String, Result<GroupTranslation, Refusal>);

fn run_plan(global: &GlobalArgs, wanted: &OffsetsPlanRequest<'_>) -> Result<Exit, Error> {
    let what = &wanted.what;
    if wanted.csv && global.json {
        return Err(Error::Usage(Trouble::new("--csv and --json both want standard output", "leave one of them out")));
    }
    let (plan, to) = (load_plan(global)?, what.to.into());
    let chosen = parse_chosen(what)?;
    let config = plan.clone();
    let (measured, now) = measure_groups(global, plan, &what.group, (to, chosen.as_ref()), wanted.show_values)?;
    let Some(measured) = measured else { return Ok(say_interrupted(global)) };
    if let [(_, Err(refusal))] = measured.as_slice() {
        return Err(error_of_refusal(refusal));
    }
    print_measured(global, wanted, &config, (to, now), &measured)?;
    Ok(measured
        .iter()
        .map(|(_, result)| exit_of_result(result))
        .max_by_key(|exit| rank_exit(*exit))
        .unwrap_or(Exit::DONE))
}

/// Measures groups by a controller that only looks, and says when. `None`: it was interrupted.
fn measure_groups(
    global: &GlobalArgs,
    plan: Plan,
    groups: &[String],
    (to, chosen): (Side, Option<&Chosen>),
    values: bool,
) -> Result<(Option<Vec<MeasuredGroup>>, At), Error> {
    let mut options = build_options(global)?;
    options.want = Want::ReadOnly;
    let actor = options.actor.clone();
    Ok(runtime()?.block_on(async {
        let mut handle = Controller::start(plan, options);
        let mut said = |line: &str| say!("{}", visible_text(line));
        let work = async {
            let mut measured = headless::estimate_groups(&mut handle, groups, to, chosen, &actor, &mut said).await;
            for (group, plan) in measured.iter_mut().filter(|_| values) {
                let Ok(plan) = plan else { continue };
                if let Err(why) = headless::show_values(&mut handle, group, to, chosen, plan).await {
                    say!("cutover: {}: values not read: {}", visible_name(group), visible_text(&why.why));
                }
            }
            measured
        };
        let measured = tokio::select! { m = work => Some(m), _ = wait_for_interrupt() => None };
        let now = handle.snapshot().now;
        handle.shutdown().await;
        (measured, now)
    }))
}

/// One group by the plan's own strategies.
pub(super) fn measure_group(global: &GlobalArgs, group: &str, to: Side) -> Result<GroupTranslation, Error> {
    let (measured, _) = measure_groups(global, load_plan(global)?, &[group.to_owned()], (to, None), false)?;
    match measured.into_iter().flatten().next() {
        Some((_, result)) => result.map_err(|refusal| error_of_refusal(&refusal)),
        None => {
            let what = format!("{} was not measured", visible_name(group));
            Err(Error::Failed(Trouble::new(what, "nothing was changed")))
        }
    }
}

/// 0 for what may be committed as it is, 3 for what a gate holds, 1 for what has no safe offset, 4 for what could not
/// be observed: nothing can be waited for or passed over where there is no offset.
fn exit_of_result(result: &Result<GroupTranslation, Refusal>) -> Exit {
    match result {
        Err(refusal) => Exit::of_end(Some(refusal.class)),
        Ok(plan) if plan.partitions.iter().any(|p| p.verdict == Verdict::Unmappable) => Exit::FAILED,
        Ok(plan) if plan.blocks_cutover() || plan.worst_verdict() == Some(Verdict::Guess) => Exit::HOLDS,
        // What may still be lost is not known.
        Ok(plan) if plan.count_unsettled() > 0 => Exit::UNKNOWN,
        Ok(_) => Exit::DONE,
    }
}

fn rank_exit(exit: Exit) -> u8 {
    match exit {
        Exit::DONE => 0,
        Exit::HOLDS => 1,
        Exit::FAILED => 2,
        _ => 3,
    }
}

fn error_of_refusal(refusal: &Refusal) -> Error {
    let trouble = Trouble::new(refusal.why.clone(), refusal.advice.clone());
    if refusal.is_unknown() { Error::Unknown(trouble) } else { Error::Failed(trouble) }
}

fn print_measured(
    global: &GlobalArgs,
    wanted: &OffsetsPlanRequest<'_>,
    config: &Plan,
    (to, now): (Side, At),
    measured: &[MeasuredGroup],
) -> Result<(), Error> {
    for (group, refusal) in measured.iter().filter_map(|(g, r)| Some((g, r.as_ref().err()?))) {
        say!("cutover: {}: {}\n  {}", visible_name(group), visible_text(&refusal.why), visible_text(&refusal.advice));
    }
    let plans: Vec<(&str, &GroupTranslation)> =
        measured.iter().filter_map(|(g, r)| Some((g.as_str(), r.as_ref().ok()?))).collect();
    if wanted.csv || wanted.export.is_some() {
        let file = format_reset_file(config, to, &plans)?;
        say_left_out(&plans);
        if let Some((path, force)) = wanted.export {
            export::write_file(path, &file, force).map_err(Error::Failed)?;
            say!("cutover: {} written", visible_path(path));
        }
        if wanted.csv {
            if std::io::stdout().is_terminal() && file.lines().any(|l| !is_clean(l)) {
                return Err(Error::Failed(Trouble::new(
                    "a name in the file holds characters that a terminal would obey",
                    "write it to a file with --export FILE, or send it on with | or >",
                )));
            }
            print_file(&file);
            return Ok(());
        }
    }
    if global.json {
        let one = |(group, result): &MeasuredGroup| match result {
            Ok(plan) => report::offsets::to_json(group, to, plan),
            Err(r) => serde_json::json!({"group": group, "to": to, "exit_code": Exit::of_end(Some(r.class)).0,
                "errors": [{"what": r.why, "advice": r.advice}]}),
        };
        return match measured {
            [single] => print_json(&one(single)),
            several => print_json(&serde_json::json!({"groups": several.iter().map(one).collect::<Vec<_>>()})),
        };
    }
    for (n, (group, plan)) in plans.iter().enumerate() {
        let gap = if n == 0 { "" } else { "\n" };
        let records = if wanted.records { report::offsets::format_records(to, plan) } else { String::new() };
        print_text(&format!("{gap}{}{records}", report::offsets::to_text(group, to, plan, now)));
    }
    Ok(())
}

/// The reset file for these groups, by their ids on the side that is set.
fn format_reset_file(config: &Plan, to: Side, plans: &[(&str, &GroupTranslation)]) -> Result<String, Error> {
    let id = |group: &str| config.group(group).map_or(group, |g| g.id_on(to)).to_owned();
    let named: Vec<(String, &GroupTranslation)> = plans.iter().map(|(g, plan)| (id(g), *plan)).collect();
    reset_file::format_file(&named).map_err(|id| {
        Error::Failed(Trouble::new(
            format!("group {} spans lines, which the file for several groups can't hold", visible_name(&id)),
            "export it alone",
        ))
    })
}

/// Says which partitions the file can't name: the tool would leave them as they are.
fn say_left_out(plans: &[(&str, &GroupTranslation)]) {
    for p in
        plans.iter().flat_map(|(_, plan)| &plan.partitions).filter(|p| p.target.offset.is_none() && !p.is_source_only())
    {
        say!("cutover: {} has no offset, and no line in the file: it is {}", p.tp.to_string(), p.verdict);
    }
}

fn apply(
    global: &GlobalArgs,
    what: &OffsetsArgs,
    yes: &[String],
    overrides: &OverrideArgs,
    file: Option<(&Path, bool)>,
) -> Result<Exit, Error> {
    let plan = load_plan(global)?;
    let to: Side = what.to.into();
    let chosen = find_departure(&plan, what)?;
    let overrides = overrides.to_overrides(what.reason.as_deref())?;
    let command = |group: &str| Command::ResetOffsets {
        group: group.to_owned(),
        to,
        chosen: chosen.clone(),
        overrides: overrides.clone(),
    };
    let options = build_options(global)?;
    let config = plan.clone();
    let reports = runtime()?.block_on(reset_groups(plan, options, &what.group, yes, command))?;
    let done = reports.last().is_some_and(|(_, r)| r.class.is_some()) || reports.len() == what.group.len();
    if !done {
        print_reports(global, &reports)?;
        return Ok(say_interrupted(global));
    }
    if let Some(file) = file {
        export_reset(&config, to, &reports, file)?;
    }
    for left in what.group.iter().skip(reports.len()) {
        say!("cutover: {} was not tried", visible_name(left));
    }
    match reports.as_slice() {
        [(_, report)] if what.group.len() == 1 => print_report(global, report)?,
        several => print_reports(global, several)?,
    }
    Ok(reports.last().map_or(Exit::FAILED, |(_, r)| Exit::of_end(r.class)))
}

/// The strategy that was asked for, where it is not what the plan says of every group anyway: that is no choice, and needs no
/// reason.
fn find_departure(plan: &Plan, what: &OffsetsArgs) -> Result<Option<Chosen>, Error> {
    let chosen = parse_chosen(what)?.filter(|chosen| !what.group.iter().all(|group| is_planned(plan, group, chosen)));
    if let Some(c) = chosen.as_ref().filter(|c| c.reason.trim().is_empty()) {
        return Err(Error::Usage(Trouble::new(
            format!("--strategy {} is not what the plan says", c.strategy),
            "say why with --reason TEXT: it is journalled",
        )));
    }
    Ok(chosen)
}

/// Sets the offsets of one group after the other, until one can't be set or a person breaks it off: what came of each.
async fn reset_groups(
    plan: Plan,
    options: Options,
    groups: &[String],
    yes: &[String],
    command: impl Fn(&str) -> Command,
) -> Result<Vec<(String, RunReport)>, Error> {
    let actor = options.actor.clone();
    let (mut handle, _) = attach_or_host(plan, options, false).await?;
    let mut reports: Vec<(String, RunReport)> = Vec::new();
    for group in groups {
        // A name that fits none is passed on as well: the refusal says that it was given.
        let named = yes.iter().find(|y| *y == group || **y == visible_name(group)).or(yes.first()).map(String::as_str);
        let mut said = |line: &str| say!("{}", visible_text(line));
        let report = tokio::select! {
            report = execute(&mut handle, command(group), &actor, named, &mut said) => report,
            _ = wait_for_interrupt() => break,
        };
        let failed = report.class.is_some();
        reports.push((group.clone(), report));
        if failed {
            break; // what stopped one may stop all: the others are not even tried
        }
    }
    handle.shutdown().await;
    Ok(reports)
}

/// Writes what was set to a file. One that can't be written is told and changes nothing: the offsets are set.
fn export_reset(
    config: &Plan,
    to: Side,
    reports: &[(String, RunReport)],
    (path, force): (&Path, bool),
) -> Result<(), Error> {
    let plans: Vec<(&str, &GroupTranslation)> =
        reports.iter().filter_map(|(g, r)| Some((g.as_str(), &r.run.as_ref()?.offsets.as_ref()?.plan))).collect();
    let text = format_reset_file(config, to, &plans)?;
    match export::write_file(path, &text, force) {
        Ok(()) => say!("cutover: {} written", visible_path(path)),
        Err(why) => say!("cutover: {}\n  {}", visible_text(&why.what), visible_text(&why.advice)),
    }
    Ok(())
}

/// The strategy that was asked for.
fn parse_chosen(what: &OffsetsArgs) -> Result<Option<Chosen>, Error> {
    let at = what.at.as_deref().map(parse_moment).transpose().map_err(Error::Usage)?;
    let reason = what.reason.clone().unwrap_or_default();
    match (what.strategy, at) {
        (Some(strategy), Some(_)) if strategy != Strategy::Timestamp => Err(Error::Usage(Trouble::new(
            format!("--at goes with --strategy timestamp, not with {strategy}"),
            "leave one of them out",
        ))),
        (Some(strategy), at) => Ok(Some(Chosen { strategy, at, reason })),
        (None, Some(at)) => Ok(Some(Chosen { strategy: Strategy::Timestamp, at: Some(at), reason })),
        (None, None) => Ok(None),
    }
}

/// Whether the plan says the same for every topic of the group.
fn is_planned(plan: &Plan, group: &str, chosen: &Chosen) -> bool {
    let Some(g) = plan.group(group) else { return false };
    let same = |strategy, at| (strategy, at) == (chosen.strategy, chosen.at);
    match &g.chosen {
        Some(planned) => same(planned.strategy, planned.at),
        None => !g.topics.is_empty() && g.topics.iter().map(|t| plan.topic_rule(t)).all(|r| same(r.strategy, r.at)),
    }
}

/// A moment: RFC 3339 with a time zone, or milliseconds since the Unix epoch.
fn parse_moment(text: &str) -> Result<At, Trouble> {
    super::args::parse_moment_ms(text).map(At).map_err(|why| {
        Trouble::new(
            format!("--at: {why}"),
            "write it as 2026-11-22T02:00:00Z, 2026-11-22T02:00:00-05:00, or in milliseconds since 1970",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::TopicPartition;
    use crate::offsets::verdict::PartitionPlan;

    #[test]
    fn a_moment_is_read_as_people_and_as_machines_write_it() {
        assert_eq!(parse_moment("1763776800000"), Ok(At(1_763_776_800_000)));
        assert_eq!(parse_moment("2025-11-22T02:00:00Z"), Ok(At(1_763_776_800_000)));
        assert_eq!(parse_moment("2025-11-21T21:00:00-05:00"), Ok(At(1_763_776_800_000)));
        assert_eq!(parse_moment("0"), Ok(At(0)), "from the beginning: the same in every unit");
        for (number, both) in [
            ("1763776800", ["1970-01-21T09:56:16.8Z in milliseconds", "2025-11-22T02:00:00Z in seconds"]),
            ("1763776800000000", ["in milliseconds", "2025-11-22T02:00:00Z in microseconds"]),
            ("1763776800000000000", ["beyond any calendar", "2025-11-22T02:00:00Z in nanoseconds"]),
            ("20251122", ["1970-01-01T05:37:31.122Z in milliseconds", "since 1970"]),
            ("-5", ["1969-12-31T23:59:59.995Z in milliseconds", "since 1970"]),
        ] {
            let why = parse_moment(number).unwrap_err();
            assert!(both.iter().all(|reading| why.what.contains(reading)), "{why:?}");
            assert!(why.advice.contains("2026-11-22T02:00:00Z"), "{why:?}");
        }
        for wrong in ["", "yesterday", "2025-11-22", "2025-11-22T02:00:00"] {
            assert!(parse_moment(wrong).unwrap_err().what.contains("not a moment"), "{wrong}");
        }
    }

    #[test]
    fn the_exit_code_says_what_can_be_done() {
        let plan = |verdict, missing| {
            let mut p = PartitionPlan::unmappable(TopicPartition::new("t", 0), "align", "", At(0));
            (p.verdict, p.missing, p.re_read) = (verdict, missing, Some(0));
            Ok(GroupTranslation::new(vec![p]))
        };
        assert_eq!(exit_of_result(&plan(Verdict::Proven, Some(0))), Exit::DONE);
        assert_eq!(exit_of_result(&plan(Verdict::Bounded, Some(0))), Exit::DONE);
        assert_eq!(exit_of_result(&plan(Verdict::Proven, Some(1))), Exit::HOLDS);
        assert_eq!(exit_of_result(&plan(Verdict::Guess, Some(0))), Exit::HOLDS);
        assert_eq!(exit_of_result(&plan(Verdict::Guess, None)), Exit::HOLDS);
        assert_eq!(exit_of_result(&plan(Verdict::Unmappable, None)), Exit::FAILED);
        let pending = plan(Verdict::Bounded, Some(0)).map(|mut p: GroupTranslation| {
            p.partitions[0].unsettled.unconsumed = 3;
            p
        });
        assert_eq!(exit_of_result(&pending), Exit::UNKNOWN, "3 may be lost");
        assert_eq!(exit_of_result(&Err(Refusal::unknown("", ""))), Exit::UNKNOWN);
        use crate::base::TroubleClass::{Held, Interrupted, Refused, Unknown};
        let told = [None, Some(Refused), Some(Held), Some(Unknown), Some(Interrupted)].map(|end| Exit::of_end(end).0);
        assert_eq!(told, [0, 1, 3, 4, 130], "docs/json.md");
        assert!(rank_exit(Exit::UNKNOWN) > rank_exit(Exit::FAILED) && rank_exit(Exit::FAILED) > rank_exit(Exit::HOLDS));
    }
}
