//! How terminals' keys stand, for the bureau. Not responsible for changing them (store).

use std::collections::HashSet;

use jiff::civil::Date;

use crate::{
    domain::ids::{SchoolCode, TerminalId},
    store::{Key, Store, StoreError, TerminalFilter},
};

/// Every terminal's key, by terminal; or those of terminals that stand in a school today.
///
/// # Errors
/// The store's.
pub async fn list_keys(
    store: &dyn Store,
    school: Option<&SchoolCode>,
    today: Date,
) -> Result<Vec<Key>, StoreError> {
    let mut keys = store.keys().await?;
    if let Some(school) = school {
        let filter = TerminalFilter {
            school: Some(school.clone()),
            ..TerminalFilter::default()
        };
        let here: HashSet<TerminalId> = store
            .terminals(&filter)
            .await?
            .into_iter()
            .filter(|terminal| {
                terminal.placements.iter().any(|at| {
                    at.school == *school && at.from <= today && at.to.is_none_or(|to| today <= to)
                })
            })
            .map(|terminal| terminal.id)
            .collect();
        keys.retain(|key| here.contains(&key.terminal));
    }
    keys.sort_unstable_by(|a, b| a.terminal.cmp(&b.terminal));
    Ok(keys)
}
