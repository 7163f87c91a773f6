//! One connection to one broker: set up, then a [`Wire`] until it breaks. One whose session ends (KIP-368) authenticates
//! again before it does (`relogin`).

use std::ops::Deref;
use std::sync::{Arc, Mutex};

use tokio::time::timeout;

use super::failure::{Class, Failure};
use super::logins::LoginBook;
use super::throttle::ThrottleBook;
use super::transport::{Endpoint, dial, format_limit};
use super::trust::TrustKeeper;
use super::wire::{TaskSet, Wire};
use super::{relogin, sasl};
use crate::base::lock_unpoisoned;
use crate::kafka::properties::ControlProperties;

/// An open connection. Dropping it closes it.
pub(super) struct Connection {
    /// Shared with the task that authenticates again.
    wire: Arc<Wire>,
    endpoint: Endpoint,
    _tasks: TaskSet,
}

/// What all connections of a cluster share.
#[derive(Clone)]
pub(super) struct SharedBooks {
    pub throttling: Arc<ThrottleBook>,
    pub logins: Arc<LoginBook>,
    pub trust: Arc<TrustKeeper>,
}

/// How far setting up a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum SetupStage {
    /// Reading what TLS rests on.
    #[default]
    Files,
    /// Name and TCP.
    Dial,
    /// The handshake.
    Tls,
    /// The first request.
    Versions,
    /// The broker has answered, and is to let us in.
    Login,
}

/// Where a set-up stands, for who gives it up.
#[derive(Debug, Default)]
pub(super) struct StageMark(Mutex<SetupStage>);

impl StageMark {
    pub fn enter(&self, stage: SetupStage) {
        *lock_unpoisoned(&self.0) = stage;
    }

    fn reached(&self) -> SetupStage {
        *lock_unpoisoned(&self.0)
    }
}

/// Whatever is asked of a broker is asked by its wire.
impl Deref for Connection {
    type Target = Wire;

    fn deref(&self) -> &Wire {
        &self.wire
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.wire.hang_up();
    }
}

impl Connection {
    /// Reads what TLS rests on, connects, negotiates versions and authenticates; all of it within the setup time limit.
    /// Where a token has to be asked for that comes first, within the same limit of its own: who waits for a token server
    /// is not told of a broker.
    pub async fn open(
        endpoint: &Endpoint,
        properties: &ControlProperties,
        books: &SharedBooks,
    ) -> Result<Connection, Failure> {
        let (limit, stage) = (properties.setup_timeout, StageMark::default());
        let opened = async {
            let login = match &properties.sasl {
                Some(sasl) => Some(sasl::prepare_login(sasl).await?),
                None => None,
            };
            match timeout(limit, Self::set_up(endpoint, properties, login.as_ref(), books, &stage)).await {
                Ok(result) => result,
                Err(_) => Err(late_failure(endpoint, &format_limit(limit), stage.reached())),
            }
        };
        let opened = opened.await;
        match &opened {
            Ok(_) => tracing::debug!(broker = %endpoint.label, "connected"),
            Err(f) => {
                tracing::warn!(broker = %endpoint.label, class = ?f.class, why = %f.trouble.what, "not connected")
            }
        }
        opened
    }

    async fn set_up(
        endpoint: &Endpoint,
        properties: &ControlProperties,
        login: Option<&sasl::Login>,
        books: &SharedBooks,
        stage: &StageMark,
    ) -> Result<Connection, Failure> {
        let connector = match &properties.tls {
            Some(settings) => Some(books.trust.read(settings).await?),
            None => None,
        };
        stage.enter(SetupStage::Dial);
        let secure = connector.as_ref().zip(properties.tls.as_ref());
        let stream = dial(endpoint, secure, properties.setup_timeout, stage).await?;
        stage.enter(SetupStage::Versions);
        let (mut wire, mut tasks) = Wire::start_tasks(stream, &endpoint.label, properties, &books.throttling);
        // Whatever breaks before the connection is ready: nothing of the caller's was sent.
        let unsent = |f: Failure| match f.class {
            Class::Lost => Failure { class: Class::Unreachable, ..f },
            _ => f,
        };
        wire.speech = wire.negotiate().await.map_err(unsent)?;
        stage.enter(SetupStage::Login);
        let session = match login {
            Some(login) => {
                let session = sasl::authenticate(&wire, login, sasl::Occasion::Beginning).await;
                books.logins.judge(session).map_err(unsent)?
            }
            None => None,
        };
        wire.limit = properties.request_timeout;
        let wire = Arc::new(wire);
        if let Some((sasl, lifetime)) = properties.sasl.clone().zip(session) {
            let logins = Arc::clone(&books.logins);
            tasks.0.push(tokio::spawn(relogin::keep_session(Arc::clone(&wire), sasl, lifetime, logins)));
        }
        Ok(Connection { wire, endpoint: endpoint.clone(), _tasks: tasks })
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

/// The set-up was given up: what it waited for says what to look at. Until the first answer nobody was there.
fn late_failure(endpoint: &Endpoint, limit: &str, stage: SetupStage) -> Failure {
    let label = &endpoint.label;
    match stage {
        SetupStage::Files => {
            let what = format!("{label}: reading the files that `ssl.*` names took longer than {limit}");
            let advice = "check the disk or the share that they lie on";
            Failure { passes: true, ..Failure::new(Class::Final, what, advice) }
        }
        SetupStage::Dial => Failure::nobody_there(
            format!("{label}: connecting took longer than {limit}"),
            format!(
                "check DNS, routes and firewalls from this machine: `nc -zv {} {}`",
                crate::base::sanitise::visible_name(&endpoint.host),
                endpoint.port
            ),
        ),
        SetupStage::Tls => Failure::nobody_there(
            format!("{label}: connecting took longer than {limit}, the TLS handshake was not over"),
            "the port accepts connections but does not answer in TLS in time: check the port and `security.protocol`, and \
             the broker's load",
        ),
        SetupStage::Versions => Failure::nobody_there(
            format!("{label}: connecting took longer than {limit}"),
            "the port accepts connections but does not answer as a Kafka broker in time: check the port and \
             `security.protocol`, and the broker's load",
        ),
        // Not asked at once again: it would log in twice in a row, where the broker is slow in just that.
        SetupStage::Login => {
            let what = format!("{label}: the login took longer than {limit}");
            let advice = "the broker answers and does not end the login in time: look at its load, and at what it checks \
                          passwords with; where that is slow raise `socket.connection.setup.timeout.ms`";
            Failure { passes: true, ..Failure::new(Class::Final, what, advice) }
        }
    }
}
