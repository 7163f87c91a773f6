//! `cutover provision`: green set up as blue is; shown first, and made with `--apply`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;

use super::act::wait_for_interrupt;
use super::args::GlobalArgs;
use super::replay::ask_confirmation;
use super::{Error, Exit, build_options, load_plan, print_json, print_text, runtime, tell};
use crate::base::sanitise::visible_text;
use crate::jobs::provision::{ProvisionRequest, ProvisionUi, run_provision};
use crate::jobs::replay::Stop;
use crate::report;

/// `cutover provision`.
#[derive(Debug, Args)]
#[command(
    after_help = "It adds and sets, and never deletes, makes smaller or sets back. Started again it goes on with what is missing.\n\
                      Exit codes: 0 parity, 3 something is left, 4 unknown, 1 refused or failed, 2 usage or plan error; 130 interrupted."
)]
pub(crate) struct ProvisionArgs {
    /// Make the changes; without this they are only shown
    #[arg(long)]
    pub apply: bool,
    /// Also give topics more partitions: most keys go to another one from then on
    #[arg(long)]
    pub add_partitions: bool,
    /// Instead of typing the confirmation: the migration's name
    #[arg(long, value_name = "NAME", requires = "apply")]
    pub yes: Option<String>,
}

/// Runs the verb.
pub fn run(global: &GlobalArgs, args: &ProvisionArgs) -> Result<Exit, Error> {
    let plan = Arc::new(load_plan(global)?);
    let options = build_options(global)?;
    let request = ProvisionRequest { apply: args.apply, more_partitions: args.add_partitions };
    // Until it is confirmed nothing is sent: it may end anywhere.
    let (stop, quiet) = (Arc::new(Stop::default()), Arc::new(AtomicBool::new(true)));
    let asked = Arc::clone(&quiet);
    let report = runtime()?.block_on(async {
        let (heard, quiet) = (Arc::clone(&stop), Arc::clone(&quiet));
        let ear = tokio::spawn(async move {
            wait_for_interrupt().await;
            if quiet.load(Ordering::Relaxed) {
                tell("\n");
                std::process::exit(i32::from(Exit::INTERRUPTED.0));
            }
            tell("cutover: stopping after the change that is under way\n");
            heard.set();
        });
        let mut ui = ProvisionUi {
            say: &mut |line| say!("{}", visible_text(line)),
            confirm: &mut |question| {
                let answer = ask_confirmation(question, args.yes.as_deref());
                asked.store(false, Ordering::Relaxed);
                answer
            },
        };
        let report = run_provision(&plan, &options, request, &mut ui, &stop).await;
        ear.abort();
        report
    });
    let exit = Exit::of_end(report.class);
    if global.json {
        print_json(&report::provision::to_json(&report, exit.0))?;
    } else {
        print_text(&report::provision::to_text(&report));
    }
    if let Some(trouble) = &report.trouble {
        tell(&format!("{}\n", super::describe_trouble(trouble)));
    }
    Ok(exit)
}
