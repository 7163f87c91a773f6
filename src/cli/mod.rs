//! The command line: one file a verb. Every verb asks the controller, like the cockpit does.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;

use crate::base::redact;
use crate::base::sanitise::{visible_name, visible_text};
use crate::base::{Person, Trouble, TroubleClass};
use crate::controller::expose::{self, Exposition, Listening};
use crate::controller::link::{attach::attach_to_controller, serve::share_controller};
use crate::controller::run::{Controller, Handle};
use crate::journal::LeaseHolder;
use crate::plan::{LoadedPlan, Plan, Problems};
use crate::report;
use crate::session::clock::Clock;
use crate::session::options::{Options, Want};

// first: its macro is for all the others
#[macro_use]
mod out;

mod act;
pub mod args;
mod calendar;
mod cockpit;
mod demo;
mod diff;
mod doctor;
mod given;
mod init;
mod journal;
mod log;
mod look;
mod offsets;
pub mod overrides;
pub mod pages;
mod plan;
mod preflight;
mod provision;
mod replay;
mod schemas;
mod sim;
mod sim_reach;
mod watch;

use args::{Cli, GlobalArgs, Verb};
use out::{print_json_line, print_text, tell};

/// How a verb ended, as an exit code (docs/cli.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit(pub u8);

impl Exit {
    /// Done.
    pub const DONE: Exit = Exit(0);
    /// Refused or failed.
    pub const FAILED: Exit = Exit(1);
    /// Usage or plan error.
    pub(crate) const USAGE: Exit = Exit(2);
    /// A gate holds.
    pub const HOLDS: Exit = Exit(3);
    /// Could not be observed.
    pub const UNKNOWN: Exit = Exit(4);
    /// Interrupted.
    pub(crate) const INTERRUPTED: Exit = Exit(130);

    /// What a shell is told of how something ended; `None`: it was done. The only place where a class becomes a number.
    #[must_use]
    pub fn of_end(class: Option<TroubleClass>) -> Exit {
        match class {
            None => Exit::DONE,
            Some(TroubleClass::Refused) => Exit::FAILED,
            Some(TroubleClass::Held) => Exit::HOLDS,
            Some(TroubleClass::Unknown) => Exit::UNKNOWN,
            Some(TroubleClass::Interrupted) => Exit::INTERRUPTED,
        }
    }
}

/// Why a verb could not do its work.
#[derive(Debug)]
pub enum Error {
    /// The plan has errors: printed one a line, exit code 2.
    Plan(Problems),
    /// The arguments make no sense: exit code 2.
    Usage(Trouble),
    /// It failed: exit code 1.
    Failed(Trouble),
    /// It could not be observed: exit code 4.
    Unknown(Trouble),
}

impl From<Problems> for Error {
    fn from(problems: Problems) -> Self {
        Error::Plan(problems)
    }
}

/// Parses the arguments, runs the verb, and says how it ended.
#[must_use]
pub fn main() -> ExitCode {
    // Before the arguments are read: what is wrong with them is printed, without the secrets of the environment.
    redact::hook_panics();
    redact::learn_environment();
    crate::jobs::let_commands_tell_secrets();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return print_usage(error),
    };
    // It lives to the end, and then writes what the log still holds.
    let _log = log::start_log(&cli.global);
    let json = cli.global.json;
    let exit = match dispatch(cli) {
        Ok(exit) => exit,
        Err(error) => print_error(&error, json),
    };
    ExitCode::from(exit.0)
}

fn dispatch(cli: Cli) -> Result<Exit, Error> {
    let global = cli.global;
    match cli.command {
        None => cockpit::run(&global),
        Some(Verb::Demo(args)) => demo::run(&global, &args),
        Some(Verb::Init(args)) => init::run(&global, &args),
        Some(Verb::Plan(verb)) => plan::run(&global, &verb),
        Some(Verb::Watch(args)) => watch::run(&global, &args),
        Some(Verb::Attach) => cockpit::attach(&global),
        Some(Verb::Calendar(args)) => calendar::run(&global, &args),
        Some(Verb::Doctor(args)) => doctor::run(&global, &args),
        Some(Verb::Preflight) => preflight::run(&global),
        Some(Verb::Lag) => look::lag(&global),
        Some(Verb::Status) => look::status(&global),
        Some(Verb::Offsets(verb)) => offsets::run(&global, verb),
        Some(Verb::Group(verb)) => act::run_group_verb(&global, verb),
        Some(Verb::Producer(verb)) => act::run_producer_verb(&global, verb),
        Some(Verb::Provision(args)) => provision::run(&global, &args),
        Some(Verb::Replay(args)) => replay::run(&global, &args),
        Some(Verb::Diff(args)) => diff::run(&global, &args),
        Some(Verb::Schemas(args)) => schemas::run(&global, &args),
        Some(Verb::Journal(verb)) => journal::run(&global, &verb),
        Some(Verb::Completions { shell }) => pages::completions(shell),
        Some(Verb::Man) => pages::man(),
        Some(Verb::Sim(args)) => sim::run(&args),
        Some(Verb::SimReach(args)) => sim_reach::run(&args),
    }
}

/// What clap says of the arguments: help and version on standard output, errors on standard error, and as JSON on
/// standard output where JSON was asked for.
fn print_usage(mut error: clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print(); // help and version are our own words; a reader that went away (`| head`) is no error
        return ExitCode::from(Exit::DONE.0);
    }
    // It repeats what was typed, and a script may type a password, or what a broker said: colours are given up for that,
    // and a line break in an argument forges no line.
    show_typed(&mut error);
    let rendered = error.render().to_string();
    tell(&rendered);
    // The arguments could not be parsed, so the flag is looked for by hand.
    if std::env::args_os().any(|a| a == "--json") {
        let what = rendered.lines().next().unwrap_or_default().trim_start_matches("error: ");
        let trouble = Trouble::new(visible_text(what), "cutover --help lists what there is");
        print_json_line(serde_json::json!({"ok": false, "errors": [trouble]}));
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::USAGE.0))
}

/// Makes visible what clap repeats of the arguments: the values that its message is made of. What a parser of ours says of a
/// value is its own and has passed a gate.
fn show_typed(error: &mut clap::Error) {
    use clap::error::ContextValue;
    let shown = |value: &ContextValue| match value {
        ContextValue::String(text) => Some(ContextValue::String(visible_text(text))),
        ContextValue::Strings(texts) => {
            Some(ContextValue::Strings(texts.iter().map(|text| visible_text(text)).collect()))
        }
        _ => None,
    };
    let all: Vec<_> = error.context().filter_map(|(kind, value)| Some((kind, shown(value)?))).collect();
    for (kind, value) in all {
        error.insert(kind, value);
    }
}

/// Prints an error where its reader looks: JSON on standard output with `--json`, words on standard error always.
fn print_error(error: &Error, json: bool) -> Exit {
    let (exit, lines) = match error {
        Error::Plan(problems) => (Exit::USAGE, problems.to_string()),
        Error::Usage(t) => (Exit::USAGE, describe_trouble(t)),
        Error::Failed(t) => (Exit::FAILED, describe_trouble(t)),
        Error::Unknown(t) => (Exit::UNKNOWN, describe_trouble(t)),
    };
    say!("{lines}");
    if json {
        let value = match error {
            Error::Plan(problems) => serde_json::json!({"ok": false, "errors": problems}),
            Error::Usage(t) | Error::Failed(t) | Error::Unknown(t) => serde_json::json!({"ok": false, "errors": [t]}),
        };
        print_json_line(value);
    }
    exit
}

fn describe_trouble(trouble: &Trouble) -> String {
    let what = format!("cutover: {}", visible_text(&trouble.what));
    if trouble.advice.is_empty() { what } else { format!("{what}\n  {}", visible_text(&trouble.advice)) }
}

/// Prints a document on standard output; a reader that went away (`| head`) is no error.
fn print_json(value: &impl serde::Serialize) -> Result<(), Error> {
    let unprintable = |e| Error::Failed(Trouble::new(format!("can't be written as JSON: {e}"), "report this as a bug"));
    out::print_json(serde_json::to_value(value).map_err(unprintable)?);
    Ok(())
}

/// Loads the plan and prints its warnings on standard error.
fn load_plan(global: &GlobalArgs) -> Result<Plan, Error> {
    let LoadedPlan { plan, warnings, .. } = Plan::load(&global.plan)?;
    warnings.iter().for_each(|w| say!("{w}"));
    Ok(plan)
}

/// Options of a controller for this session.
fn build_options(global: &GlobalArgs) -> Result<Options, Error> {
    let want = match (global.read_only, global.dry_run) {
        (true, _) => Want::ReadOnly,
        (_, true) => Want::DryRun,
        _ => Want::Armed,
    };
    let mut options = Options::new(want, actor());
    if let Some(point) = &global.crash_at {
        let parsed = point.parse().map_err(|_| {
            Error::Usage(Trouble::new(
                format!("--crash-at {}: not an effect boundary", visible_name(point)),
                "it is for tests only",
            ))
        })?;
        options.crash_at = Some(parsed);
    }
    Ok(options)
}

/// The controller that holds the plan's journal, if one runs; else one of this process. Tells which: true for one of
/// another process. `open`: others may attach to it; not to one that ends with its own command, because theirs would end
/// with it.
///
/// # Errors
/// One runs, and can't be talked to.
async fn attach_or_host(plan: Plan, mut options: Options, open: bool) -> Result<(Handle, bool), Error> {
    if let Some(handle) = attach_if_running(&plan, &options).await? {
        return Ok((handle, true));
    }
    // A screen without its metrics is worth more than none: what is in their way is a notice on it.
    let listening = match plan.controller.metrics.filter(|_| open && options.want == Want::Armed) {
        Some(address) => expose::listen(address).await.map_err(|trouble| options.said.push(trouble)).ok(),
        None => None,
    };
    Ok((host_controller(plan, options, open, listening), false))
}

/// The controller of another process that holds the plan's journal. A dry run always walks in a controller of its own.
///
/// # Errors
/// One runs, and can't be talked to.
async fn attach_if_running(plan: &Plan, options: &Options) -> Result<Option<Handle>, Error> {
    if options.want == Want::DryRun {
        return Ok(None);
    }
    match attach_to_controller(plan, options.want).await {
        Ok(handle) => Ok(handle),
        // Whoever only looks needs no controller but its own.
        Err(trouble) if options.want == Want::ReadOnly => {
            say!("cutover: {}; looking without it", visible_text(&trouble.what));
            Ok(None)
        }
        Err(trouble) => Err(Error::Failed(trouble)),
    }
}

/// A controller of this process.
fn host_controller(plan: Plan, options: Options, open: bool, metrics: Option<Listening>) -> Handle {
    let (journal, digest, want) = (plan.journal.clone(), plan.digest(), options.want);
    let mut handle = Controller::start(plan, options);
    if let Some(listening) = metrics {
        let exposition =
            Exposition { content_type: report::prometheus::CONTENT_TYPE, text: report::prometheus::to_text };
        // it ends with the controller
        drop(listening.serve(handle.snapshots.clone(), exposition));
    }
    if open && want == Want::Armed {
        share_controller(&mut handle, &journal, digest);
    }
    handle
}

/// Who acts: `user@host`, as the journal names it.
fn actor() -> Person {
    LeaseHolder::this_process(Clock.now()).actor()
}

/// A multi-threaded runtime: the controller's pollers, its journal thread and the screen live on it.
fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build().map_err(|e| {
        Error::Failed(Trouble::new(
            format!("no runtime: {e}"),
            "check the limits on threads and open files (ulimit -a)",
        ))
    })
}

/// Whether a person looks at a screen.
fn on_terminal() -> bool {
    std::io::stdout().is_terminal() && std::io::stdin().is_terminal()
}
