//! Terminals that move to another school or leave service, all or nothing; what they did before stays where it was.
//!
//! Not responsible for whole histories (`terminals`: the table's rows), nor for waiting terminals (`approve`).

use jiff::{ToSpan as _, civil::Date};

use crate::{
    domain::ids::{SchoolCode, TerminalId},
    store::{Placement, RegistryChange, Store, StoreError, TerminalFilter},
};

/// Where a terminal goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goes {
    /// To a school from a day on.
    To {
        /// The school.
        school: SchoolCode,
        /// The room there; `None` keeps its name.
        room: Option<String>,
        /// First day there.
        from: Date,
    },
    /// Out of service.
    Away {
        /// Last day in service.
        last: Date,
    },
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RelocateError {
    /// Nobody has heard of the terminal.
    #[error("terminal {0} is not registered")]
    Unknown(TerminalId),
    /// It stands nowhere yet.
    #[error("terminal {0} waits for approval: approve it")]
    Waits(TerminalId),
    /// It went to where it stands no sooner than that.
    #[error(
        "terminal {terminal} stands where it does from {since} on: give a later day, or import its history"
    )]
    TooEarly {
        /// Which.
        terminal: TerminalId,
        /// Its first day there.
        since: Date,
    },
    /// It has left service.
    #[error("terminal {terminal} left service on {last} already")]
    Left {
        /// Which.
        terminal: TerminalId,
        /// Its last day.
        last: Date,
    },
    /// The school has no terminal in service.
    #[error("school {0} has no terminal in service")]
    NoTerminals(SchoolCode),
    /// The store could not do it; an unknown school is named.
    #[error("the change could not be stored")]
    Store(#[from] StoreError),
}

/// Moves terminals, or takes them out of service; the answer is how many.
///
/// # Errors
/// [`RelocateError`] names the terminal; nothing is changed then.
pub async fn relocate(
    store: &dyn Store,
    terminals: &[TerminalId],
    goes: &Goes,
) -> Result<usize, RelocateError> {
    let mut change = RegistryChange::default();
    for id in terminals {
        let found = store.terminal(id).await?;
        let terminal = found.ok_or_else(|| RelocateError::Unknown(id.clone()))?;
        let history = changed(id, terminal.placements, goes)?;
        change.placements.push((id.clone(), history));
    }
    store.change_registry(change).await?;
    Ok(terminals.len())
}

/// The same for every terminal that stands in a school on a day, such as when schools are joined or closed.
///
/// # Errors
/// As [`relocate`]; `NoTerminals`.
pub async fn relocate_school(
    store: &dyn Store,
    school: &SchoolCode,
    today: Date,
    goes: &Goes,
) -> Result<usize, RelocateError> {
    let filter = TerminalFilter {
        school: Some(school.clone()),
        ..TerminalFilter::default()
    };
    let stands = |placement: &Placement| {
        placement.school == *school && placement.to.is_none_or(|to| to >= today)
    };
    let terminals = store.terminals(&filter).await?.into_iter();
    let here: Vec<TerminalId> = terminals
        .filter(|terminal| terminal.placements.last().is_some_and(stands))
        .map(|terminal| terminal.id)
        .collect();
    if here.is_empty() {
        return Err(RelocateError::NoTerminals(school.clone()));
    }
    relocate(store, &here, goes).await
}

/// A history with this change at its end.
fn changed(
    id: &TerminalId,
    mut history: Vec<Placement>,
    goes: &Goes,
) -> Result<Vec<Placement>, RelocateError> {
    let Some(latest) = history.last_mut() else {
        return Err(RelocateError::Waits(id.clone()));
    };
    let too_early = RelocateError::TooEarly {
        terminal: id.clone(),
        since: latest.from,
    };
    match goes {
        Goes::To { school, room, from } => {
            if *from <= latest.from {
                return Err(too_early);
            }
            let before = from.saturating_sub(1.day());
            latest.to = Some(latest.to.map_or(before, |to| to.min(before)));
            let room = room.clone().unwrap_or_else(|| latest.room.clone());
            history.push(Placement {
                school: school.clone(),
                room,
                from: *from,
                to: None,
            });
        }
        Goes::Away { last } => {
            if *last < latest.from {
                return Err(too_early);
            }
            if let Some(left) = latest.to.filter(|left| left <= last) {
                return Err(RelocateError::Left {
                    terminal: id.clone(),
                    last: left,
                });
            }
            latest.to = Some(*last);
        }
    }
    Ok(history)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn stands(from: Date, to: Option<Date>) -> Placement {
        Placement {
            school: "2123000001".parse().unwrap(),
            room: "一年一班".to_owned(),
            from,
            to,
        }
    }

    fn to(from: Date) -> Goes {
        Goes::To {
            school: "2123000002".parse().unwrap(),
            room: None,
            from,
        }
    }

    #[test]
    fn history_stays_and_goes_on_elsewhere() {
        let id: TerminalId = "t-1".parse().unwrap();
        let (first, day) = (date(2025, 9, 1), date(2026, 9, 1));
        let now = vec![stands(first, None)];
        let moved = changed(&id, now.clone(), &to(day)).unwrap();
        assert_eq!(moved[0], stands(first, Some(date(2026, 8, 31))));
        assert_eq!((moved[1].from, moved[1].to), (day, None));
        assert_eq!(moved[1].room, "一年一班");
        // A gap stays a gap.
        let left = vec![stands(first, Some(date(2026, 1, 1)))];
        assert_eq!(changed(&id, left.clone(), &to(day)).unwrap()[0], left[0]);
        let away = changed(&id, now.clone(), &Goes::Away { last: day }).unwrap();
        assert_eq!(away, [stands(first, Some(day))]);
        // Sooner than planned is a change; later than it left is none.
        let planned = vec![stands(first, Some(day))];
        let sooner = Goes::Away { last: first };
        assert_eq!(
            changed(&id, planned.clone(), &sooner).unwrap(),
            [stands(first, Some(first))]
        );
        for (history, goes, said) in [
            (vec![], to(day), "waits for approval"),
            (now.clone(), to(first), "give a later day"),
            (
                now,
                Goes::Away {
                    last: date(2025, 8, 31),
                },
                "give a later day",
            ),
            (planned, Goes::Away { last: day }, "left service"),
        ] {
            let error = changed(&id, history, &goes).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
