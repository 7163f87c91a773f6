//! Whose transactions are open on a partition (KIP-664).

use serde::{Deserialize, Serialize};

use super::transactions::Answer;
use crate::base::At;

/// Who has a transaction open on a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionHolder {
    /// Producer id.
    pub producer_id: i64,
    /// Its transactional id, if a coordinator names it: make it visible before it is shown.
    pub transactional_id: Option<String>,
    /// When its coordinator saw it begin; `None`: no coordinator has it (any more), or it may not be asked.
    pub since: Option<At>,
    /// First offset of what is open.
    pub open_from: i64,
}

/// What a partition's leader says of open transactions, by the lowest offset first.
pub type TransactionHolders = Answer<Vec<TransactionHolder>>;
