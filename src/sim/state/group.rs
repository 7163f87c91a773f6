//! A classic consumer group: members, generations, rebalances, and its committed offsets.
//! Rules follow Kafka's `ClassicGroup` and `GroupMetadataManager`.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::Ticket;
use super::asks::{GroupReply, JoinAsk, Joined, SyncAsk, Synced};
use super::offsets::Commit;

/// A group's state in Kafka's words; a group that is not there is `Dead`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
pub enum ClassicGroupState {
    /// No members.
    Empty,
    /// Members are asked to join again.
    PreparingRebalance,
    /// Waiting for the leader's assignment.
    CompletingRebalance,
    /// Assigned.
    Stable,
    /// Not there.
    Dead,
}

/// A member.
#[derive(Debug, Clone)]
pub struct Member {
    /// `group.instance.id`.
    pub instance: Option<String>,
    /// Client id.
    pub client_id: String,
    /// Host.
    pub host: String,
    /// What it can do, in order of preference.
    pub protocols: Vec<(String, Bytes)>,
    /// What it was assigned, in the assignor's encoding.
    pub assignment: Bytes,
    session_timeout: i64,
    rebalance_timeout: i64,
    expires: i64,
    joining: Option<Ticket>,
    syncing: Option<Ticket>,
    synced: bool,
}

/// Replies that became due.
pub(super) type DueReplies = Vec<(Ticket, GroupReply)>;

/// A group.
#[derive(Debug, Clone)]
pub struct ClassicGroup {
    /// State.
    pub state: ClassicGroupState,
    /// `consumer` and the like; empty for a group that only ever committed.
    pub protocol_type: String,
    /// Chosen assignor.
    pub protocol: Option<String>,
    /// Generation.
    pub generation: i32,
    /// Members by id.
    pub members: BTreeMap<String, Member>,
    /// Committed offsets by topic and partition.
    pub offsets: BTreeMap<String, BTreeMap<i32, Commit>>,
    /// Offsets of open transactions, by producer id.
    pub(super) pending: BTreeMap<i64, BTreeMap<(String, i32), Commit>>,
    leader: Option<String>,
    pending_members: BTreeMap<String, i64>,
    rebalance_due: i64,
    sync_due: i64,
    /// Until then members of a group that was empty are waited for (`group.initial.rebalance.delay.ms`).
    initial_until: i64,
}

impl Default for ClassicGroup {
    fn default() -> Self {
        Self {
            state: ClassicGroupState::Empty,
            protocol_type: String::new(),
            protocol: None,
            generation: 0,
            members: BTreeMap::new(),
            offsets: BTreeMap::new(),
            pending: BTreeMap::new(),
            leader: None,
            pending_members: BTreeMap::new(),
            rebalance_due: i64::MAX,
            sync_due: i64::MAX,
            initial_until: i64::MIN,
        }
    }
}

impl ClassicGroup {
    /// The committed offset of a partition.
    #[must_use]
    pub(crate) fn find_commit(&self, topic: &str, partition: i32) -> Option<&Commit> {
        self.offsets.get(topic)?.get(&partition)
    }

    /// Metadata of a member under the chosen assignor.
    #[must_use]
    pub(crate) fn metadata_of(&self, member: &Member) -> Bytes {
        let chosen = |(name, _): &&(String, Bytes)| Some(name) == self.protocol.as_ref();
        member.protocols.iter().find(chosen).map(|(_, m)| m.clone()).unwrap_or_default()
    }

    /// Drops what is committed on a deleted topic.
    pub(super) fn forget_topic(&mut self, topic: &str) {
        self.offsets.remove(topic);
        for pending in self.pending.values_mut() {
            pending.retain(|(t, _), _| t != topic);
        }
    }

    /// Checks a member id and its instance id.
    pub(super) fn check_member(&self, member: &str, instance: Option<&str>) -> Result<(), ResponseError> {
        // The instance id first: a static member that was replaced must learn that it is fenced, not that it
        // is unknown (KIP-345).
        if let Some(instance) = instance {
            return match self.static_member(instance) {
                None => Err(ResponseError::UnknownMemberId),
                Some(id) if id == member => Ok(()),
                Some(_) => Err(ResponseError::FencedInstanceId),
            };
        }
        if self.members.contains_key(member) { Ok(()) } else { Err(ResponseError::UnknownMemberId) }
    }

    /// The member id that holds an instance id.
    pub(super) fn static_member(&self, instance: &str) -> Option<&str> {
        self.members.iter().find(|(_, m)| m.instance.as_deref() == Some(instance)).map(|(id, _)| id.as_str())
    }

    /// Notes a member id that was handed out and must come back within the session timeout.
    pub(super) fn expect_member(&mut self, id: String, until: i64) {
        self.pending_members.insert(id, until);
    }

    /// Whether a member id was handed out and not used yet.
    pub(super) fn awaits_member(&self, id: &str) -> bool {
        self.pending_members.contains_key(id)
    }

    /// Whether the protocols of `ask` fit what the present members can do.
    pub(super) fn accepts_protocols(&self, ask: &JoinAsk) -> bool {
        if ask.protocol_type.is_empty() || ask.protocols.is_empty() {
            return false;
        }
        // A member does not bind itself: one that is alone may come back with other protocols.
        let others: Vec<&Member> = self.members.iter().filter(|(id, _)| **id != ask.member).map(|(_, m)| m).collect();
        if others.is_empty() {
            return true;
        }
        let common = |name: &String| others.iter().all(|m| m.protocols.iter().any(|(n, _)| n == name));
        self.protocol_type == ask.protocol_type && ask.protocols.iter().any(|(name, _)| common(name))
    }

    /// A member that is new joins: the others are asked to join again.
    pub(super) fn add_member(
        &mut self,
        now: i64,
        delay: i64,
        ticket: Ticket,
        id: &str,
        ask: &JoinAsk,
        out: &mut DueReplies,
    ) {
        self.pending_members.remove(id);
        if self.members.is_empty() {
            self.protocol_type.clone_from(&ask.protocol_type);
        }
        let mut member = Member {
            instance: ask.instance.clone(),
            client_id: ask.client_id.clone(),
            host: ask.host.clone(),
            protocols: Vec::new(),
            assignment: Bytes::new(),
            session_timeout: 0,
            rebalance_timeout: 0,
            expires: 0,
            joining: None,
            syncing: None,
            synced: false,
        };
        member.adopt_join(ask, ticket);
        self.members.insert(id.to_owned(), member);
        self.advance_rebalance(now, delay, out);
    }

    /// A member that is known joins again.
    pub(super) fn rejoin_member(&mut self, now: i64, ticket: Ticket, ask: &JoinAsk, out: &mut DueReplies) {
        let leader = self.leader.as_deref() == Some(&ask.member);
        let Some(member) = self.members.get_mut(&ask.member) else { return };
        member.expires = now + member.session_timeout;
        let same = member.protocols == ask.protocols;
        match self.state {
            // the answer to an earlier JoinGroup was lost
            ClassicGroupState::CompletingRebalance if same => {
                out.push((ticket, GroupReply::Join(self.join_answer(&ask.member))))
            }
            // A follower that comes back unchanged disturbs nobody; a leader does so to have partitions assigned anew.
            ClassicGroupState::Stable if same && !leader => {
                let mut joined = self.join_answer(&ask.member);
                joined.members.clear();
                out.push((ticket, GroupReply::Join(joined)));
            }
            _ => {
                // The earlier request is answered, too: its connection would wait for ever.
                if let Some(old) = member.adopt_join(ask, ticket) {
                    out.push((old, join_error(ResponseError::UnknownMemberId, &ask.member)));
                }
                self.advance_rebalance(now, 0, out);
            }
        }
    }

    /// A static member came back under a new member id: the old one is fenced (KIP-345).
    pub(super) fn replace_static(
        &mut self,
        now: i64,
        ticket: Ticket,
        old: &str,
        new: &str,
        ask: &JoinAsk,
        out: &mut DueReplies,
    ) {
        let Some(mut member) = self.members.remove(old) else { return };
        if let Some(t) = member.joining.take() {
            out.push((t, join_error(ResponseError::FencedInstanceId, old)));
        }
        if let Some(t) = member.syncing.take() {
            out.push((t, sync_error(ResponseError::FencedInstanceId)));
        }
        let was_leader = self.leader.as_deref() == Some(old);
        let same = member.protocols == ask.protocols;
        member.adopt_join(ask, ticket);
        member.expires = now + ask.session_timeout;
        self.members.insert(new.to_owned(), member);
        if was_leader {
            self.leader = Some(new.to_owned());
        }
        if self.state != ClassicGroupState::Stable || !same {
            self.advance_rebalance(now, 0, out);
            return;
        }
        // the assignment stands: no rebalance. Before v9 a leader is told the old leader's id, so that it
        // takes itself for a follower and doesn't assign
        let mut joined = self.join_answer(new);
        if was_leader && ask.can_skip_assignment {
            joined.skip_assignment = true;
        } else {
            joined.members.clear();
            if was_leader {
                old.clone_into(&mut joined.leader);
            }
        }
        if let Some(m) = self.members.get_mut(new) {
            m.joining = None;
        }
        out.push((ticket, GroupReply::Join(joined)));
    }

    /// Begins a rebalance, or goes on with one.
    fn advance_rebalance(&mut self, now: i64, delay: i64, out: &mut DueReplies) {
        if self.state != ClassicGroupState::PreparingRebalance {
            // An assignment of the old generation will not come any more: whoever waits for it joins again.
            for member in self.members.values_mut() {
                if let Some(t) = member.syncing.take() {
                    out.push((t, sync_error(ResponseError::RebalanceInProgress)));
                }
            }
            self.initial_until = if self.state == ClassicGroupState::Empty { now + delay } else { i64::MIN };
            // The slowest member says how long all are waited for.
            let timeout = self.members.values().map(|m| m.rebalance_timeout).max().unwrap_or(0);
            self.rebalance_due = now + timeout.max(delay);
            self.state = ClassicGroupState::PreparingRebalance;
        }
        self.try_complete_join(now, out);
    }

    fn try_complete_join(&mut self, now: i64, out: &mut DueReplies) {
        // An id that was handed out (KIP-394) is waited for: its member is on its way back.
        let all = self.pending_members.is_empty() && self.members.values().all(|m| m.joining.is_some());
        if self.state == ClassicGroupState::PreparingRebalance && now >= self.initial_until && all {
            self.complete_join(now, out);
        }
    }

    /// Ends the joining: who has not come is out (static members stay until their session ends).
    fn complete_join(&mut self, now: i64, out: &mut DueReplies) {
        self.members.retain(|_, m| m.joining.is_some() || m.instance.is_some());
        self.rebalance_due = i64::MAX;
        self.initial_until = i64::MIN;
        self.generation += 1;
        if self.members.is_empty() {
            self.state = ClassicGroupState::Empty;
            self.protocol = None;
            self.leader = None;
            return;
        }
        if !self.leader.as_ref().is_some_and(|l| self.members.contains_key(l)) {
            // Static members stay in the group without having joined: one of those leads only when nobody else can.
            let joined = self.members.iter().find(|(_, m)| m.joining.is_some());
            self.leader = joined.or_else(|| self.members.iter().next()).map(|(id, _)| id.clone());
        }
        self.protocol = self.choose_protocol();
        self.state = ClassicGroupState::CompletingRebalance;
        self.sync_due = now + self.members.values().map(|m| m.rebalance_timeout).max().unwrap_or(0);
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let joined = self.join_answer(&id);
            let Some(member) = self.members.get_mut(&id) else { continue };
            member.assignment = Bytes::new();
            member.synced = false;
            if let Some(ticket) = member.joining.take() {
                member.expires = now + member.session_timeout;
                out.push((ticket, GroupReply::Join(joined)));
            }
        }
    }

    /// Each member votes for its first protocol that all support; the most votes win.
    fn choose_protocol(&self) -> Option<String> {
        let common = |name: &str| self.members.values().all(|m| m.protocols.iter().any(|(n, _)| n == name));
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some((name, _)) = member.protocols.iter().find(|(n, _)| common(n)) {
                *votes.entry(name).or_default() += 1;
            }
        }
        votes.into_iter().max_by_key(|(_, n)| *n).map(|(name, _)| name.to_owned())
    }

    fn join_answer(&self, id: &str) -> Joined {
        let leader = self.leader.clone().unwrap_or_default();
        let members = if leader == id {
            let each = |(id, m): (&String, &Member)| (id.clone(), m.instance.clone(), self.metadata_of(m));
            self.members.iter().map(each).collect()
        } else {
            Vec::new()
        };
        Joined {
            error: None,
            generation: self.generation,
            protocol_type: Some(self.protocol_type.clone()),
            protocol: self.protocol.clone(),
            leader,
            member: id.to_owned(),
            members,
            skip_assignment: false,
        }
    }

    /// A SyncGroup request of a member and generation that were checked.
    pub(super) fn sync(&mut self, now: i64, ticket: Ticket, ask: &SyncAsk, out: &mut DueReplies) {
        let leader = self.leader.as_deref() == Some(&ask.member);
        let Some(member) = self.members.get_mut(&ask.member) else { return };
        member.expires = now + member.session_timeout;
        match self.state {
            ClassicGroupState::PreparingRebalance => out.push((ticket, sync_error(ResponseError::RebalanceInProgress))),
            ClassicGroupState::Stable => {
                let assignment = member.assignment.clone();
                out.push((ticket, self.sync_answer(assignment)));
            }
            ClassicGroupState::Empty | ClassicGroupState::Dead => {
                out.push((ticket, sync_error(ResponseError::UnknownMemberId)))
            }
            ClassicGroupState::CompletingRebalance => {
                member.syncing = Some(ticket);
                member.synced = true;
                if leader {
                    self.distribute_assignments(now, &ask.assignments, out);
                }
            }
        }
    }

    fn distribute_assignments(&mut self, now: i64, assignments: &[(String, Bytes)], out: &mut DueReplies) {
        self.state = ClassicGroupState::Stable;
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            // Whom the leader leaves out gets an empty assignment, as in Kafka.
            let given = assignments.iter().find(|(m, _)| *m == id).map(|(_, a)| a.clone()).unwrap_or_default();
            let reply = self.sync_answer(given.clone());
            let Some(member) = self.members.get_mut(&id) else { continue };
            member.assignment = given;
            if let Some(ticket) = member.syncing.take() {
                member.expires = now + member.session_timeout;
                out.push((ticket, reply));
            }
        }
    }

    fn sync_answer(&self, assignment: Bytes) -> GroupReply {
        let (protocol_type, protocol) = (Some(self.protocol_type.clone()), self.protocol.clone());
        GroupReply::Sync(Synced { error: None, protocol_type, protocol, assignment })
    }

    /// A heartbeat of a member and generation that were checked.
    pub(super) fn heartbeat(&mut self, now: i64, member: &str) -> Result<(), ResponseError> {
        if let Some(m) = self.members.get_mut(member) {
            m.expires = now + m.session_timeout;
        }
        match self.state {
            // This is how members learn of a rebalance; their session goes on all the same.
            ClassicGroupState::PreparingRebalance => Err(ResponseError::RebalanceInProgress),
            ClassicGroupState::Stable | ClassicGroupState::CompletingRebalance => Ok(()),
            ClassicGroupState::Empty | ClassicGroupState::Dead => Err(ResponseError::UnknownMemberId),
        }
    }

    /// Takes a member out; the others are asked to join again.
    pub(super) fn remove_member(&mut self, now: i64, id: &str, out: &mut DueReplies) {
        if self.pending_members.remove(id).is_some() {
            self.try_complete_join(now, out);
            return;
        }
        let Some(mut member) = self.members.remove(id) else { return };
        if let Some(t) = member.joining.take() {
            out.push((t, join_error(ResponseError::UnknownMemberId, id)));
        }
        if let Some(t) = member.syncing.take() {
            out.push((t, sync_error(ResponseError::UnknownMemberId)));
        }
        if self.leader.as_deref() == Some(id) {
            self.leader = None;
        }
        match self.state {
            ClassicGroupState::Stable | ClassicGroupState::CompletingRebalance => self.advance_rebalance(now, 0, out),
            ClassicGroupState::PreparingRebalance => self.try_complete_join(now, out),
            ClassicGroupState::Empty | ClassicGroupState::Dead => {}
        }
    }

    /// Lets time pass: sessions, handed-out ids, rebalances and missing assignments run out.
    pub(super) fn tick(&mut self, now: i64, out: &mut DueReplies) {
        let overdue: Vec<String> =
            self.pending_members.iter().filter(|(_, until)| **until <= now).map(|(id, _)| id.clone()).collect();
        // Who waits for an answer sends no heartbeats, and must not be lost for that.
        let waits = |m: &Member| m.joining.is_some() || m.syncing.is_some();
        let expired = self.members.iter().filter(|(_, m)| !waits(m) && m.expires <= now).map(|(id, _)| id.clone());
        let gone: Vec<String> = overdue.into_iter().chain(expired).collect();
        for id in gone {
            self.remove_member(now, &id, out);
        }
        self.try_complete_join(now, out);
        if self.state == ClassicGroupState::PreparingRebalance && self.rebalance_due <= now {
            self.complete_join(now, out);
        }
        if self.state == ClassicGroupState::CompletingRebalance && self.sync_due <= now {
            let silent: Vec<String> =
                self.members.iter().filter(|(_, m)| !m.synced).map(|(id, _)| id.clone()).collect();
            for id in silent {
                self.remove_member(now, &id, out);
            }
        }
    }

    /// Drops every member as if the group were deleted by force; each waiting request is told.
    pub(super) fn disband(mut self, out: &mut DueReplies) {
        for (id, member) in &mut self.members {
            if let Some(t) = member.joining.take() {
                out.push((t, join_error(ResponseError::UnknownMemberId, id)));
            }
            if let Some(t) = member.syncing.take() {
                out.push((t, sync_error(ResponseError::UnknownMemberId)));
            }
        }
    }
}

impl Member {
    /// Takes over what a JoinGroup request says; gives the ticket of an earlier one that still waited.
    fn adopt_join(&mut self, ask: &JoinAsk, ticket: Ticket) -> Option<Ticket> {
        self.protocols.clone_from(&ask.protocols);
        self.session_timeout = ask.session_timeout;
        self.rebalance_timeout = ask.rebalance_timeout;
        self.client_id.clone_from(&ask.client_id);
        self.host.clone_from(&ask.host);
        self.joining.replace(ticket)
    }
}

pub(super) fn join_error(error: ResponseError, member: &str) -> GroupReply {
    GroupReply::Join(Joined { error: Some(error), generation: -1, member: member.to_owned(), ..Joined::default() })
}

pub(super) fn sync_error(error: ResponseError) -> GroupReply {
    GroupReply::Sync(Synced { error: Some(error), ..Synced::default() })
}
