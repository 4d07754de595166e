//! What the acting person sees, asked for each piece of data. Only part of a county sees little; who sees nothing here is
//! refused, not shown less.

use std::collections::HashSet;

use jiff::civil::Date;

use crate::{
    access::{Reach, current},
    domain::{
        ids::{CountyCode, SchoolCode, TerminalId},
        usage::Period,
    },
    store::{RegistryChange, Store, StoreError, Terminal, TerminalFilter},
};

/// Whoever acts, with the store that knows what lies where.
pub(super) struct Sight<'s> {
    pub(super) reach: Reach,
    store: &'s dyn Store,
}

pub(super) fn out_of_reach(what: &'static str, id: &impl ToString) -> StoreError {
    StoreError::OutOfReach {
        what,
        id: id.to_string(),
    }
}

fn seen(yes: bool, what: &'static str, id: &impl ToString) -> Result<(), StoreError> {
    if yes {
        Ok(())
    } else {
        Err(out_of_reach(what, id))
    }
}

impl<'s> Sight<'s> {
    /// Nobody sees anything where nobody acts.
    pub(super) fn new(store: &'s dyn Store) -> Result<Self, StoreError> {
        let who = current().ok_or_else(|| out_of_reach("data of", &"nobody"))?;
        let reach = who.reach().clone();
        Ok(Self { reach, store })
    }

    /// Whether all of the country is seen.
    pub(super) fn everything(&self) -> bool {
        self.reach == Reach::All
    }

    /// All of the country.
    pub(super) fn whole(&self, what: &'static str) -> Result<(), StoreError> {
        seen(self.everything(), what, &"")
    }

    /// A county at least.
    pub(super) fn broad(&self, what: &'static str) -> Result<(), StoreError> {
        seen(!self.reach.is_narrow(), what, &"")
    }

    /// Everything of this county.
    pub(super) fn covers(&self, county: &CountyCode) -> Result<(), StoreError> {
        seen(self.reach.covers(county), "county", county)
    }

    /// This county's ranking.
    pub(super) fn ranks(&self, county: &CountyCode) -> Result<(), StoreError> {
        seen(self.reach.ranks(county), "county", county)
    }

    /// This school. One that is not registered is the store's to name, to those who see everything.
    pub(super) async fn school(&self, code: &SchoolCode) -> Result<(), StoreError> {
        let yes = match &self.reach {
            Reach::All => true,
            Reach::School(own, _) => own == code,
            reach => {
                let found = self.store.school(code).await?;
                found.is_some_and(|school| reach.shows(&school))
            }
        };
        seen(yes, "school", code)
    }

    /// The schools that are seen; `None` for all.
    pub(super) async fn schools(&self) -> Result<Option<HashSet<SchoolCode>>, StoreError> {
        let county = match &self.reach {
            Reach::All => return Ok(None),
            Reach::Nowhere => return Ok(Some(HashSet::new())),
            Reach::School(own, _) => return Ok(Some(HashSet::from([own.clone()]))),
            Reach::County(county) | Reach::Township(county, _) => county,
        };
        let mut schools = self.store.schools(county).await?;
        schools.retain(|school| self.reach.shows(school));
        Ok(Some(
            schools.into_iter().map(|school| school.code).collect(),
        ))
    }

    /// Whether a terminal is seen: it stands or stood in a school that is, or waits where a whole county looks.
    fn stands(&self, terminal: &Terminal, schools: &HashSet<SchoolCode>) -> bool {
        let mut places = terminal.placements.iter();
        let waits = terminal.placements.is_empty() && !self.reach.is_narrow();
        waits || places.any(|place| schools.contains(&place.school))
    }

    /// This terminal.
    pub(super) async fn terminal(&self, id: &TerminalId) -> Result<Option<Terminal>, StoreError> {
        let found = self.store.terminal(id).await?;
        let Some(schools) = self.schools().await? else {
            return Ok(found);
        };
        let yes = found
            .as_ref()
            .is_some_and(|terminal| self.stands(terminal, &schools));
        seen(yes, "terminal", id).map(|()| found)
    }

    /// When a terminal stood where it is seen; `None` where all of it is.
    pub(super) async fn places(
        &self,
        terminal: Option<&Terminal>,
    ) -> Result<Option<Vec<Period>>, StoreError> {
        let Some(schools) = self.schools().await? else {
            return Ok(None);
        };
        let Some(terminal) = terminal.filter(|terminal| !terminal.placements.is_empty()) else {
            return Ok(None);
        };
        let here = terminal.placements.iter();
        let here = here.filter(|place| schools.contains(&place.school));
        let periods = here.map(|place| Period {
            first: place.from,
            last: place.to.unwrap_or(Date::MAX),
        });
        Ok(Some(periods.collect()))
    }

    /// Terminals by id, a full page as long as there are more.
    pub(super) async fn terminals(
        &self,
        filter: &TerminalFilter,
    ) -> Result<Vec<Terminal>, StoreError> {
        let Some(schools) = self.schools().await? else {
            return self.store.terminals(filter).await;
        };
        let (mut found, mut filter) = (Vec::new(), filter.clone());
        let limit = filter.limit.map_or(usize::MAX, |limit| limit as usize);
        loop {
            let page = self.store.terminals(&filter).await?;
            let full = filter
                .limit
                .is_some_and(|limit| page.len() >= limit as usize);
            filter.after = page.last().map(|last| last.id.clone());
            found.extend(page.into_iter().filter(|one| self.stands(one, &schools)));
            if !full || found.len() >= limit {
                found.truncate(limit);
                return Ok(found);
            }
        }
    }

    /// The names of terminals that are seen; `None` for all.
    pub(super) async fn known_terminals(&self) -> Result<Option<HashSet<String>>, StoreError> {
        if self.everything() {
            return Ok(None);
        }
        let all = self.terminals(&TerminalFilter::default()).await?;
        Ok(Some(
            all.into_iter().map(|one| one.id.to_string()).collect(),
        ))
    }

    /// Whether all that a change touches is seen.
    pub(super) async fn change(&self, change: &RegistryChange) -> Result<(), StoreError> {
        self.broad("registry")?;
        let Some(mut schools) = self.schools().await? else {
            return Ok(());
        };
        for county in &change.counties {
            self.covers(&county.code)?;
        }
        for school in &change.schools {
            self.covers(&school.county)?;
            // A known school of another county would be taken away from it.
            if let Some(known) = self.store.school(&school.code).await? {
                self.covers(&known.county)?;
            }
            schools.insert(school.code.clone());
        }
        for (id, placements) in &change.placements {
            let known = self.store.terminal(id).await?;
            let known = known.map(|known| known.placements).unwrap_or_default();
            for place in known.iter().chain(placements) {
                seen(schools.contains(&place.school), "school", &place.school)?;
            }
        }
        Ok(())
    }
}
