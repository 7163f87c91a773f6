//! What kind of server a registry is, as told by what it answers, and what each kind can't keep.
//!
//! The table is that of recorded servers: Confluent 7.9.10, AxonOps 2026-04, Karapace 6.2, Apicurio 3.0.9 at
//! `/apis/ccompat/v7`. What only a write could tell is [`Keeping::Unproven`], until somebody tries a throw-away id in a
//! throw-away subject and reads it back.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::sanitise::visible_name;

/// Kind of a server that speaks Confluent's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
pub enum RegistryKind {
    /// Confluent's own.
    #[strum(serialize = "Confluent's registry")]
    Confluent,
    /// AxonOps' registry.
    #[strum(serialize = "AxonOps' registry")]
    AxonOps,
    /// Karapace.
    Karapace,
    /// Apicurio's registry, where it speaks Confluent's API.
    #[strum(serialize = "Apicurio (ccompat)")]
    Apicurio,
    /// None of these, as far as it can be told.
    #[strum(serialize = "a registry of unknown kind")]
    Unknown,
}

/// An answer to a question that tells kinds apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProbeAnswer {
    /// Status of HTTP; 0: no answer.
    pub status: u16,
    /// The body, where it was JSON.
    pub json: Option<Value>,
    /// The body's beginning as text, where it was no JSON.
    pub text: String,
}

impl ProbeAnswer {
    fn find_field(&self, name: &str) -> Option<&Value> {
        (self.status == 200).then(|| self.json.as_ref()?.get(name)).flatten()
    }

    fn is_bare_not_found(&self) -> bool {
        let text = self.json.as_ref().and_then(Value::as_str).unwrap_or(&self.text);
        self.status == 404 && text == "Not Found"
    }
}

/// What was answered to questions that change nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RegistryEvidence {
    /// `GET /contexts`.
    pub contexts: ProbeAnswer,
    /// `GET /v1/metadata/id`.
    pub metadata_id: ProbeAnswer,
    /// `GET /v1/metadata/version`.
    pub metadata_version: ProbeAnswer,
    /// `GET /mode`.
    pub mode: ProbeAnswer,
}

/// A server, as far as its answers tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryServer {
    /// Its kind.
    pub kind: RegistryKind,
    /// By what it was told, for people.
    pub grounds: String,
    /// What it says of its version, raw.
    pub version: Option<String>,
}

impl RegistryServer {
    /// For people: `Confluent's registry 7.9.10 (it names ...)`.
    #[must_use]
    pub fn describe_server(&self) -> String {
        let version = self.version.as_ref().map(|v| format!(" {}", visible_name(v))).unwrap_or_default();
        format!("{}{version} ({})", self.kind, self.grounds)
    }
}

/// What kind of server answers so. Only what a server says of itself, and what no other recorded one says, counts.
#[must_use]
pub fn detect_kind(evidence: &RegistryEvidence) -> RegistryServer {
    let told = |kind, grounds: &str| RegistryServer { kind, grounds: grounds.to_owned(), version: None };
    let version = evidence.metadata_version.find_field("version").and_then(Value::as_str);
    // A build from source leaves its placeholder there: `${project.version}`.
    let version = version.filter(|v| !v.contains("${")).map(str::to_owned);
    let scope = evidence
        .metadata_id
        .find_field("scope")
        .and_then(|scope| scope.get("clusters")?.get("schema-registry-cluster"));
    let contexts =
        evidence.contexts.json.as_ref().filter(|_| evidence.contexts.status == 200).and_then(Value::as_array);
    if scope.is_some() {
        let grounds = "it names its cluster as Confluent's does";
        return RegistryServer { version, ..told(RegistryKind::Confluent, grounds) };
    }
    if evidence.metadata_id.find_field("id").is_some() && evidence.metadata_version.find_field("commit").is_some() {
        let grounds = "it tells a commit and an id as AxonOps' does";
        return RegistryServer { version, ..told(RegistryKind::AxonOps, grounds) };
    }
    if contexts.is_some_and(|all| all.len() == 1 && all[0] == ":.:") {
        return told(RegistryKind::Apicurio, "it names the one context \":.:\"");
    }
    let nothing_more = evidence.contexts.is_bare_not_found() && evidence.metadata_id.is_bare_not_found();
    if nothing_more && evidence.mode.find_field("mode").is_some() {
        return told(RegistryKind::Karapace, "it has a mode and no contexts");
    }
    told(RegistryKind::Unknown, "it answers as none of the known ones")
}

/// Whether something survives a copy to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keeping {
    /// It does, on the recorded server.
    Keeps,
    /// It does not, and the server says nothing of it.
    Loses,
    /// Only a write that is read back tells.
    Unproven,
}

/// What a kind of server keeps of what is copied to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryAbilities {
    /// The id that was asked for. Never more than unproven by reading alone.
    pub ids: Keeping,
    /// The version number that was asked for, and gaps between them.
    pub version_numbers: Keeping,
    /// A second id of the same content.
    pub second_ids: Keeping,
    /// Contexts, each with ids of its own.
    pub contexts: Keeping,
    /// Modes of subjects.
    pub modes: Keeping,
    /// Metadata and rules of a schema.
    pub metadata: Keeping,
    /// `compatibilityGroup`, `normalize` and `alias` of a config.
    pub settings: Keeping,
}

impl RegistryKind {
    /// What it keeps, by the recorded servers.
    #[must_use]
    pub fn look_up_abilities(self) -> RegistryAbilities {
        use Keeping::{Keeps, Loses, Unproven};
        let all = |k| RegistryAbilities {
            ids: k,
            version_numbers: k,
            second_ids: k,
            contexts: k,
            modes: k,
            metadata: k,
            settings: k,
        };
        match self {
            RegistryKind::Confluent => RegistryAbilities { ids: Unproven, version_numbers: Unproven, ..all(Keeps) },
            RegistryKind::AxonOps => RegistryAbilities {
                ids: Unproven,
                version_numbers: Unproven,
                second_ids: Loses,
                // an alias was not tried there
                settings: Unproven,
                ..all(Keeps)
            },
            RegistryKind::Karapace | RegistryKind::Apicurio => all(Loses),
            RegistryKind::Unknown => all(Unproven),
        }
    }

    /// What it loses, for people, before anything is written.
    #[must_use]
    pub fn describe_losses(self) -> Vec<&'static str> {
        let RegistryAbilities { ids, version_numbers, second_ids, contexts, modes, metadata, settings } =
            self.look_up_abilities();
        [
            (ids, "ids: it answers 200 and gives another one than was asked for"),
            (version_numbers, "version numbers: it counts from 1, without gaps"),
            (second_ids, "a second id of the same schema: it answers the first, the second is not found"),
            (contexts, "contexts: a subject of one becomes a plain name, its id one of all"),
            (modes, "modes: nothing keeps producers from registering while schemas are imported"),
            (metadata, "metadata and rules of schemas: dropped without a word"),
            (settings, "compatibilityGroup, normalize and alias: dropped without a word"),
        ]
        .into_iter()
        .filter(|(keeping, _)| *keeping == Keeping::Loses)
        .map(|(_, words)| words)
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn json_answer(status: u16, json: Value) -> ProbeAnswer {
        ProbeAnswer { status, json: Some(json), text: String::new() }
    }

    fn bare(status: u16, text: &str) -> ProbeAnswer {
        ProbeAnswer { status, json: None, text: text.into() }
    }

    /// Rule 1, as far as reading goes: the answers are the recorded ones.
    #[test]
    fn a_server_is_told_by_what_it_answers() {
        let missing = |text| bare(404, text);
        let scope = json!({"scope": {"path": [], "clusters": {"kafka-cluster": "B", "schema-registry-cluster": "c"}}});
        let confluent = RegistryEvidence {
            contexts: json_answer(200, json!([".", ".c1"])),
            metadata_id: json_answer(200, scope),
            metadata_version: json_answer(200, json!({"version": "${project.version}", "commitId": "x"})),
            mode: json_answer(200, json!({"mode": "READWRITE"})),
        };
        let axonops = RegistryEvidence {
            contexts: json_answer(200, json!(["."])),
            metadata_id: json_answer(200, json!({"id": ""})),
            metadata_version: json_answer(200, json!({"version": "dev", "commit": "unknown"})),
            mode: json_answer(200, json!({"mode": "READWRITE"})),
        };
        let karapace = RegistryEvidence {
            contexts: missing("Not Found"),
            metadata_id: missing("Not Found"),
            metadata_version: missing("Not Found"),
            mode: json_answer(200, json!({"mode": "READWRITE"})),
        };
        let apicurio = RegistryEvidence {
            contexts: json_answer(200, json!([":.:"])),
            metadata_id: missing(""),
            metadata_version: missing(""),
            mode: missing(""),
        };
        let kind = |e: &RegistryEvidence| detect_kind(e).kind;
        assert_eq!(kind(&confluent), RegistryKind::Confluent);
        assert_eq!(detect_kind(&confluent).version, None, "a placeholder is no version");
        assert_eq!(kind(&axonops), RegistryKind::AxonOps);
        assert_eq!(detect_kind(&axonops).version.as_deref(), Some("dev"));
        assert_eq!(kind(&karapace), RegistryKind::Karapace);
        assert_eq!(kind(&apicurio), RegistryKind::Apicurio);
        // what another server might answer, a silent one, and one whose answers are errors
        let redpanda = RegistryEvidence { contexts: json_answer(404, json!({"code": 404})), ..karapace.clone() };
        let failing = RegistryEvidence {
            metadata_id: json_answer(500, confluent.metadata_id.json.clone().unwrap()),
            ..confluent
        };
        for none in [RegistryEvidence::default(), redpanda, failing] {
            assert_eq!(kind(&none), RegistryKind::Unknown, "{none:?}");
        }
    }

    /// Rule 12: what can't be kept is said before; what reading can't tell is not claimed.
    #[test]
    fn ids_are_kept_by_nobody_until_it_was_tried() {
        for kind in [RegistryKind::Confluent, RegistryKind::AxonOps, RegistryKind::Unknown] {
            assert_eq!(kind.look_up_abilities().ids, Keeping::Unproven, "{kind}");
        }
        for kind in [RegistryKind::Karapace, RegistryKind::Apicurio] {
            assert_eq!(kind.look_up_abilities().ids, Keeping::Loses, "{kind}");
            assert!(kind.describe_losses()[0].starts_with("ids: "), "{kind}");
        }
        assert_eq!(RegistryKind::Confluent.describe_losses(), Vec::<&str>::new());
        assert_eq!(RegistryKind::AxonOps.describe_losses().len(), 1, "{:?}", RegistryKind::AxonOps.describe_losses());
    }
}
