//! A way to a broker that writes down which API keys were sent along it.
//!
//! The broker advertises the recorder's address on a listener of its own (see `listeners`), so whoever comes that way
//! stays on it, and whoever bootstraps from the plain listener never crosses it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use super::ports::{self, Port};

/// The keys that ask and change nothing (kafka.apache.org/protocol: Fetch, ListOffsets, Metadata, OffsetFetch,
/// FindCoordinator, DescribeGroups, ListGroups, SaslHandshake, ApiVersions, OffsetForLeaderEpoch, DescribeAcls,
/// DescribeConfigs, DescribeLogDirs, SaslAuthenticate, ListPartitionReassignments, DescribeClientQuotas,
/// DescribeUserScramCredentials, DescribeCluster, DescribeProducers, DescribeTransactions, ListTransactions, ConsumerGroupDescribe,
/// GetTelemetrySubscriptions, PushTelemetry, DescribeTopicPartitions).
const ASKING: [i16; 25] =
    [1, 2, 3, 9, 10, 15, 16, 17, 18, 23, 29, 32, 35, 36, 46, 48, 50, 60, 61, 65, 66, 69, 71, 72, 75];

type Sent = Arc<Mutex<BTreeMap<i16, u64>>>;

/// A recording proxy before one broker, and the ports that the broker needs for it.
#[derive(Debug)]
pub struct Recorder {
    /// Where clients go.
    pub bootstrap: String,
    inner: Port,
    outer: Port,
    sent: Sent,
}

impl Recorder {
    /// Takes ports and begins to listen. Connections are refused until the broker runs.
    pub fn start() -> Recorder {
        let (inner, (outer, listener)) = (ports::take(), ports::listen());
        let bootstrap = format!("127.0.0.1:{}", outer.number);
        let (sent, to) = (Sent::default(), inner.number);
        let record = Arc::clone(&sent);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // Dropped, the connection is closed: as a broker that is not there would have it.
                let Ok(broker) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                let record = Arc::clone(&record);
                std::thread::spawn(move || both_ways(&client, &broker, &record));
            }
        });
        Recorder { bootstrap, inner, outer, sent }
    }

    /// The two lists of listeners, what the broker binds and what it advertises: `PLAINTEXT` and `RECORDED`, which
    /// `listener.security.protocol.map` must have as PLAINTEXT (`RECORDED` may be SASL_PLAINTEXT too: nothing is encrypted).
    pub fn listeners(&self) -> [String; 2] {
        [self.inner.number, self.outer.number]
            .map(|port| format!("PLAINTEXT://127.0.0.1:{{client}},RECORDED://127.0.0.1:{port}"))
    }

    /// Requests sent so far, by API key.
    pub fn sent(&self) -> BTreeMap<i16, u64> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Those among them that may change something.
    pub fn changing(&self) -> BTreeMap<i16, u64> {
        self.sent().into_iter().filter(|(key, _)| !ASKING.contains(key)).collect()
    }

    /// Forgets what was sent so far.
    pub fn forget(&self) {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn both_ways(client: &TcpStream, broker: &TcpStream, sent: &Sent) {
    let close = || {
        let _ = (client.shutdown(Shutdown::Both), broker.shutdown(Shutdown::Both));
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _ = std::io::copy(&mut &*broker, &mut &*client);
            close();
        });
        let _ = requests(client, broker, sent);
        close();
    });
}

/// Passes requests on, each noted before its broker gets it.
fn requests(mut from: &TcpStream, mut to: &TcpStream, sent: &Sent) -> std::io::Result<()> {
    loop {
        let mut head = [0; 6];
        from.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let key = i16::from_be_bytes([head[4], head[5]]);
        *sent.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
        to.write_all(&head)?;
        std::io::copy(&mut from.take(u64::from(length.saturating_sub(2))), &mut to)?;
    }
}
