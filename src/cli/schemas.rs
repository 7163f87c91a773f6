//! `cutover schemas`: both schema registries compared by meaning, and the copy that would be made; with `--apply`, made.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;

use super::act::{say_stopped, wait_for_interrupt};
use super::args::GlobalArgs;
use super::replay::ask_confirmation;
use super::{Error, Exit, build_options, load_plan, print_json, print_text, runtime, tell};
use crate::base::sanitise::{quoted_name, visible_name, visible_text};
use crate::base::{Sides, Trouble};
use crate::jobs::replay::{ReplayAnswer, ReplayQuestion, Stop};
use crate::jobs::schemas::{
    CopyScreen, SchemaCopyQuestion, SchemaCopyRequest, USUAL_RECORDS, find_registries, find_wishes, open_clients,
    read_record_ids, read_survey, run_schema_copy,
};
use crate::migration::facts::command::shell_word;
use crate::plan::{Plan, RegistryPlan};
use crate::report;
use crate::schemas::{ImportManner, SchemaCopyReport, SchemaSurvey, SchemaVerdict};
use crate::session::options::Want;

/// `cutover schemas`.
#[derive(Debug, Args)]
pub(crate) struct SchemasArgs {
    /// Make the copy, with ids and version numbers as on blue; without this nothing is changed
    #[arg(long)]
    pub apply: bool,
    /// How many records of each cluster are read for the schema ids that they carry, the oldest and the newest of each
    /// partition of the plan's topics; 0 reads none
    #[arg(long, value_name = "N", default_value_t = USUAL_RECORDS)]
    pub records: u64,
    /// Where green's registry gives ids of its own: register the schemas all the same, with other ids than blue's. Records
    /// that carry blue's ids can't be read through it
    #[arg(long)]
    pub ids_change: bool,
    /// Instead of typing the confirmation: the migration's name, --yes=migration
    #[arg(long, value_name = "NAME", requires = "apply")]
    pub yes: Option<String>,
}

/// Runs the verb.
pub fn run(global: &GlobalArgs, args: &SchemasArgs) -> Result<Exit, Error> {
    let plan = load_plan(global)?;
    let plans = find_registries(&plan).map_err(Error::Usage)?;
    if args.apply && build_options(global)?.want == Want::Armed {
        return apply(global, args, &plan, plans);
    }
    let read = runtime()?.block_on(async {
        tokio::select! {
            read = read_whole(&plan, plans, args) => Some(read),
            _ = wait_for_interrupt() => None,
        }
    });
    let Some(read) = read else { return Ok(say_stopped(global, "nothing was changed: this only reads")) };
    let survey = read?;
    if global.json {
        print_json(&report::schemas::to_json(&survey))?;
    } else {
        print_text(&report::schemas::to_text(&survey));
    }
    Ok(exit_of_survey(&survey))
}

/// A secret or a certificate that can't be read is a failure; a registry that can't is unknown.
async fn read_whole(plan: &Plan, plans: Sides<&RegistryPlan>, args: &SchemasArgs) -> Result<SchemaSurvey, Error> {
    let clients = open_clients(plans).await.map_err(Error::Failed)?;
    let looks = read_record_ids(plan, args.records).await;
    read_survey(clients.as_ref(), looks, find_wishes(plan, args.ids_change)).await.map_err(Error::Unknown)
}

fn exit_of_survey(survey: &SchemaSurvey) -> Exit {
    match survey.judge_survey() {
        SchemaVerdict::Same => Exit::DONE,
        SchemaVerdict::Differs => Exit::HOLDS,
        SchemaVerdict::Unknown => Exit::UNKNOWN,
    }
}

/// Makes the copy. An interrupt ends it after the request that is under way, with every mode put back.
fn apply(global: &GlobalArgs, args: &SchemasArgs, plan: &Plan, plans: Sides<&RegistryPlan>) -> Result<Exit, Error> {
    let options = build_options(global)?;
    let (stop, asking) = (Arc::new(Stop::default()), Arc::new(AtomicBool::new(false)));
    let request = SchemaCopyRequest { records: args.records, ids_change: args.ids_change };
    let report = runtime()?.block_on(async {
        let clients = open_clients(plans).await.map_err(Error::Failed)?;
        let ear = tokio::spawn(stop_on_interrupt(Arc::clone(&stop), Arc::clone(&asking)));
        let mut screen = CopyScreen {
            say: &mut |line| say!("{}", visible_text(line)),
            confirm: &mut |question| {
                asking.store(true, Ordering::Relaxed);
                let answer = confirm_copy(question, args.yes.as_deref());
                asking.store(false, Ordering::Relaxed);
                answer
            },
        };
        let report = run_schema_copy(plan, &options, clients.as_ref(), request, &mut screen, stop).await;
        ear.abort();
        Ok::<_, Error>(report)
    })?;
    let exit = exit_of_copy(&report);
    if global.json {
        print_json(&report::schemas::copy_to_json(&report, exit.0))?;
    } else {
        print_text(&report::schemas::copy_to_text(&report));
    }
    if let Some(trouble) = &report.trouble {
        tell(&format!("{}\n", super::describe_trouble(trouble)));
    }
    Ok(exit)
}

fn exit_of_copy(report: &SchemaCopyReport) -> Exit {
    match (&report.class, &report.after) {
        (Some(class), _) => Exit::of_end(Some(*class)),
        (None, Some(after)) => exit_of_survey(after),
        (None, None) => Exit::UNKNOWN,
    }
}

/// While a person is asked nothing has been sent.
async fn stop_on_interrupt(stop: Arc<Stop>, asking: Arc<AtomicBool>) {
    wait_for_interrupt().await;
    if asking.load(Ordering::Relaxed) {
        tell("\n");
        std::process::exit(i32::from(Exit::INTERRUPTED.0));
    }
    tell("cutover: stopping after the request that is under way; modes are put back\n");
    stop.set();
}

/// Shows what was found and what will be done, and takes `--yes` or what is typed.
fn confirm_copy(question: &SchemaCopyQuestion<'_>, yes: Option<&str>) -> Result<String, Trouble> {
    let mut lines: Vec<String> = report::schemas::to_text(question.survey).lines().map(str::to_owned).collect();
    if question.deletes > 0 {
        lines.push(format!("{} versions that an earlier copy imported are soft-deleted, as on blue", question.deletes));
    }
    let (name, shown) = (question.name, visible_name(question.name));
    let ids_change = question.survey.plan.manner == ImportManner::NewIds;
    let phrase = format!("{} {shown}", if ids_change { "ids change" } else { "copy" });
    let asked = ReplayQuestion { lines, phrase: phrase.clone(), name: name.to_owned(), reorders: false };
    match ask_confirmation(&asked, yes) {
        ReplayAnswer::Typed(text) if text.trim() == phrase => Ok(text),
        ReplayAnswer::Yes(given) if given == name || given == shown => Ok(shown),
        ReplayAnswer::Typed(given) | ReplayAnswer::Yes(given) => Err(Trouble::new(
            format!("not confirmed: {} is not what was asked for", quoted_name(&given)),
            format!("type \"{phrase}\", or add --yes={}", shell_word(name)),
        )),
        ReplayAnswer::No => Err(Trouble::new("not confirmed", format!("add --yes={} to confirm it", shell_word(name)))),
    }
}
