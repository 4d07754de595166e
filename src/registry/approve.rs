//! Puts waiting terminals into service, all or nothing; their minutes are in the store already and count from then on.
//!
//! Not responsible for finding out which terminals wait (`store`).

use jiff::{
    civil::{Date, date},
    tz::TimeZone,
};

use crate::{
    domain::{
        ids::{SchoolCode, TerminalId},
        session::day_of,
        usage::Period,
    },
    store::{Placement, RegistryChange, Store, StoreError, Terminal},
};

/// One terminal's approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The waiting terminal.
    pub terminal: TerminalId,
    /// The school it stands in.
    pub school: SchoolCode,
    /// The room; may be empty.
    pub room: String,
    /// First day in service; `None` for the day of its first report, or of the earliest minutes it reported.
    pub from: Option<Date>,
}

/// Why nothing was approved.
#[derive(Debug, thiserror::Error)]
pub enum ApproveError {
    /// Nobody has heard of the terminal.
    #[error("terminal {0} has never reported and is not registered")]
    UnknownTerminal(TerminalId),
    /// It does not wait.
    #[error("terminal {0} is in service already; change its history by an import")]
    InService(TerminalId),
    /// It stands in the list twice.
    #[error("terminal {0} is named twice")]
    Twice(TerminalId),
    /// The store could not do it; an unknown school is named.
    #[error("the approval could not be stored")]
    Store(#[from] StoreError),
}

/// Approves; the answer is how many.
///
/// # Errors
/// [`ApproveError`] names the terminal; nothing is changed then.
pub async fn approve(
    store: &dyn Store,
    approvals: Vec<Approval>,
    zone: &TimeZone,
) -> Result<u32, ApproveError> {
    let mut change = RegistryChange::default();
    for approval in approvals {
        let Some(terminal) = store.terminal(&approval.terminal).await? else {
            return Err(ApproveError::UnknownTerminal(approval.terminal));
        };
        if !terminal.placements.is_empty() {
            return Err(ApproveError::InService(approval.terminal));
        }
        if change
            .placements
            .iter()
            .any(|(other, _)| *other == approval.terminal)
        {
            return Err(ApproveError::Twice(approval.terminal));
        }
        let from = match approval.from {
            Some(from) => from,
            None => first_day(store, &terminal, zone).await?,
        };
        let placement = Placement {
            school: approval.school,
            room: approval.room,
            from,
            to: None,
        };
        change.placements.push((approval.terminal, vec![placement]));
    }
    let count = u32::try_from(change.placements.len()).unwrap_or(u32::MAX);
    store.change_registry(change).await?;
    Ok(count)
}

async fn first_day(
    store: &dyn Store,
    terminal: &Terminal,
    zone: &TimeZone,
) -> Result<Date, StoreError> {
    let always = Period {
        first: date(2000, 1, 1),
        last: date(9999, 12, 31),
    };
    let minutes = store
        .terminal_days(&terminal.id, always)
        .await?
        .first()
        .map(|(day, _)| *day);
    let heard = terminal.first_heard.and_then(|at| day_of(at, zone));
    Ok(minutes
        .into_iter()
        .chain(heard)
        .min()
        .unwrap_or(always.first))
}
