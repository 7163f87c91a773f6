//! `kill -9` at each effect boundary of a cutover and of a rollback, with live traffic: what was begun is finished
//! by the next controller, nothing is lost, and the re-reads are those that were predicted.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cutover::base::{Side, TroubleClass};
use cutover::estate::SwitchState;
use cutover::migration::facts::command::{Command, Subject};
use cutover::sim::traffic::GroupSpec;
use cutover::sim::{DemoConfig, DemoEstate};

use crate::kill_support::{carry_out, killed};
use crate::patience::{Patience, until};

const PATIENCE: Duration = Duration::from_secs(240);
/// Steps of both runbooks that have an effect: stop, translate, commit, start.
const STEPS: [(usize, &str); 4] = [(1, "stop"), (3, "translate"), (4, "commit"), (5, "start")];
/// Where in the life of an effect.
const BOUNDARIES: [&str; 3] = ["before", "after-intent", "after-effect"];

pub struct World {
    pub dir: tempfile::TempDir,
    pub estate: DemoEstate,
}

impl World {
    /// The demo's estate, with one more group for each boundary: each has a journal of its own, and they are killed
    /// side by side.
    pub fn start() -> Arc<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut config = DemoConfig::new(dir.path());
        let like = config.estate.groups.iter().find(|g| g.name == "loan-audit").unwrap().clone();
        let more = Self::groups().into_iter().map(|name| GroupSpec { name, per_second: None, ..like.clone() });
        config.estate.groups.extend(more);
        crate::turns::heavy();
        let estate = DemoEstate::start(config).unwrap();
        Arc::new(Self { dir, estate })
    }

    /// A plan and a journal of one's own.
    pub fn plan(&self, name: &str) -> PathBuf {
        let dir = self.dir.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        let plan = self.estate.plan_toml();
        let flags = self.estate.flags().display().to_string();
        let plan = plan
            .replace("\"flags.json\"", &format!("{flags:?}"))
            .replace("drain_still = \"3s\"", "drain_still = \"1s\"");
        std::fs::write(dir.join("cutover.toml"), plan).unwrap();
        dir
    }

    /// The groups that the demo's estate has more.
    pub fn groups() -> Vec<String> {
        STEPS.iter().flat_map(|(_, step)| BOUNDARIES.map(|boundary| name(boundary, step))).collect()
    }

    /// Where a group's switch stands.
    pub fn switch(&self, group: &str) -> String {
        let flags = std::fs::read_to_string(self.estate.flags()).unwrap();
        let flags: serde_json::Value = serde_json::from_str(&flags).unwrap();
        flags["flags"][format!("{group}-consumer")]["defaultVariant"].as_str().unwrap().to_owned()
    }

    /// Lost and re-read since the mark, once the group has gone on.
    pub fn seen(&self, group: &str) -> (u64, u64) {
        let report = || self.estate.witness().report_group(group).unwrap();
        let (before, mut patience) = (report().processed, Patience::new(PATIENCE));
        while report().processed < before + 200 {
            assert!(patience.left().is_some(), "{group} stopped reading: {:?}", report());
            std::thread::park_timeout(Duration::from_millis(20));
        }
        (report().lost, report().re_read)
    }

    /// Killed at the boundary, then continued: it is where it should be, and nothing is lost.
    fn killed_and_continued(&self, dir: &std::path::Path, group: &str, to: Side, crash_at: &str) {
        let command = match to {
            Side::Green => Command::cut_over(group),
            Side::Blue => Command::roll_back(group),
        };
        self.estate.mark(group);
        killed(dir, &command, crash_at);
        let report = carry_out(dir, Command::Continue { subject: Subject::Group(group.into()) }, None);
        assert_eq!(report.class, None, "{group} to {to}, killed {crash_at}: {report:?}");
        let predicted = report.run.unwrap().predicted_re_read.unwrap();
        // On a busy machine two hundred records of other partitions may come before the one that is read again.
        until(PATIENCE, "what was predicted is read again", || {
            self.estate.witness().report_group(group).unwrap().re_read >= predicted
        });
        let (lost, re_read) = self.seen(group);
        println!("{group} to {to}, killed {crash_at}: lost {lost}, re-read {re_read}, predicted {predicted}");
        assert_eq!((lost, re_read), (0, predicted), "{group} to {to}, killed {crash_at}");
        assert_eq!(self.switch(group), SwitchState::only_on(to).to_string(), "{group}'s switch");
    }
}

fn name(boundary: &str, step: &str) -> String {
    format!("{boundary}-{step}")
}

#[test]
fn killed_at_every_effect_boundary_it_goes_on_and_nothing_is_lost() {
    let world = World::start();
    let cases = STEPS.into_iter().flat_map(|(index, step)| BOUNDARIES.map(|boundary| (index, step, boundary)));
    let threads = cases.map(|(index, step, boundary)| {
        let world = Arc::clone(&world);
        std::thread::spawn(move || {
            let group = name(boundary, step);
            world.seen(&group);
            let dir = world.plan(&group);
            world.killed_and_continued(&dir, &group, Side::Green, &format!("{boundary}:1/{index}/1"));
            world.killed_and_continued(&dir, &group, Side::Blue, &format!("{boundary}:2/{index}/1"));
        })
    });
    let threads: Vec<_> = threads.collect();
    let ends: Vec<_> = threads.into_iter().map(std::thread::JoinHandle::join).collect();
    assert!(ends.iter().all(Result::is_ok), "see above");
}

#[test]
fn killed_after_the_commit_it_can_be_given_back_as_if_nothing_had_been() {
    let world = World::start();
    let (group, dir) = ("card-risk", world.plan("give-back"));
    world.seen(group);
    world.estate.mark(group);
    killed(&dir, &Command::cut_over(group), "after-effect:1/4/1");
    let report = carry_out(&dir, Command::roll_back(group), None);
    assert_eq!(report.class, None, "{report:?}");
    assert_eq!(world.seen(group), (0, 0), "lost, re-read");
    // "old offsets" of a group that had none there: none
    let left = world.estate.cluster(Side::Green).with_state(|s| s.groups().get(group).map_or(0, |g| g.offsets.len()));
    assert_eq!(left, 0, "offsets left on green");
}

/// The journal's disk fills up before each effect of a cutover: the group is not left on neither side, the command says so
/// and ends, and with room again it goes on.
#[test]
fn a_full_disk_at_every_step_gives_the_group_back_and_says_so() {
    let world = World::start();
    let group = "loan-audit";
    world.seen(group);
    for (index, step) in STEPS {
        let dir = world.plan(&format!("full-{step}"));
        let full = format!("full:1/{index}/1").parse().unwrap();
        let report = carry_out(&dir, Command::cut_over(group), Some(full));
        assert!(report.summary.contains("the disk is full"), "{step}: {report:?}");
        assert!(report.advice.contains("free some space there"), "{step}: {report:?}");
        // Before the point of no return it goes back, after it it goes on; nothing is told of what was never stopped.
        let (class, stands, on) = match step {
            "stop" => (TroubleClass::Refused, "", "blue"),
            "start" => (TroubleClass::Unknown, "is started on green", "green"),
            _ => (TroubleClass::Unknown, "is started on blue", "blue"),
        };
        assert_eq!(report.class, Some(class), "{step}: {report:?}");
        assert!(report.summary.contains(stands), "{step}: {report:?}");
        let (lost, _) = world.seen(group);
        assert_eq!(lost, 0, "{step}");
        assert_eq!(world.switch(group), on, "{step}");
        // There is room again, and a person decides: back to where it was.
        let report = carry_out(&dir, Command::roll_back(group), None);
        assert!(report.class.is_none() || report.summary.contains("is on blue"), "{step}: {report:?}");
    }
}
