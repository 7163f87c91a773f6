//! How the demo's clusters are set up: settings, ACLs, quotas, schemas, and what of it green lacks, so that there is something
//! to find and to mend; and which pods reach which brokers.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use kafka_protocol::ResponseError;
use serde_json::{Value, json};

use crate::base::{Side, Trouble};
use crate::estate::acl::{Acl, AclPattern, Operation, Permission, Resource};
use crate::estate::inventory::QuotaEntity;
use crate::sim::cluster::SimCluster;
use crate::sim::registry::{Manner, RegistryState, SimRegistry};

/// What blue has, and whether green has it too.
#[derive(Debug, Clone, PartialEq)]
pub struct SetupPart<T> {
    /// What it is.
    pub what: T,
    /// Whether green has it when the demo begins.
    pub on_green: bool,
}

/// A schema: each subject has one version.
#[derive(Debug, Clone, PartialEq)]
pub struct SchemaSpec {
    /// Subject.
    pub subject: String,
    /// Its id.
    pub id: u32,
    /// Avro.
    pub schema: String,
    /// Subjects that it references, by the names of their records.
    pub references: Vec<(String, String)>,
}

/// A setting of a topic: topic, name, value.
pub type TopicSettingSpec = (String, String, String);

/// How both clusters are set up besides topics.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SetupSpec {
    /// Settings of topics.
    pub settings: Vec<SetupPart<TopicSettingSpec>>,
    /// ACLs. With any, an authorizer is on, and the demo's own clients are its super users.
    pub acls: Vec<SetupPart<Acl>>,
    /// Quotas: whose, which limit, how much.
    pub quotas: Vec<SetupPart<(QuotaEntity, String, f64)>>,
    /// Schemas. With any, both clusters have a registry.
    pub schemas: Vec<SetupPart<SchemaSpec>>,
    /// Pods that consumers run on; those that are not on green can't connect to it.
    pub pods: Vec<SetupPart<String>>,
}

/// What a pod may not connect to, a line each: `deny POD HOST:PORT`. A network policy, as far as a demo needs one.
pub const EGRESS_FILE: &str = "egress.txt";

fn on_both<T>(what: T) -> SetupPart<T> {
    SetupPart { what, on_green: true }
}

fn on_blue<T>(what: T) -> SetupPart<T> {
    SetupPart { what, on_green: false }
}

fn allow(operation: Operation, (resource, name): (Resource, &str), user: &str) -> Acl {
    Acl {
        resource,
        name: name.to_owned(),
        pattern: AclPattern::Literal,
        principal: format!("User:{user}"),
        host: "*".to_owned(),
        operation,
        permission: Permission::Allow,
    }
}

fn schema_spec(subject: &str, id: u32, record: &str, fields: Value, references: &[(&str, &str)]) -> SchemaSpec {
    let schema = json!({ "type": "record", "name": record, "namespace": "bank", "fields": fields });
    SchemaSpec {
        subject: subject.to_owned(),
        id,
        schema: schema.to_string(),
        references: references.iter().map(|(name, of)| ((*name).to_owned(), (*of).to_owned())).collect(),
    }
}

impl SetupSpec {
    /// The bank's. Green lacks a retention, two ACLs, a quota and three schemas, and one pod does not reach it.
    #[must_use]
    pub fn bank() -> Self {
        const DAY_MS: u64 = 86_400_000;
        let setting =
            |topic: &str, days: u64| (topic.to_owned(), "retention.ms".to_owned(), (days * DAY_MS).to_string());
        let (topic, group) = (|name| (Resource::Topic, name), |name| (Resource::Group, name));
        let field = |name: &str, of: &str| json!({ "name": name, "type": of });
        let limit = |client: &str, rate: f64| {
            (QuotaEntity::named(&[("client-id", Some(client))]), "producer_byte_rate".to_owned(), rate)
        };
        let loan = schema_spec("loan-events-value", 101, "LoanEvent", json!([field("id", "string")]), &[]);
        let card = schema_spec("card-auth-value", 102, "CardAuth", json!([field("card", "string")]), &[]);
        let money = json!([field("cents", "long"), field("currency", "string")]);
        let payment = json!([field("id", "string"), field("amount", "bank.Money")]);
        let rate = json!([field("pair", "string"), field("rate", "double")]);
        Self {
            settings: vec![on_both(setting("audit-raw", 30)), on_blue(setting("loan-events", 14))],
            acls: vec![
                on_both(allow(Operation::Write, topic("loan-events"), "loan-api")),
                on_both(allow(Operation::Read, topic("loan-events"), "loan-audit")),
                on_both(allow(Operation::Read, group("loan-audit"), "loan-audit")),
                on_both(allow(Operation::Write, topic("payments"), "payments-core")),
                on_blue(allow(Operation::Read, topic("payments"), "payments-settle")),
                on_blue(allow(Operation::Read, group("payments-settle"), "payments-settle")),
            ],
            quotas: vec![on_both(limit("audit-tap", 4_194_304.0)), on_blue(limit("doc-scanner", 1_048_576.0))],
            schemas: vec![
                on_both(loan),
                on_both(card),
                on_blue(schema_spec("money", 103, "Money", money, &[])),
                on_blue(schema_spec("payments-value", 104, "Payment", payment, &[("bank.Money", "money")])),
                on_blue(schema_spec("fx-rates-value", 105, "FxRate", rate, &[])),
            ],
            pods: vec![on_both("loans-0".to_owned()), on_blue("doc-search-0".to_owned())],
        }
    }

    /// What one side has of a kind.
    fn of_side<T>(parts: &[SetupPart<T>], side: Side) -> impl Iterator<Item = &T> {
        parts.iter().filter(move |part| side == Side::Blue || part.on_green).map(|part| &part.what)
    }

    /// Sets a cluster up. Its topics exist. Errors: it refuses something.
    pub(super) fn set_up(&self, cluster: &SimCluster) -> Result<(), Trouble> {
        let side = cluster.side();
        cluster
            .with_state(|s| {
                if !self.acls.is_empty() {
                    s.enable_authorizer();
                    s.make_everybody_super();
                }
                for (topic, name, value) in Self::of_side(&self.settings, side) {
                    s.alter_config(topic, &[(name, Some(value))], false)?;
                }
                for acl in Self::of_side(&self.acls, side) {
                    s.create_acl(acl.clone()).map_err(|e| (e, acl.to_string()))?;
                }
                for (entity, name, limit) in Self::of_side(&self.quotas, side) {
                    s.alter_quota(entity, &[(name, Some(*limit))], false)?;
                }
                Ok(())
            })
            .map_err(|(error, words): (ResponseError, String)| {
                let what = format!("the simulated cluster {side} refused to be set up: {error}: {words}");
                Trouble::new(what, "this is a fault of the demo: report it")
            })
    }

    /// The registry of a cluster; `None`: there are no schemas. Errors: no port or no thread is to be had.
    pub(super) fn start_registry(&self, side: Side) -> Result<Option<SimRegistry>, Trouble> {
        if self.schemas.is_empty() {
            return Ok(None);
        }
        let mut state = RegistryState::new(Manner::Confluent);
        for SchemaSpec { subject, id, schema, references } in Self::of_side(&self.schemas, side) {
            let one = |(name, of): &(String, String)| json!({ "name": name, "subject": of, "version": 1 });
            let references = if references.is_empty() { Value::Null } else { references.iter().map(one).collect() };
            state.seed(subject, 1, *id, "AVRO", schema, references);
        }
        SimRegistry::start(state).map(Some)
    }

    /// Writes [`EGRESS_FILE`]: which pods can't connect to green. Errors: it can't be written.
    pub(super) fn write_egress(&self, dir: &Path, green: &str) -> Result<(), Trouble> {
        let mut text = String::from("# What a pod may not connect to. Take a line away, and it may.\n");
        for pod in self.pods.iter().filter(|pod| !pod.on_green) {
            for address in green.split(',') {
                let _ = writeln!(text, "deny {} {address}", pod.what); // writing to a String can't fail
            }
        }
        let file = dir.join(EGRESS_FILE);
        std::fs::write(&file, text).map_err(|e| {
            Trouble::new(format!("{} can't be written: {e}", file.display()), "give the demo a writable directory")
        })
    }

    /// What of the plan is about it: the registries, and how pods are tried. `program`: cutover itself, which tries them.
    pub(super) fn plan_sections(&self, registries: &[(Side, &str)], program: Option<&PathBuf>) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let mut out = String::new();
        for (side, url) in registries {
            let _ = write!(out, "[clusters.{side}.registry]\nurl = {}\n\n", quoted(url));
        }
        if let (Some(program), false) = (program, self.pods.is_empty()) {
            let pods: Vec<String> = self.pods.iter().map(|pod| quoted(&pod.what)).collect();
            let _ = write!(
                out,
                "[connectivity]\npods = [{}]\n# a real one: [\"kubectl\", \"exec\", \"{{pod}}\", \"--\", \"nc\", \"-zv\", \
                 \"{{host}}\", \"{{port}}\"]\ncommand = [{}, \"sim-reach\", \"{EGRESS_FILE}\", \"{{pod}}\", \"{{host}}\", \
                 \"{{port}}\"]\n\n",
                pods.join(", "),
                quoted(&program.to_string_lossy()),
            );
        }
        out
    }
}

/// Tries a broker's address from a pod of the demo: really, unless [`EGRESS_FILE`] denies it.
///
/// # Errors
/// It is denied, or nobody answers there.
pub(crate) fn try_reach(egress: &Path, pod: &str, (host, port): (&str, u16)) -> Result<(), Trouble> {
    let text = std::fs::read_to_string(egress).unwrap_or_default();
    let denied = format!("deny {pod} {host}:{port}");
    if text.lines().any(|line| line.trim() == denied) {
        // One line: who runs this shows the last one that it says.
        let what = format!("the network policy denies it ({}: {denied})", egress.display());
        return Err(Trouble::new(what, ""));
    }
    let unreached = |e: std::io::Error| Trouble::new(format!("{host}:{port} can't be reached: {e}"), "");
    let address = std::net::ToSocketAddrs::to_socket_addrs(&(host, port)).map_err(unreached)?.next();
    let address = address.ok_or_else(|| unreached(std::io::ErrorKind::NotFound.into()))?;
    std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_secs(3)).map_err(unreached).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_reaches_what_answers_and_is_not_denied() {
        let dir = tempfile::tempdir().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let file = dir.path().join(EGRESS_FILE);
        SetupSpec::bank().write_egress(dir.path(), &format!("127.0.0.1:{port}")).unwrap();
        assert_eq!(try_reach(&file, "loans-0", ("127.0.0.1", port)), Ok(()));
        let why = try_reach(&file, "doc-search-0", ("127.0.0.1", port)).unwrap_err();
        assert!(why.what.contains("denies it"), "{why:?}");
        // taken out of the file it may
        std::fs::write(&file, "# nothing is denied\n").unwrap();
        assert_eq!(try_reach(&file, "doc-search-0", ("127.0.0.1", port)), Ok(()));
        drop(listener);
        assert!(try_reach(&file, "loans-0", ("127.0.0.1", port)).is_err(), "nobody answers");
    }
}
