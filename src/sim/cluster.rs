//! A simulated cluster that runs: its own thread, its own runtime, brokers on loopback.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::state::{BrokerLimits, SimState};
use super::wire::{self, SharedCluster};
use crate::base::{Side, Trouble};

/// How often time passes in a running cluster (sessions, rebalances, transaction timeouts), ms.
const TICK_MS: u64 = 20;

/// What to start.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// Which cluster it plays.
    pub side: Side,
    /// A name for threads and logs.
    pub name: String,
    /// The cluster id that Metadata gives.
    pub cluster_id: String,
    /// Number of brokers, ids from 1.
    pub brokers: i32,
    /// Ports by broker; missing or 0 takes any free one.
    pub ports: Vec<u16>,
    /// Limits of the brokers.
    pub limits: BrokerLimits,
}

impl SimConfig {
    /// Three brokers on any ports, with a cluster id that tells the side.
    #[must_use]
    pub fn new(side: Side) -> Self {
        let cluster_id = match side {
            Side::Blue => "sim-BLUE-cluster-00001",
            Side::Green => "sim-GREEN-cluster-0002",
        };
        Self {
            side,
            name: side.name().to_owned(),
            cluster_id: cluster_id.to_owned(),
            brokers: 3,
            ports: Vec::new(),
            limits: BrokerLimits::default(),
        }
    }
}

/// A running cluster. It stops when dropped: connections close, ports are free again.
#[derive(Debug)]
pub struct SimCluster {
    shared: Arc<SharedCluster>,
    side: Side,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl SimCluster {
    /// Starts the brokers; they accept connections when this returns.
    ///
    /// # Errors
    /// A port that is taken, or no thread to be had.
    pub fn start(config: SimConfig) -> Result<Self, Trouble> {
        let mut state = SimState::new(&config.cluster_id, config.brokers);
        state.limits = config.limits;
        // All ports are taken before any broker answers: Metadata names them all.
        let mut listeners = Vec::new();
        for id in state.brokers.keys().copied().collect::<Vec<_>>() {
            let slot = usize::try_from(id - 1).unwrap_or(0);
            let port = config.ports.get(slot).copied().unwrap_or(0);
            let listener = wire::bind_listener(port).map_err(|e| cannot_start(&config.name, id, port, &e))?;
            let port = listener.local_addr().map_err(|e| cannot_start(&config.name, id, port, &e))?.port();
            state.set_port(id, port);
            listeners.push((id, listener));
        }
        let shared = Arc::new(SharedCluster::new(state));
        let (stop, stopped) = oneshot::channel();
        // its own runtime: librdkafka's drop blocks its caller until the broker answers, which a shared one couldn't
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| cannot_start(&config.name, 0, 0, &e))?;
        let served = shared.clone();
        let thread = std::thread::Builder::new()
            .name(format!("sim-{}", config.name))
            .spawn(move || {
                runtime.block_on(async move {
                    for (id, listener) in listeners {
                        tokio::spawn(wire::run_broker(served.clone(), id, listener));
                    }
                    let mut ticks = tokio::time::interval(Duration::from_millis(TICK_MS));
                    // What a tick does goes by the clock: after a stall one makes up for all that were missed.
                    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
                    let ticking = async {
                        loop {
                            ticks.tick().await;
                            served.with_state(|s, now| s.tick(now));
                        }
                    };
                    // Either way the runtime ends, and with it each broker's task and socket.
                    tokio::select! {
                        () = ticking => {}
                        _ = stopped => {}
                    }
                });
            })
            .map_err(|e| cannot_start(&config.name, 0, 0, &e))?;
        Ok(Self { shared, side: config.side, stop: Some(stop), thread: Some(thread) })
    }

    /// Which cluster it plays.
    #[must_use]
    pub fn side(&self) -> Side {
        self.side
    }

    /// `host:port` of every broker, comma-separated, dead ones too.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        self.with_state(|s| {
            let addresses: Vec<String> = s.brokers.values().map(|b| format!("{}:{}", b.host, b.port)).collect();
            addresses.join(",")
        })
    }

    /// The cluster id.
    #[must_use]
    pub fn cluster_id(&self) -> String {
        self.with_state(|s| s.cluster_id.clone())
    }

    /// Looks at or changes the state: the truth for a test, faults for a story. Waiting requests and readers are
    /// told of what changed. Don't hold on to it: brokers wait meanwhile.
    pub fn with_state<R>(&self, f: impl FnOnce(&mut SimState) -> R) -> R {
        self.shared.with_state(|s, _| f(s))
    }

    /// The same, with the cluster's present time, ms since the epoch.
    pub fn with_state_at<R>(&self, f: impl FnOnce(&mut SimState, i64) -> R) -> R {
        self.shared.with_state(f)
    }
}

impl Drop for SimCluster {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The receiver is gone when the thread has panicked: there is nothing left to stop.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            // Waited for: only then are the ports free for whoever starts next.
            let _ = thread.join();
        }
    }
}

fn cannot_start(name: &str, broker: i32, port: u16, error: &io::Error) -> Trouble {
    Trouble::new(
        format!("the simulated cluster {name} can't start broker {broker} on 127.0.0.1:{port}: {error}"),
        "free the port, or give 0 to take any",
    )
}
