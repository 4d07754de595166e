//! What the audit log says of a change: enough to see what stood before and what stands now, in bounded length.

use serde_json::{Value, json};

use crate::store::{ContentDigest, Placement, RegistryChange, Store, StoreError};

/// Counties, schools and terminals of one change that are told one by one; of more, only how many there are.
const MOST: usize = 50;

/// One by its name, several by their number.
pub(super) fn many(names: &[String]) -> String {
    match names {
        [one] => one.clone(),
        names => format!("{} terminals", names.len()),
    }
}

/// A calendar's text is kept with its version: here its digest will do.
pub(super) fn calendar(version: i64, text: &str) -> Value {
    json!({ "version": version, "sha256": ContentDigest::of(text.as_bytes()) })
}

/// A registry change: what stood, and what will.
pub(super) async fn registry(
    store: &dyn Store,
    change: &RegistryChange,
) -> Result<(Value, Value), StoreError> {
    let mut before = serde_json::Map::new();
    let mut after = serde_json::Map::new();
    let known = store.counties().await?;
    for county in change.counties.iter().take(MOST) {
        let key = format!("county {}", county.code);
        if let Some(known) = known.iter().find(|known| known.code == county.code) {
            before.insert(key.clone(), json!(known.name));
        }
        after.insert(key, json!(county.name));
    }
    for school in change.schools.iter().take(MOST) {
        let key = format!("school {}", school.code);
        if let Some(known) = store.school(&school.code).await? {
            before.insert(key.clone(), json!(known));
        }
        after.insert(key, json!(school));
    }
    for (terminal, placements) in change.placements.iter().take(MOST) {
        let key = format!("terminal {terminal}");
        if let Some(known) = store.terminal(terminal).await? {
            before.insert(key.clone(), places(&known.placements));
        }
        after.insert(key, places(placements));
    }
    let counts = json!({
        "counties": change.counties.len(), "schools": change.schools.len(), "terminals": change.placements.len(),
    });
    after.insert("counts".to_owned(), counts);
    let before = if before.is_empty() {
        Value::Null
    } else {
        Value::Object(before)
    };
    Ok((before, Value::Object(after)))
}

fn places(placements: &[Placement]) -> Value {
    let place = |place: &Placement| {
        let to = place.to.map(|to| to.to_string()).unwrap_or_default();
        format!("{} {} {}…{to}", place.school, place.room, place.from)
    };
    json!(placements.iter().map(place).collect::<Vec<_>>())
}
