//! A made-up county as somebody enters it: schools, their terminals and the calendar.
//!
//! Not responsible for what its terminals report.

use classpulse::{
    domain::ids::Stage,
    store::{County, Placement, RegistryChange, School, Store, sqlite::SqliteStore},
};
use jiff::civil::Date;

use crate::names::{county, school, terminal};

/// How large it is, and since when its terminals are in service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) schools: u32,
    /// Terminals of one school.
    pub(crate) terminals: u32,
    pub(crate) from: Date,
}

/// Enters it; schools take these stages in turn.
pub(crate) async fn register(
    store: &SqliteStore,
    size: Size,
    stages: &[Stage],
    calendar: &str,
    now: i64,
) {
    let schools = 0..size.schools;
    let placement = |one| Placement {
        school: school(one / size.terminals),
        room: format!(
            "{}年{}班",
            one % size.terminals % 6 + 1,
            one % size.terminals / 6 + 1
        ),
        from: size.from,
        to: None,
    };
    let placed = |one| {
        let id = terminal(one / size.terminals, one % size.terminals);
        (id, vec![placement(one)])
    };
    let change = RegistryChange {
        counties: vec![County {
            code: county(),
            name: "逊克县".to_owned(),
        }],
        schools: schools
            .map(|index| School {
                code: school(index),
                name: format!("奇克镇第{index}中心学校"),
                stage: stages[index as usize % stages.len()],
                township: format!("第{}镇", index % 9),
                county: county(),
            })
            .collect(),
        placements: (0..size.schools * size.terminals).map(placed).collect(),
    };
    let changed = store.change_registry(change).await;
    changed.expect("a registry");
    let set = store.set_calendar(&county(), calendar, now).await;
    set.expect("a calendar");
}
