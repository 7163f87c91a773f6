//! What single ids mean: those that records carry, asked for when the first record does. What they reference is kept.

use std::collections::{BTreeMap, BTreeSet};

use super::client::{RegistryClient, name_trouble};
use super::read::{find_numbers, find_schema, find_stored, read_context_names};
use crate::base::{Side, Trouble};
use crate::plan::RegistryPlan;
use crate::schemas::{
    DEFAULT_CONTEXT, IdMeaning, ListedVersion, RegistryAnswer, RegistryContent, RegistryEvidence, SchemaId,
    SchemaReference, ScopeSettings, SubjectContent, SubjectVersion, detect_kind, identify_id,
};

/// Most versions that are read for the references of one id: beyond that it is untold.
const MOST_REFERENCES: usize = 256;

/// One registry, asked for ids one at a time.
pub(crate) struct RegistryLookup {
    client: RegistryClient,
    /// The part of it that was asked for so far.
    content: RegistryContent,
}

impl RegistryLookup {
    /// Reads secrets and certificates, and the names of the contexts.
    ///
    /// # Errors
    /// A secret or a certificate can't be read, or the registry does not answer.
    pub(crate) async fn open(plan: &RegistryPlan, side: Side) -> Result<Self, Trouble> {
        let client = RegistryClient::open(plan, side).await?;
        let contexts = read_context_names(&client).await;
        if let Some(why) = contexts.why_unknown() {
            return Err(why.clone());
        }
        let content = RegistryContent {
            server: detect_kind(&RegistryEvidence::default()),
            contexts,
            global: ScopeSettings::say_nothing(),
            by_context: BTreeMap::new(),
            subjects: BTreeMap::new(),
            unlisted: Some(Trouble::new("only what records carry is read", "")),
            ids: BTreeMap::new(),
        };
        Ok(Self { client, content })
    }

    /// What an id of the default context means: a record's five bytes name no other.
    ///
    /// # Errors
    /// The registry does not answer: nothing is known of the id then, not even that it is absent.
    pub(crate) async fn find_meaning(&mut self, id: u32) -> Result<IdMeaning, Trouble> {
        let id = SchemaId::of_default(id);
        let answer = find_schema(&self.client, &id).await;
        match &answer {
            RegistryAnswer::Told(_) => {}
            RegistryAnswer::Unknown(why) => return Err(why.clone()),
            // No word on the id: whatever answers here is not what was meant.
            RegistryAnswer::NotOffered => {
                let what = "it answers 404 to /schemas/ids, and not that there is no such schema";
                let advice =
                    "check that `url` is what stands before /schemas (of Apicurio it ends in /apis/ccompat/v7)";
                return Err(name_trouble(self.client.side(), Trouble::new(what, advice)));
            }
        }
        let references = answer.as_told().cloned().flatten().map(|schema| schema.references).unwrap_or_default();
        self.content.ids.insert(id.clone(), answer);
        let whole = self.read_references(references).await?;
        Ok(if whole {
            identify_id(&self.content, &id)
        } else {
            IdMeaning::Untold(format!("it references more than {MOST_REFERENCES} versions"))
        })
    }

    /// Reads all that is referenced, and what that references. Returns whether that was all.
    async fn read_references(&mut self, references: Vec<SchemaReference>) -> Result<bool, Trouble> {
        let mut left: Vec<(String, SchemaReference)> =
            references.into_iter().map(|r| (DEFAULT_CONTEXT.to_owned(), r)).collect();
        let mut seen = BTreeSet::new();
        while let Some((context, reference)) = left.pop() {
            let subject = reference.name_subject(&context);
            if !seen.insert((subject.clone(), reference.version)) {
                continue;
            }
            if seen.len() > MOST_REFERENCES {
                return Ok(false);
            }
            let Some(at) = self.find_referenced(subject, reference.version).await? else { continue };
            let stored = self.content.find_version(&at).and_then(|listed| listed.content.as_told());
            let of = stored.map(|stored| stored.schema.references.clone()).unwrap_or_default();
            let context = self.content.context_of(&at.subject).to_owned();
            left.extend(of.into_iter().map(|r| (context.clone(), r)));
        }
        Ok(true)
    }

    /// Reads one referenced version into what is known, if it is there.
    async fn find_referenced(&mut self, subject: String, version: i32) -> Result<Option<SubjectVersion>, Trouble> {
        let latest = version == -1;
        let number = match u32::try_from(version) {
            Ok(number) => Some(number),
            Err(_) if latest => {
                let live = find_numbers(&self.client, &subject, false).await.into_found()?;
                live.and_then(|live| live.into_iter().max())
            }
            Err(_) => None,
        };
        let Some(number) = number else { return Ok(None) };
        let at = SubjectVersion::new(subject, number);
        if !latest && self.content.find_version(&at).is_some() {
            return Ok(Some(at));
        }
        let Some(stored) = find_stored(&self.client, &at).await.into_found()? else { return Ok(None) };
        // Only the latest is known to be live, which is all that a reference to the latest asks for.
        let deleted = latest.then_some(false);
        let of = self.content.subjects.entry(at.subject.clone()).or_insert_with(|| SubjectContent {
            versions: BTreeMap::new(),
            unlisted: None,
            own: ScopeSettings::say_nothing(),
        });
        if latest {
            of.versions.values_mut().for_each(|listed| listed.deleted = None);
        }
        of.versions.insert(number, ListedVersion { deleted, content: RegistryAnswer::Told(stored) });
        Ok(Some(at))
    }
}
