//! What a person sees when something breaks: each a clear message with what to do, the rest of the screen alive,
//! nothing lost. The real binary in a terminal of 80x24, or its `--json` verbs.

mod brokers;
mod clusters;
mod moves;
mod reach;
mod secrets;
mod vanish;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use crate::support::kafka::Broker;
use crate::support::pty::{self, Terminal, key};
use crate::support::workload::{
    Application, ApplicationOptions, Audit, Cluster, Switch, Traffic, TrafficOptions, audit,
};
use crate::support::{kafka, unique};

const SOON: Duration = Duration::from_secs(120);

/// Commits must be still for so long that what a test breaks while a group drains is broken while it drains: the screen is
/// read, a key goes out and an admin's tool starts meanwhile, on a machine that may have other work.
const DRAINS_LONG: &str = "drain_still = \"30s\"";

/// A directory with a plan in it.
pub struct Desk {
    dir: tempfile::TempDir,
}

/// How a verb ended.
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Desk {
    pub fn new(plan: &str) -> Desk {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("cutover.toml"), plan).expect("a plan");
        Desk { dir }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    fn cockpit(&self) -> Terminal {
        pty::cutover(&[], &[], self.path(), (80, 24))
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        self.run_with(&[], args)
    }

    /// The same with variables of the environment.
    pub fn run_with(&self, variables: &[(&str, &str)], args: &[&str]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_cutover"))
            .args(args)
            .envs(variables.iter().copied())
            .current_dir(self.path())
            .stdin(Stdio::null())
            .output()
            .expect("the binary runs");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// A verb with `--json`: its exit code and what it printed.
    pub fn json(&self, args: &[&str]) -> (Option<i32>, Value) {
        let ran = self.run(&[args, &["--json"]].concat());
        let value = serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {}{}", ran.out, ran.err));
        (ran.code, value)
    }
}

/// A plan of two clusters and nothing more. `blue` and `green` are the bodies of their tables.
fn plan_of(blue: &str, green: &str, more: &str) -> String {
    format!("[migration]\nname = \"real\"\n[clusters.blue]\n{blue}\n[clusters.green]\n{green}\n{more}\n")
}

fn at(bootstrap: &str) -> String {
    format!("bootstrap = \"{bootstrap}\"")
}

/// The screen as one text: words that stand on two lines are still found.
fn prose(screen: &vt100::Screen) -> String {
    screen.contents().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether all of it stands on the screen, broken into lines or not.
fn says(screen: &vt100::Screen, words: &[&str]) -> Option<()> {
    let text = prose(screen);
    words.iter().all(|w| text.contains(w)).then_some(())
}

/// Prints the screen, for whoever reads the test's output.
fn show(what: &str, terminal: &Terminal) {
    let lines: String = terminal.screen_text().lines().map(|l| format!("  |{l}\n")).collect();
    println!("{what}:\n{lines}");
}

/// The part of a line of the panels that belongs to a side: blue left, green right.
fn half(screen: &vt100::Screen, green: bool) -> String {
    let cut = |line: &str| {
        let cells: Vec<char> = line.chars().collect();
        let middle = cells.len().min(40);
        if green { cells[middle..].iter().collect::<String>() } else { cells[..middle].iter().collect() }
    };
    let is_panel = |line: &&str| line.starts_with(['┌', '│', '└']);
    screen.contents().lines().filter(is_panel).map(|l| cut(l) + "\n").collect()
}

/// A group with a backlog, an application that reads it, and a plan; traffic by eight dual-writing producers.
struct Move {
    group: String,
    topic: String,
    application: Application,
    traffic: Traffic,
    switch: Switch,
    /// Last: what runs looks at files in it until it has stopped.
    desk: Desk,
}

/// Presses a key until its dialog stands there: what is refused for a moment (a look that is not fresh, a coordinator that
/// moves) is said, at the line of keys or in the dialog, and a person presses again.
fn open_dialog(terminal: &Terminal, letter: &str, words: &[&str]) {
    let opened = (0..30).any(|_| {
        let refused = terminal.with_screen(|s| s.contents().contains("enter asks again"));
        terminal.send(if refused { key::ENTER } else { letter });
        terminal.look_for(Duration::from_secs(8), |s| says(s, words)).is_ok()
    });
    assert!(opened, "{letter} opens nothing with {words:?}:\n{}", terminal.screen_text());
}

impl Move {
    fn start(blue: &Broker, green: &Broker, defaults: &str, options: &ApplicationOptions) -> Move {
        let desk = Desk::new("");
        let name = unique("loan-audit");
        let switch = Switch::file(&desk.path().join("switch.json"), &name, "blue");
        Move::with_switch(blue, green, defaults, options, (desk, name), (&switch, &switch.toml()))
    }

    /// With a switch of one's own, and how the plan names it.
    fn with_switch(
        blue: &Broker,
        green: &Broker,
        defaults: &str,
        options: &ApplicationOptions,
        (desk, group): (Desk, String),
        (switch, switch_toml): (&Switch, &str),
    ) -> Move {
        let topic = unique("loan-events");
        for broker in [blue, green] {
            kafka::create_topic(broker, &topic, 3, &[]);
        }
        let flag = Switch::file(&desk.path().join("flag.json"), "loan-api", "dual");
        let bootstrap = [blue.bootstrap.as_str(), green.bootstrap.as_str()];
        let more = format!(
            "[defaults]\nmax_re_read = 20000\nsettle_timeout = \"60s\"\n{defaults}\n\
             [[producers]]\nname = \"loan-api\"\ntopics = [{topic:?}]\nflag = {}\n\
             [[groups]]\nname = \"{group}\"\nteam = \"loans\"\ntopics = [{topic:?}]\nswitch = {switch_toml}\n",
            flag.toml(),
        );
        let plan = plan_of(&at(bootstrap[0]), &at(bootstrap[1]), &more);
        std::fs::write(desk.path().join("cutover.toml"), plan).expect("a plan");
        let topics = [topic.clone()];
        let traffic_options =
            TrafficOptions { rate: 200, partitions: 3, flag: Some(flag), ..TrafficOptions::default() };
        let traffic = Traffic::start(bootstrap, &topics, &traffic_options);
        let application = Application::start(bootstrap, &group, &topics, switch, options);
        let this = Move { desk, group, topic, application, traffic, switch: switch.clone() };
        this.wait_committed(blue);
        this
    }

    /// Until it has committed on every partition: without, where it stands is its `auto.offset.reset`'s affair.
    fn wait_committed(&self, broker: &Broker) {
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_range(&self.topic, 0, 2);
        let client = kafka::consumer(broker, &self.group, &[]);
        for more in (100..).step_by(50) {
            self.application.wait_processed(more, SOON);
            let committed = client.committed_offsets(partitions.clone(), SOON).expect("committed offsets");
            if committed.elements().iter().all(|e| matches!(e.offset(), Offset::Offset(_))) {
                return;
            }
        }
    }

    /// The cockpit with the group's own screen open.
    fn cockpit(&self) -> Terminal {
        let terminal = self.desk.cockpit();
        terminal.wait_for(SOON, |s| says(s, &["ARMED", &self.group[..8]]));
        terminal.send("/");
        terminal.send(&self.group);
        terminal.send(key::ENTER);
        terminal.wait_for(SOON, |s| says(s, &["▸", &self.group[..8]]));
        terminal.send(key::ENTER);
        terminal.wait_for(SOON, |s| says(s, &["verdict"]));
        terminal
    }

    /// Opens a dialog by its key as soon as it is offered, and types what it wants.
    fn confirm(&self, terminal: &Terminal, letter: &str, offered: &str, side: &str) {
        terminal.wait_for(SOON, |s| says(s, &[offered]));
        let phrase = format!("{side} {}", self.group);
        let open = "limit 0 lost";
        open_dialog(terminal, letter, &[open, "estimate"]);
        // What comes in a dialog's first moments is dropped (typed ahead), and facts may change while one types: both
        // are said, and then it is done again.
        for _ in 0..90 {
            terminal.send(&key::BACKSPACE.repeat(phrase.len()));
            terminal.send(&phrase);
            let typed = |s: &vt100::Screen| says(s, &[&format!("> {phrase}"), "✓"]);
            if terminal.look_for(Duration::from_secs(1), typed).is_err() {
                continue;
            }
            terminal.send(key::ENTER);
            let again = |s: &vt100::Screen| says(s, &["enter asks again"]).is_some();
            terminal.wait_for(SOON, |s| (!s.contents().contains(open) || again(s)).then_some(()));
            if !terminal.with_screen(again) {
                return;
            }
            terminal.send(key::ENTER);
            terminal.wait_for(SOON, |s| (!again(s)).then_some(()));
        }
        panic!("the dialog does not take {phrase:?}:\n{}", terminal.screen_text());
    }

    /// Stops the traffic, lets the application read to the end of `on`, and counts.
    fn audit(self, on: Cluster) -> Audit {
        let truth = self.traffic.stop();
        self.application.wait_caught_up(on, SOON);
        audit(&truth, &self.application.stop())
    }
}
