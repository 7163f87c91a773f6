//! What members ask of a cluster: join, sync, heartbeat, leave; and what admins ask about groups.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;

use super::group::{ClassicGroup, ClassicGroupState, join_error, sync_error};
use super::{JoinAsk, SimState, SyncAsk, Ticket};

impl SimState {
    /// Groups by id.
    #[must_use]
    pub fn groups(&self) -> &BTreeMap<String, ClassicGroup> {
        &self.groups
    }

    /// JoinGroup. The answer comes from [`SimState::take_ready`] under `ticket`, now or later.
    pub fn join_group(&mut self, now: i64, ticket: Ticket, ask: &JoinAsk) {
        if let Err((error, member)) = self.try_join(now, ticket, ask) {
            self.ready.push((ticket, join_error(error, &member)));
        }
    }

    fn try_join(&mut self, now: i64, ticket: Ticket, ask: &JoinAsk) -> Result<(), (ResponseError, String)> {
        let fail = |error| Err((error, ask.member.clone()));
        if ask.group.is_empty() {
            return fail(ResponseError::InvalidGroupId);
        }
        if !(self.limits.min_session_ms..=self.limits.max_session_ms).contains(&ask.session_timeout) {
            return fail(ResponseError::InvalidSessionTimeout);
        }
        // A group that is not there has no members: the client joins anew.
        if !self.groups.contains_key(&ask.group) && !ask.member.is_empty() {
            return fail(ResponseError::UnknownMemberId);
        }
        let delay = self.limits.initial_rebalance_delay_ms;
        let fresh = format!("{}-sim-{}", ask.instance.as_deref().unwrap_or(&ask.client_id), self.next_member);
        let group = self.groups.entry(ask.group.clone()).or_default();
        if !group.accepts_protocols(ask) {
            return fail(ResponseError::InconsistentGroupProtocol);
        }
        let out = &mut self.ready;
        if ask.member.is_empty() {
            self.next_member += 1;
            let old = ask.instance.as_deref().and_then(|i| group.static_member(i)).map(str::to_owned);
            if let Some(old) = old {
                group.replace_static(now, ticket, &old, &fresh, ask, out);
            } else if ask.member_id_required && ask.instance.is_none() {
                // A static member is known by its instance id, and is spared this round.
                group.expect_member(fresh.clone(), now + ask.session_timeout);
                return Err((ResponseError::MemberIdRequired, fresh));
            } else {
                group.add_member(now, delay, ticket, &fresh, ask, out);
            }
            return Ok(());
        }
        if group.awaits_member(&ask.member) {
            group.add_member(now, delay, ticket, &ask.member, ask, out);
            return Ok(());
        }
        group.check_member(&ask.member, ask.instance.as_deref()).or_else(fail)?;
        group.rejoin_member(now, ticket, ask, out);
        Ok(())
    }

    /// SyncGroup. The answer comes from [`SimState::take_ready`] under `ticket`, now or later.
    pub fn sync_group(&mut self, now: i64, ticket: Ticket, ask: &SyncAsk) {
        if let Err(error) = self.try_sync(now, ticket, ask) {
            self.ready.push((ticket, sync_error(error)));
        }
    }

    fn try_sync(&mut self, now: i64, ticket: Ticket, ask: &SyncAsk) -> Result<(), ResponseError> {
        let group = self.groups.get_mut(&ask.group).ok_or(ResponseError::UnknownMemberId)?;
        group.check_member(&ask.member, ask.instance.as_deref())?;
        if ask.generation != group.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        let (kind, name) = (&ask.protocol.0, &ask.protocol.1);
        let differs = kind.as_ref().is_some_and(|k| *k != group.protocol_type)
            || name.as_ref().is_some_and(|n| Some(n) != group.protocol.as_ref());
        if differs {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        group.sync(now, ticket, ask, &mut self.ready);
        Ok(())
    }

    /// Heartbeat.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION, REBALANCE_IN_PROGRESS.
    pub fn heartbeat(
        &mut self,
        now: i64,
        group: &str,
        generation: i32,
        member: &str,
        instance: Option<&str>,
    ) -> Result<(), ResponseError> {
        let group = self.groups.get_mut(group).ok_or(ResponseError::UnknownMemberId)?;
        group.check_member(member, instance)?;
        if generation != group.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        group.heartbeat(now, member)
    }

    /// LeaveGroup of one member, by member id or by instance id (an admin removes static members so).
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID.
    pub fn leave_group(
        &mut self,
        now: i64,
        group: &str,
        member: &str,
        instance: Option<&str>,
    ) -> Result<(), ResponseError> {
        let group = self.groups.get_mut(group).ok_or(ResponseError::UnknownMemberId)?;
        let id = match instance {
            Some(i) if member.is_empty() => group.static_member(i).ok_or(ResponseError::UnknownMemberId)?.to_owned(),
            _ if group.awaits_member(member) => member.to_owned(),
            _ => {
                group.check_member(member, instance)?;
                member.to_owned()
            }
        };
        group.remove_member(now, &id, &mut self.ready);
        Ok(())
    }

    /// DeleteGroups of one group.
    ///
    /// # Errors
    /// GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP.
    pub fn delete_group(&mut self, group: &str) -> Result<(), ResponseError> {
        let found = self.groups.get(group).ok_or(ResponseError::GroupIdNotFound)?;
        if found.state != ClassicGroupState::Empty {
            return Err(ResponseError::NonEmptyGroup);
        }
        self.groups.remove(group);
        Ok(())
    }

    /// A fault: the group vanishes, members or not.
    pub fn drop_group(&mut self, group: &str) {
        if let Some(group) = self.groups.remove(group) {
            group.disband(&mut self.ready);
        }
    }

    pub(super) fn tick_groups(&mut self, now: i64) {
        for group in self.groups.values_mut() {
            group.tick(now, &mut self.ready);
        }
    }
}
