//! The demo's estate: two simulated clusters, the services of a bank on them with live traffic, and a witness who
//! knows what was truly lost and read twice.

#![allow(clippy::disallowed_methods, reason = "the demo's services live in real time, as real ones do")]

pub mod audit;
mod flags;
mod groups;
mod ledger;
mod plan;
mod prefill;
mod producers;
pub mod setup;
pub mod spec;
mod witness;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

pub(crate) use flags::FlagFile;
pub use flags::{set_flag, write_flags};
pub use plan::{Addresses, demo_plan_toml};
pub(crate) use setup::try_reach;
pub use setup::{EGRESS_FILE, SetupSpec};
pub use spec::{EstateSpec, GroupSpec, LedgerSpec, ProducerSpec, TopicSpec};
pub use witness::{ID_HEADER, Witness, WitnessReport};

use super::cluster::{SimCluster, SimConfig};
use super::registry::SimRegistry;
use super::wire::now_ms;
use crate::base::{Side, Trouble, lock_unpoisoned};

/// How often services look at the flag file.
const FLAG_POLL: Duration = Duration::from_millis(200);

/// A planned incident: why one rolls back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incident {
    /// The group's consumers on green crawl (one record a second): its lag climbs.
    SlowConsumer {
        /// Group id.
        group: String,
    },
    /// A broker of the simulated cluster dies.
    BrokerDown {
        /// Which cluster.
        side: Side,
        /// Node id.
        broker: i32,
    },
}

/// What all services share.
#[derive(Debug)]
struct SharedTraffic {
    witness: Arc<Witness>,
    flags: FlagFile,
    seed: u64,
    ids: AtomicU64,
    slowed: Mutex<Option<String>>,
    stop: Mutex<bool>,
    stopped: Condvar,
}

impl SharedTraffic {
    fn next_id(&self) -> u64 {
        // Ids must differ, and nothing else is published with them.
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    fn is_stopping(&self) -> bool {
        *lock_unpoisoned(&self.stop)
    }

    /// Sleeps, but not longer than until the stop.
    fn pause(&self, time: Duration) {
        let stop = lock_unpoisoned(&self.stop);
        // whether it timed out or stopped is for the caller's loop to see
        let _unused = self.stopped.wait_timeout_while(stop, time, |stop| !*stop);
    }

    fn is_slowed(&self, group: &str, side: Side) -> bool {
        side == Side::Green && lock_unpoisoned(&self.slowed).as_deref() == Some(group)
    }
}

/// The partition of a key, as librdkafka's default partitioner has it (`consistent_random`: CRC-32).
fn partition_for(key: &str, partitions: i32) -> i32 {
    let hash = kafka_protocol::records::IEEE.checksum(key.as_bytes());
    i32::try_from(hash % u32::try_from(partitions.max(1)).unwrap_or(1)).unwrap_or(0)
}

/// Live services over any two clusters, simulated or real. They stop when this is dropped.
#[derive(Debug)]
pub struct Traffic {
    shared: Arc<SharedTraffic>,
    threads: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// Starts the services of an estate against two clusters whose topics exist. `flags` is a flag file with the
    /// keys of [`EstateSpec::list_flags`]. Ids of new records begin at `first_id`.
    ///
    /// # Errors
    /// The flag file can't be read, or no thread is to be had.
    pub fn start(
        estate: &EstateSpec,
        bootstraps: [&str; 2],
        flags: &Path,
        witness: Arc<Witness>,
        seed: u64,
        first_id: u64,
    ) -> Result<Self, Trouble> {
        let flags = FlagFile::open(flags).map_err(|e| {
            Trouble::new(format!("the flag file {} can't be read: {e}", flags.display()), "write one in flagd's format")
        })?;
        for group in &estate.groups {
            witness.note_group_topics(&group.name, &group.topics);
        }
        let shared = Arc::new(SharedTraffic {
            witness,
            flags,
            seed,
            ids: AtomicU64::new(first_id),
            slowed: Mutex::default(),
            stop: Mutex::default(),
            stopped: Condvar::new(),
        });
        let mut traffic = Self { shared, threads: Vec::new() };
        traffic.spawn("flags", |shared| {
            while !shared.is_stopping() {
                shared.flags.refresh();
                shared.pause(FLAG_POLL);
            }
        })?;
        let [blue, green] = bootstraps.map(str::to_owned);
        let (b, g, all) = (blue.clone(), green.clone(), estate.clone());
        traffic.spawn("producers", move |shared| {
            if let Err(e) = producers::run_producers(shared, &all, &b, &g) {
                tracing::error!("the demo's producers can't start: {e}");
            }
        })?;
        for spec in &estate.ledgers {
            let partitions = estate.find_topic(&spec.topic).map_or(1, |t| t.partitions);
            let (spec, b, g) = (spec.clone(), blue.clone(), green.clone());
            traffic.spawn(&spec.name.clone(), move |shared| ledger::run_ledger(shared, &spec, partitions, [&b, &g]))?;
        }
        for spec in &estate.groups {
            for (side, bootstrap) in [(Side::Blue, &blue), (Side::Green, &green)] {
                let (spec, bootstrap) = (spec.clone(), bootstrap.clone());
                let name = format!("{} {side}", spec.name);
                traffic.spawn(&name, move |shared| groups::run_group(shared, &spec, side, &bootstrap))?;
            }
        }
        Ok(traffic)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce(&Arc<SharedTraffic>) + Send + 'static) -> Result<(), Trouble> {
        let shared = self.shared.clone();
        let thread = std::thread::Builder::new().name(format!("demo-{name}")).spawn(move || run(&shared));
        let thread = thread.map_err(|e| {
            Trouble::new(format!("the demo can't start a thread: {e}"), "raise the limit on processes (ulimit -u)")
        })?;
        self.threads.push(thread);
        Ok(())
    }

    /// The referee.
    #[must_use]
    pub fn witness(&self) -> &Arc<Witness> {
        &self.shared.witness
    }

    /// Slows a group's consumers on green down, or ends that with `None`.
    pub(crate) fn slow_group(&self, group: Option<&str>) {
        *lock_unpoisoned(&self.shared.slowed) = group.map(str::to_owned);
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        *lock_unpoisoned(&self.shared.stop) = true;
        self.shared.stopped.notify_all();
        for thread in self.threads.drain(..) {
            // A service that panicked has ended, too; the others are still to be waited for.
            let _ = thread.join();
        }
    }
}

/// What the demo starts with.
#[derive(Debug, Clone)]
pub struct DemoConfig {
    /// Directory for the flag file; it must exist.
    pub dir: PathBuf,
    /// What runs.
    pub estate: EstateSpec,
    /// Seed of everything that is random.
    pub seed: u64,
    /// Ports of the brokers of blue and of green; missing or 0 takes any.
    pub ports: [Vec<u16>; 2],
    /// `cutover` itself, by which the plan tries what pods reach; without it none is tried.
    pub program: Option<PathBuf>,
}

impl DemoConfig {
    /// The bank, at its usual pace.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), estate: EstateSpec::bank(1.0), seed: 7, ports: [Vec::new(), Vec::new()], program: None }
    }
}

/// Two simulated clusters with a bank on them. Everything stops when this is dropped; the flag file stays.
#[derive(Debug)]
pub struct DemoEstate {
    // dropped first: clients leave while their brokers still answer
    traffic: Traffic,
    blue: SimCluster,
    green: SimCluster,
    registries: Vec<(Side, SimRegistry)>,
    flags: PathBuf,
    estate: EstateSpec,
    program: Option<PathBuf>,
}

impl DemoEstate {
    /// Starts the clusters, writes their past, the flag file `flags.json`, and starts the services.
    ///
    /// # Errors
    /// A port that is taken, a directory that can't be written, no threads.
    pub fn start(config: DemoConfig) -> Result<Self, Trouble> {
        let [blue_ports, green_ports] = config.ports;
        let blue = SimCluster::start(SimConfig { ports: blue_ports, ..SimConfig::new(Side::Blue) })?;
        let green = SimCluster::start(SimConfig { ports: green_ports, ..SimConfig::new(Side::Green) })?;
        let flags = config.dir.join("flags.json");
        write_flags(&flags, &config.estate).map_err(|e| {
            Trouble::new(format!("{} can't be written: {e}", flags.display()), "give the demo a writable directory")
        })?;
        let witness = Arc::new(Witness::default());
        // Before the past is written, which the witness counts by what each group reads.
        for group in &config.estate.groups {
            witness.note_group_topics(&group.name, &group.topics);
        }
        let next = prefill::fill_clusters(&config.estate, [&blue, &green], &witness, config.seed, now_ms())?;
        let bootstraps = [blue.bootstrap(), green.bootstrap()];
        let setup = &config.estate.setup;
        setup.set_up(&blue)?;
        setup.set_up(&green)?;
        setup.write_egress(&config.dir, &bootstraps[1])?;
        let mut registries = Vec::new();
        for side in Side::BOTH {
            registries.extend(setup.start_registry(side)?.map(|registry| (side, registry)));
        }
        let traffic =
            Traffic::start(&config.estate, [&bootstraps[0], &bootstraps[1]], &flags, witness, config.seed, next)?;
        Ok(Self { traffic, blue, green, registries, flags, estate: config.estate, program: config.program })
    }

    /// A cluster.
    #[must_use]
    pub fn cluster(&self, side: Side) -> &SimCluster {
        match side {
            Side::Blue => &self.blue,
            Side::Green => &self.green,
        }
    }

    /// The flag file.
    #[must_use]
    pub fn flags(&self) -> &Path {
        &self.flags
    }

    /// What runs.
    #[must_use]
    pub fn estate(&self) -> &EstateSpec {
        &self.estate
    }

    /// The plan for this estate. It names the flag file by its file name: write it into the same directory.
    #[must_use]
    pub fn plan_toml(&self) -> String {
        let (blue, green) = (self.blue.bootstrap(), self.green.bootstrap());
        let (blue_id, green_id) = (self.blue.cluster_id(), self.green.cluster_id());
        let addresses = Addresses { blue: (&blue, &blue_id), green: (&green, &green_id) };
        let name = self.flags.file_name().map_or_else(|| self.flags.clone(), PathBuf::from);
        let urls: Vec<(Side, &str)> = self.registries.iter().map(|(side, r)| (*side, r.url.as_str())).collect();
        let about_setup = self.estate.setup.plan_sections(&urls, self.program.as_ref());
        demo_plan_toml(&self.estate, &name, &addresses) + &about_setup
    }

    /// The schema registry of a cluster, where the estate has schemas.
    #[must_use]
    pub fn registry(&self, side: Side) -> Option<&SimRegistry> {
        self.registries.iter().find(|(of, _)| *of == side).map(|(_, registry)| registry)
    }

    /// Lets every pod connect to everything: what a person does who takes the lines out of [`EGRESS_FILE`].
    ///
    /// # Errors
    /// The file can't be written.
    pub fn open_egress(&self) -> Result<(), Trouble> {
        SetupSpec::default().write_egress(self.flags.parent().unwrap_or(Path::new(".")), "")
    }

    /// The referee.
    #[must_use]
    pub fn witness(&self) -> &Witness {
        self.traffic.witness()
    }

    /// Begins a new count for a group, now: at the start of a cutover or a rollback.
    pub fn mark(&self, group: &str) {
        self.traffic.witness().mark(group, now_ms());
    }

    /// Makes something go wrong.
    pub fn start_incident(&self, incident: &Incident) {
        match incident {
            Incident::SlowConsumer { group } => self.traffic.slow_group(Some(group)),
            Incident::BrokerDown { side, broker } => self.cluster(*side).with_state(|s| s.kill_broker(*broker)),
        }
    }

    /// Ends every incident.
    pub fn recover(&self) {
        self.traffic.slow_group(None);
        for side in Side::BOTH {
            self.cluster(side).with_state(|s| {
                for id in s.brokers.keys().copied().collect::<Vec<_>>() {
                    s.revive_broker(id);
                }
            });
        }
    }
}
