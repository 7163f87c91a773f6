//! Two clusters with an authorizer, to which `cutover` comes by a way that is written down.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::scene::Ground;
use crate::support::kafka::{Broker, HeldPort, Recorder, take_port, throwaway};

/// Of the application, on both clusters; whoever comes without a password is a super user.
pub const PRINCIPAL: &str = "User:app";

/// A cluster with an authorizer. Transactions that are open too long are not ended by it: what names them is judged here.
pub struct Guarded {
    pub broker: Broker,
    pub recorder: Recorder,
    app: HeldPort,
}

impl Guarded {
    fn start(name: &str) -> Guarded {
        let (recorder, app) = (Recorder::start(), take_port());
        let [binds, advertises] = recorder.listeners().map(|l| format!("{l},APP://127.0.0.1:{}", app.number));
        let jaas = "org.apache.kafka.common.security.plain.PlainLoginModule required user_app=\"app-secret\";";
        let map = "PLAINTEXT:PLAINTEXT,RECORDED:PLAINTEXT,CONTROLLER:PLAINTEXT,APP:SASL_PLAINTEXT";
        let broker = throwaway(
            name,
            &[
                ("listeners", &format!("{binds},CONTROLLER://127.0.0.1:{{controller}}")),
                ("advertised.listeners", &advertises),
                ("listener.security.protocol.map", map),
                ("sasl.enabled.mechanisms", "PLAIN"),
                ("listener.name.app.plain.sasl.jaas.config", jaas),
                ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
                ("super.users", "User:ANONYMOUS"),
                ("allow.everyone.if.no.acl.found", "true"),
                ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "3600000"),
            ],
        );
        Guarded { broker, recorder, app }
    }

    /// For a scene: the application comes by its password, `cutover` along the recorder.
    pub fn ground(&self) -> Ground<'_> {
        let app = format!("127.0.0.1:{}", self.app.number);
        let client = [
            ("bootstrap.servers", app.as_str()),
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", "app"),
            ("sasl.password", "app-secret"),
        ];
        Ground {
            broker: &self.broker,
            cutover: self.recorder.bootstrap.clone(),
            client: client.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec(),
        }
    }
}

/// Blue and green, for one case of this room after the other: what a recorder holds is then of that case alone.
pub fn guarded() -> (&'static [Guarded; 2], MutexGuard<'static, ()>) {
    static GUARDED: OnceLock<[Guarded; 2]> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    (GUARDED.get_or_init(|| ["guarded-blue", "guarded-green"].map(Guarded::start)), turn)
}
