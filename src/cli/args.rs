//! The command line, as clap sees it. Help, man page and completions come from here.

mod init;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use strum::VariantNames as _;

use super::overrides::OverrideArgs;
use super::schemas::SchemasArgs;
use crate::base::Side;
use crate::offsets::Strategy;
use crate::rights::{Principal, Role};
pub(crate) use init::InitArgs;

/// Move a Kafka estate from a blue cluster to a green one, with zero downtime.
#[derive(Debug, Parser)]
#[command(
    name = "cutover",
    version,
    about,
    after_help = "Without a subcommand the cockpit opens on ./cutover.toml.\n\
                  Exit codes: 0 done, 1 refused or failed, 2 usage or plan error, 3 a gate holds, 4 could not observe, 130 interrupted."
)]
pub(crate) struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// The command.
    #[command(subcommand)]
    pub command: Option<Verb>,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct GlobalArgs {
    /// The plan file
    #[arg(long, global = true, value_name = "FILE", default_value = "cutover.toml", value_hint = ValueHint::FilePath, env = "CUTOVER_PLAN")]
    pub plan: PathBuf,
    /// Print JSON (a stable schema) on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// Change nothing: the part that could is not even constructed
    #[arg(long, global = true)]
    pub read_only: bool,
    /// Walk the same path without changing anything
    #[arg(long, global = true, conflicts_with = "read_only")]
    pub dry_run: bool,
    /// Colours: dark, light, either (for any background), ansi16, mono, high-contrast; without it the terminal is asked
    #[arg(long, global = true, value_name = "NAME", env = "CUTOVER_THEME")]
    pub theme: Option<String>,
    /// A line a change instead of a screen (screen readers, logs); automatic off a terminal
    #[arg(long, global = true)]
    pub plain: bool,
    /// Log to this file what goes wrong on the way: connections, retries, time limits (RUST_LOG sets what)
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath, env = "CUTOVER_LOG", alias = "log-file")]
    pub log: Option<PathBuf>,
    /// For tests only: abort the process at an effect boundary.
    #[arg(long, global = true, hide = true, value_name = "POINT")]
    pub crash_at: Option<String>,
}

/// The verbs: the cockpit has the same.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Two embedded clusters with live traffic, to learn and to try
    Demo(DemoArgs),
    /// Discover both clusters and write a commented plan
    Init(InitArgs),
    /// The plan file
    #[command(subcommand)]
    Plan(PlanVerb),
    /// The controller without a screen: it goes on when terminals hang up, and any number of screens attach to it
    Watch(WatchArgs),
    /// The cockpit of the controller that runs; without one it says so
    Attach,
    /// Who moves what, when, in which window: to be published weeks ahead; needs no network
    Calendar(CalendarArgs),
    /// Everything that a migration will need, tried once: clusters, ids, rights, topics, groups, registries, switches, metrics,
    /// windows, who is told; or the lines that grant the rights
    #[command(after_help = "It changes nothing. docs/rights.md says which right each verb needs, and why.\n\
                      Exit codes: 0 well (warnings included), 1 something fails, 4 something could not be checked, 2 usage or \
                      plan error.")]
    Doctor(DoctorArgs),
    /// How green is set up beside blue: topics, settings, ACLs, users, quotas; what is missing, and what would mend it
    #[command(after_help = "It looks and changes nothing. docs/preflight.md has the words.\n\
                      Exit codes: 0 parity, 3 differs (or a red flag blocks), 4 unknown, 1 failed, 2 usage or plan error.")]
    Preflight,
    /// Lag of every group on both clusters, per partition
    Lag,
    /// Where the migration stands
    Status,
    /// Offsets of a group on the other cluster
    #[command(subcommand)]
    Offsets(OffsetsVerb),
    /// A consumer group
    #[command(subcommand)]
    Group(GroupVerb),
    /// A producer
    #[command(subcommand)]
    Producer(ProducerVerb),
    /// Set green up as blue is: topics, settings, ACLs, quotas; shows what it would do, and does it with --apply
    Provision(super::provision::ProvisionArgs),
    /// Carry missing records to the other cluster, each exactly once
    Replay(Box<ReplayArgs>),
    /// Compare both clusters record by record: missing, extra, duplicated, reordered, with exact offsets
    Diff(Box<DiffArgs>),
    /// Compare both schema registries by meaning, ids first, and show the copy that green lacks, or make it
    Schemas(SchemasArgs),
    /// What was decided and done
    #[command(subcommand)]
    Journal(JournalVerb),
    /// Shell completions on standard output
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// The man page on standard output
    Man,
    /// An embedded pair of clusters until standard input closes (tests)
    #[command(hide = true)]
    Sim(super::sim::SimArgs),
    /// Whether a pod of the demo reaches a broker (the demo's plan runs it)
    #[command(hide = true)]
    SimReach(super::sim_reach::SimReachArgs),
}

/// `cutover demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Play the story without a terminal, prove it from the logs, print JSON
    #[arg(long)]
    pub headless: bool,
    /// Seed of the traffic
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Traffic, as a multiple of about 400 records a second
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    pub scale: f64,
}

/// `cutover watch`.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Let Prometheus scrape it: at an address, at a port of this host only, or (without either) at 127.0.0.1:9464
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = crate::plan::listen::METRICS, value_parser = parse_listen_address)]
    pub metrics: Option<SocketAddr>,
}

fn parse_listen_address(text: &str) -> Result<SocketAddr, String> {
    crate::plan::listen::parse_listen_address(text).map_err(|t| format!("{}: {}", t.what, t.advice))
}

/// How the calendar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CalendarFormat {
    /// Markdown, for a wiki or a mail
    Markdown,
    /// iCalendar (RFC 5545), to subscribe to or import
    Ics,
}

/// `cutover calendar`.
#[derive(Debug, Args)]
pub(crate) struct CalendarArgs {
    /// How
    #[arg(long, value_enum, default_value = "markdown")]
    pub format: CalendarFormat,
    /// Openings of windows are listed this far ahead, weeks
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=104))]
    pub weeks: u16,
}

/// `cutover doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Send each target of `[notify]` a test message; without this it is connected to, and the message is shown
    #[arg(long)]
    pub notify: bool,
    /// Instead: print the kafka-acls.sh lines that grant a principal what this role needs for the plan, on each cluster; asks
    /// no network
    #[arg(long, value_name = "ROLE", requires = "principal", conflicts_with = "notify", value_parser = PossibleValuesParser::new(Role::VARIANTS).try_map(|s| s.parse::<Role>()))]
    pub acls: Option<Role>,
    /// Who is to be granted it, as Kafka writes it: User:cutover
    #[arg(long, value_name = "KIND:NAME", requires = "acls")]
    pub principal: Option<Principal>,
}

/// `cutover plan`.
#[derive(Debug, Subcommand)]
pub(crate) enum PlanVerb {
    /// Check the plan without a network: every error with its line and what to write instead
    Check,
    /// Print an example plan
    Example,
}

/// A side on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum SideArg {
    /// The legacy cluster
    Blue,
    /// The new cluster
    Green,
}

impl From<SideArg> for Side {
    fn from(side: SideArg) -> Self {
        match side {
            SideArg::Blue => Side::Blue,
            SideArg::Green => Side::Green,
        }
    }
}

/// Which groups' offsets, and how.
#[derive(Debug, Args)]
pub(crate) struct OffsetsArgs {
    /// Group id on blue; repeatable: what several groups read is read once
    #[arg(long, required = true, value_name = "GROUP")]
    pub group: Vec<String>,
    /// The cluster the offsets are for
    #[arg(long, value_enum, default_value = "green")]
    pub to: SideArg,
    /// Another strategy than the plan's
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Strategy::VARIANTS).try_map(|s| s.parse::<Strategy>()))]
    pub strategy: Option<Strategy>,
    /// For the strategy timestamp: the first record at or after this moment (RFC 3339, or ms since 1970)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub at: Option<String>,
    /// Why, for the journal: required with another strategy and with an override
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// A file for Kafka's own tool.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Write what kafka-consumer-groups --reset-offsets --from-file reads to this file (0600)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub export: Option<PathBuf>,
    /// Replace that file
    #[arg(long, requires = "export")]
    pub force: bool,
}

/// `cutover offsets`.
#[derive(Debug, Subcommand)]
pub(crate) enum OffsetsVerb {
    /// Measure where groups must start on the other cluster; reads only
    Plan {
        /// Which, and how.
        #[command(flatten)]
        what: OffsetsArgs,
        /// Print the file that kafka-consumer-groups --reset-offsets --from-file reads, and nothing else
        #[arg(long)]
        csv: bool,
        /// Print the records around each cut as well: offset, time, key, size, hash
        #[arg(long)]
        records: bool,
        /// With --records or --json: the beginning of each record's value as well
        #[arg(long)]
        show_values: bool,
        /// The file.
        #[command(flatten)]
        export: ExportArgs,
    },
    /// Set groups' offsets; nothing is started or stopped
    Apply {
        /// Which, and how.
        #[command(flatten)]
        what: OffsetsArgs,
        /// Instead of typing the confirmation: its name, --yes=loan-audit; one for each group
        #[arg(long, value_name = "NAME")]
        yes: Vec<String>,
        /// Gates.
        #[command(flatten)]
        overrides: OverrideArgs,
        /// The file.
        #[command(flatten)]
        export: ExportArgs,
    },
}

/// A group that is moved, its confirmation, and what that passes over.
#[derive(Debug, Args)]
pub(crate) struct MoveArgs {
    /// The group.
    #[command(flatten)]
    pub group: GroupArgs,
    /// Gates.
    #[command(flatten)]
    pub overrides: OverrideArgs,
    /// Why a gate is passed over, for the journal
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// A group and its confirmation.
#[derive(Debug, Args)]
pub(crate) struct GroupArgs {
    /// Group id on blue
    pub group: String,
    /// Instead of typing the confirmation: its name, --yes=loan-audit
    #[arg(long, value_name = "NAME")]
    pub yes: Option<String>,
}

/// `cutover group`.
#[derive(Debug, Subcommand)]
pub(crate) enum GroupVerb {
    /// Move the group to green: drain, translate, commit, start, watch
    Cutover(MoveArgs),
    /// Move the group back to blue, or undo a cutover that is under way
    Rollback(MoveArgs),
    /// Go on with an action that was interrupted
    Continue(GroupArgs),
    /// Declare the soak done
    Complete(MoveArgs),
    /// Keep the group where it is
    Hold {
        /// Group id on blue
        group: String,
        /// Why, for the journal
        #[arg(long)]
        reason: String,
    },
    /// End a hold
    Resume {
        /// Group id on blue
        group: String,
    },
}

/// A producer's route.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RouteArg {
    /// Blue only
    Blue,
    /// Both: each record to blue and to green
    Dual,
    /// Green only
    Green,
    /// Stopped
    Off,
}

/// An exactly-once producer that is moved, its confirmation, and what that passes over.
#[derive(Debug, Args)]
pub(crate) struct HardArgs {
    /// The producer.
    #[command(flatten)]
    pub producer: ProducerArgs,
    /// Gates.
    #[command(flatten)]
    pub overrides: OverrideArgs,
    /// Why a gate is passed over, for the journal
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// A producer and its confirmation.
#[derive(Debug, Args)]
pub(crate) struct ProducerArgs {
    /// Name in the plan
    pub producer: String,
    /// Instead of typing the confirmation: its name, --yes=ledger
    #[arg(long, value_name = "NAME")]
    pub yes: Option<String>,
}

/// `cutover producer`.
#[derive(Debug, Subcommand)]
pub(crate) enum ProducerVerb {
    /// Move an exactly-once producer to green: stop, drain, fence, seam, start, watch
    Cutover(HardArgs),
    /// Move it back to blue, or undo a hard cutover that is under way
    Rollback {
        /// Which, and how.
        #[command(flatten)]
        what: HardArgs,
        /// Carry what was written on green since to blue, each record once (this is what happens without either)
        #[arg(long, conflicts_with = "lose")]
        carry_back: bool,
        /// Leave what was written on green since behind: it is lost to whoever reads blue
        #[arg(long)]
        lose: bool,
    },
    /// Go on with a hard cutover that waits for a person
    Continue(ProducerArgs),
    /// Declare it moved: blue is not kept as its way back any longer (after 72 h, or as the plan says)
    Complete(ProducerArgs),
    /// Agree, as a second person, to the hard cutover that somebody else starts
    Approve(ProducerArgs),
    /// Set a producer's flag
    Route {
        /// Name in the plan
        producer: String,
        /// Where it writes
        #[arg(value_enum)]
        to: RouteArg,
        /// Gates to pass over (readers).
        #[command(flatten)]
        overrides: OverrideArgs,
        /// Why, for the journal: for --override
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Instead of typing the confirmation: its name
        #[arg(long, value_name = "NAME")]
        yes: Option<String>,
    },
    /// Keep the producer where it is
    Hold {
        /// Name in the plan
        producer: String,
        /// Why, for the journal
        #[arg(long)]
        reason: String,
    },
    /// End a hold
    Resume {
        /// Name in the plan
        producer: String,
    },
}

/// `cutover replay`: what to carry, and how.
#[derive(Debug, Args)]
#[command(
    group(clap::ArgGroup::new("what").required(true).multiple(true).args(["group", "range", "from_diff", "topic", "resume"])),
    after_help = "It counts and compares first, asks, and reads back what it wrote. Records and progress are committed in the same \
                  transactions on the target: after a kill -9, `cutover replay --resume` goes on and each record is there once \
                  (for read_committed consumers). A carried record lands behind what the target has by then."
)]
pub(crate) struct ReplayArgs {
    /// What this group is missing on the other cluster, as `offsets plan` measures it
    #[arg(long, value_name = "GROUP", conflicts_with_all = ["range", "from_diff", "topic", "resume"])]
    pub group: Option<String>,
    /// Offsets of the source, TO not included; repeatable
    #[arg(long, value_name = "TOPIC:PARTITION:FROM-TO", conflicts_with_all = ["from_diff", "topic", "resume"])]
    pub range: Vec<crate::replay::Piece>,
    /// What a `cutover diff --json` (or `offsets plan --json`) document calls missing
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["topic", "resume"])]
    pub from_diff: Option<PathBuf>,
    /// What a diff of a topic between two moments calls missing (with --from-time), or with --all everything in it
    #[arg(long, requires = "from_time", conflicts_with = "resume")]
    pub topic: Option<String>,
    /// First timestamp: 2026-11-22T02:00:00Z, or ms since the epoch
    #[arg(long, value_name = "TIME", requires = "topic", value_parser = parse_moment)]
    pub from_time: Option<i64>,
    /// Timestamp to stop before; the end when left out
    #[arg(long, value_name = "TIME", requires = "topic", value_parser = parse_moment)]
    pub to_time: Option<i64>,
    /// Carry everything in that time, also what the other cluster has already
    #[arg(long, requires = "topic")]
    pub all: bool,
    /// Go on with a replay that was cut off: its id, or the last unfinished one
    #[arg(long, value_name = "RUN", num_args = 0..=1, default_missing_value = "")]
    pub resume: Option<String>,
    /// The cluster to read from; the other one is written to
    #[arg(long, value_enum, default_value = "blue", conflicts_with = "resume")]
    pub from: SideArg,
    /// Carry into this topic of the target, not into the topics' own
    #[arg(long, value_name = "TOPIC", conflicts_with = "resume")]
    pub into: Option<String>,
    /// Choose partitions by number, or by key (murmur2); by number where counts are equal, else by key
    #[arg(long, value_name = "number|key", conflicts_with = "resume")]
    pub by: Option<crate::replay::By>,
    /// Leave out the header `cutover-replay: RUN/TOPIC-PARTITION@OFFSET` (then nothing can be read back)
    #[arg(long, conflicts_with = "resume")]
    pub no_mark: bool,
    /// Let records land behind newer ones of their keys
    #[arg(long)]
    pub accept_reorder: bool,
    /// Carry again what an earlier replay has carried
    #[arg(long)]
    pub again: bool,
    /// At most so many bytes of keys and values a second: 50MB/s, 512KiB/s
    #[arg(long, value_name = "RATE", value_parser = crate::plan::size::parse_rate)]
    pub rate: Option<u64>,
    /// Don't read back what was written
    #[arg(long)]
    pub no_read_back: bool,
    /// Instead of typing the confirmation: the topic's name, or the migration's when there are several topics
    #[arg(long, value_name = "NAME")]
    pub yes: Option<String>,
}

/// `cutover diff`: what is compared, and how fast.
#[derive(Debug, Args)]
#[command(
    after_help = "Without a topic, producer or group: all topics that the plan lists. Without a range: from where both \
                  logs can be compared, to their ends now. Records younger than the topic's arrival_skew whose twin is \
                  not there yet are unsettled, never missing.\n\
                  Exit codes: 0 clean, 3 differs, 4 unknown, 1 failed, 2 usage; 130 interrupted (go on with --resume)."
)]
pub(crate) struct DiffArgs {
    /// A topic by its name on blue; repeatable
    #[arg(long, value_name = "TOPIC", conflicts_with_all = ["producer", "group"])]
    pub topic: Vec<String>,
    /// All topics of a producer of the plan
    #[arg(long, value_name = "NAME", conflicts_with = "group")]
    pub producer: Option<String>,
    /// All topics of a group (its id on blue)
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,
    /// First timestamp: 2026-11-22T02:00:00Z, or ms since the epoch
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub from_time: Option<i64>,
    /// Timestamp to stop before; the ends now when left out
    #[arg(long, value_name = "TIME", requires = "from_time", value_parser = parse_moment)]
    pub to_time: Option<i64>,
    /// The partition that the offsets are of
    #[arg(long, value_name = "N", requires = "from_offset")]
    pub partition: Option<i32>,
    /// First offset of the source, of one topic and partition
    #[arg(long, value_name = "OFFSET", requires_all = ["partition", "topic"], conflicts_with_all = ["from_time", "to_time"])]
    pub from_offset: Option<i64>,
    /// Offset of the source to stop before; the end when left out
    #[arg(long, value_name = "OFFSET", requires = "from_offset")]
    pub to_offset: Option<i64>,
    /// The cluster that should hold everything; the other one is compared with it
    #[arg(long, value_enum, default_value = "blue")]
    pub source: SideArg,
    /// At most so many bytes of keys and values a second, both clusters together: 50MB/s
    #[arg(long, value_name = "RATE", value_parser = crate::plan::size::parse_rate)]
    pub rate: Option<u64>,
    /// Memory for what is compared; the rest goes to disk: 64MiB
    #[arg(long, value_name = "SIZE", value_parser = crate::plan::size::parse_size)]
    pub memory: Option<u64>,
    /// Go on with the same diff where it was broken off
    #[arg(long)]
    pub resume: bool,
    /// How progress is told on standard error
    #[arg(long, value_enum, default_value = "text")]
    pub progress: ProgressArg,
}

/// How progress is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressArg {
    /// A line for people
    Text,
    /// A line of JSON a second
    Json,
    /// Not at all
    None,
}

/// A moment in RFC 3339 with a time zone, or in milliseconds since the epoch: in those.
///
/// # Errors
/// It is neither, or a number that is a likely moment only in another unit: Unix tools write seconds, and an offset that
/// rests on the wrong reading reads a log from 1970 on. What it would mean in both readings is said.
pub(super) fn parse_moment_ms(word: &str) -> Result<i64, String> {
    let Ok(number) = word.parse::<i64>() else {
        let written = word.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond);
        return written.map_err(|_| format!("{word:?} is not a moment with a time zone"));
    };
    let [ms, s, us, ns] = [Some(number), number.checked_mul(1_000), Some(number / 1_000), Some(number / 1_000_000)]
        .map(|ms| ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()));
    // Kafka is younger than 2001, and nobody's records are of the year 2200.
    let likely = |at: &jiff::Timestamp| (978_307_200_000..7_258_118_400_000).contains(&at.as_millisecond());
    if number == 0 || ms.as_ref().is_some_and(likely) {
        return Ok(number);
    }
    let read = ms.map_or_else(|| "beyond any calendar".to_owned(), |at| at.to_string());
    let other = [(s, "seconds"), (us, "microseconds"), (ns, "nanoseconds")]
        .into_iter()
        .find_map(|(at, unit)| Some(format!(", and {} in {unit}", at.filter(|at| likely(at))?)));
    Err(format!("{word} is {read} in milliseconds since 1970{}", other.unwrap_or_default()))
}

/// The same as an argument.
fn parse_moment(word: &str) -> Result<i64, String> {
    parse_moment_ms(word)
        .map_err(|why| format!("{why}: write 2026-11-22T02:00:00Z (with a zone), or milliseconds since the epoch"))
}

/// `cutover journal`.
#[derive(Debug, Subcommand)]
pub(crate) enum JournalVerb {
    /// The newest entries in words
    Show {
        /// How many
        #[arg(short = 'n', long, default_value_t = 50)]
        lines: usize,
    },
    /// Walk the hash chain and name the first broken entry
    Verify,
    /// Every entry as a line of JSON
    Export,
}
