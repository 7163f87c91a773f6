//! The groups of one broker: which ones it coordinates, and with them what they committed and who their members are.

use std::collections::HashMap;

use super::{SNAPSHOT_ATTEMPTS, SnapshotOptions, Which, place_offsets};
use crate::base::Trouble;
use crate::estate::{GroupKind, GroupState, GroupView};
use crate::kafka::control::connection::Connection;
use crate::kafka::control::failure::{Class, Failure, log_retry};
use crate::kafka::control::group_requests::{
    Described, Fetched, GroupListing, apply_description, describe_classic, describe_consumer, fetch_offsets,
    list_groups,
};
use crate::kafka::control::guard::has_stray;
use crate::kafka::control::router::{KeyType, Router, back_off};

/// What one broker said of the groups it coordinates.
pub(super) struct Coordinated {
    pub node: i32,
    pub groups: Result<Vec<(String, GroupView, OffsetsAsked)>, Failure>,
}

/// Whether a group's offsets came.
pub(super) enum OffsetsAsked {
    Answered,
    /// The coordinator moved: ask again.
    Again,
}

impl Router {
    /// The groups that one broker coordinates, with offsets and members as far as wanted.
    pub(super) async fn groups_on(&self, node: i32, options: &SnapshotOptions) -> Coordinated {
        Coordinated { node, groups: self.try_groups_on(node, options).await }
    }

    async fn try_groups_on(
        &self,
        node: i32,
        options: &SnapshotOptions,
    ) -> Result<Vec<(String, GroupView, OffsetsAsked)>, Failure> {
        let connection = self.connect_node(node).await?;
        let mut listed = self.list_coordinated(&connection).await?;
        listed.retain(|l| options.groups.has(&l.id));
        let (mut offsets, mut described) = ask_about_groups(&connection, &listed, &options.members).await?;
        let mut out = Vec::with_capacity(listed.len());
        for l in listed {
            self.learn_coordinator(KeyType::Group, &l.id, node);
            let (described, fetched) = (described.remove(&l.id), offsets.remove(&l.id));
            out.push(build_group_view(node, l, described, fetched));
        }
        Ok(out)
    }

    /// The groups that a broker lists; asked for again while it is not ready to.
    async fn list_coordinated(&self, connection: &Connection) -> Result<Vec<GroupListing>, Failure> {
        let mut attempt = 0;
        loop {
            match list_groups(connection, &[]).await {
                Err(f) if f.class == Class::Retry && attempt + 1 < SNAPSHOT_ATTEMPTS => {
                    attempt += 1;
                    log_retry(self.side(), "ListGroups", attempt, &f);
                    back_off(attempt - 1).await;
                }
                other => return other,
            }
        }
    }
}

/// What was committed, and who the members are, by group.
type GroupFacts = (HashMap<String, Result<Fetched, Failure>>, HashMap<String, Result<Described, Failure>>);

/// Asks a broker about the groups that it listed, all at the same time; of members only those of `members`.
async fn ask_about_groups(
    connection: &Connection,
    listed: &[GroupListing],
    members: &Which,
) -> Result<GroupFacts, Failure> {
    let ids = |wanted: &dyn Fn(&GroupListing) -> bool| {
        listed.iter().filter(|l| wanted(l) && !has_stray(&l.id)).map(|l| l.id.clone()).collect::<Vec<_>>()
    };
    // Share groups keep none (KIP-932): asking would be a refusal that looks like trouble.
    let with_offsets = ids(&|l| l.kind != GroupKind::Share);
    // Who is listed as Empty or Dead has no members: no need to ask.
    let peopled = |l: &GroupListing| {
        !matches!(l.state, Some(GroupState::Empty | GroupState::Dead))
            // Before ListGroups v4 the list tells no state: only a description does, members wanted or not.
            && (l.state.is_none() || members.has(&l.id))
    };
    let classic = ids(&|l| matches!(l.kind, GroupKind::Classic | GroupKind::Other) && peopled(l));
    let modern = ids(&|l| l.kind == GroupKind::Consumer && peopled(l));
    let (offsets, classic, modern) = tokio::join!(
        fetch_offsets(connection, &with_offsets, false),
        async { if classic.is_empty() { Ok(HashMap::new()) } else { describe_classic(connection, &classic).await } },
        async { if modern.is_empty() { Ok(HashMap::new()) } else { describe_consumer(connection, &modern).await } },
    );
    let (offsets, mut described) = (offsets?, classic?);
    described.extend(modern?);
    Ok((offsets, described))
}

/// A group as its list, its description and its commits show it together.
fn build_group_view(
    node: i32,
    listing: GroupListing,
    described: Option<Result<Described, Failure>>,
    fetched: Option<Result<Fetched, Failure>>,
) -> (String, GroupView, OffsetsAsked) {
    let GroupListing { id, kind, state, protocol_type } = listing;
    let mut view = GroupView {
        kind,
        state: state.unwrap_or_default(),
        protocol_type: if kind == GroupKind::Consumer { String::new() } else { protocol_type },
        coordinator: node,
        ..GroupView::default()
    };
    if has_stray(&id) {
        view.trouble = Some(Trouble::new(
            "its id is not UTF-8 and can't be sent back: neither its members nor its offsets are known",
            "give the client a group.id in UTF-8",
        ));
    }
    match described {
        Some(Ok(described)) => apply_description(&mut view, described),
        Some(Err(failure)) => view.trouble = Some(failure.into()),
        None => {}
    }
    let asked = match fetched {
        Some(Err(f)) if f.class == Class::Retry => OffsetsAsked::Again,
        Some(answer) => {
            place_offsets(&mut view, answer);
            OffsetsAsked::Answered
        }
        // Not asked for: a share group, or an id that can't be sent back.
        None => OffsetsAsked::Answered,
    };
    (id, view, asked)
}
