//! Enrolment codes, keys and hardware. Enrolments of all processes follow one another (`Lock::Enrolment`).
//!
//! Not responsible for who a machine is like (`domain::hardware`).

use std::collections::HashMap;

use tokio_postgres::Row;

use super::{
    commit::{Added, Keys},
    connection::{Lock, On},
    failure::Failure,
    incidents, registry, terminals,
    values::{fixed, maybe_fixed, storable, text, unsigned32},
};
use crate::{
    domain::{
        hardware::{Hardware, MarkKind},
        ids::{SchoolCode, TerminalId},
    },
    store::{
        CodeFault, Enrolled, Enrolment, EnrolmentCode, Key, KeyChange, MAX_CODES, NewCode,
        Placement, RegistryChange, StoreError,
        identity::{FoundCode, incidents_of, next_name},
    },
};

fn read_code(row: &Row) -> Result<EnrolmentCode, Failure> {
    Ok(EnrolmentCode {
        id: row.try_get(0)?,
        school: text(row, 1)?,
        uses: unsigned32(row, 2)?,
        used: unsigned32(row, 3)?,
        created_at: row.try_get(4)?,
        expires_at: row.try_get(5)?,
        revoked: row.try_get(6)?,
    })
}

async fn code_of(on: &On<'_>, hash: &[u8]) -> Result<Option<EnrolmentCode>, Failure> {
    let found = on
        .maybe(
            "SELECT c.id, s.code, c.uses, c.used, c.created_at, c.expires_at, c.revoked
             FROM code c JOIN school s ON s.id = c.school WHERE c.hash = $1",
            &[&hash],
        )
        .await?;
    found.as_ref().map(read_code).transpose()
}

/// Keeps a new code.
pub(super) async fn add_code(on: &On<'_>, new: &NewCode) -> Result<EnrolmentCode, Failure> {
    let (hash, school) = (&new.hash[..], new.school.as_str());
    let added = on
        .execute(
            "INSERT INTO code (hash, school, uses, used, created_at, expires_at, revoked)
             SELECT $1, id, $3, 0, $4, $5, false FROM school WHERE code = $2 ON CONFLICT (hash) DO NOTHING",
            &[
                &hash,
                &school,
                &i64::from(new.uses),
                &new.created_at,
                &new.expires_at,
            ],
        )
        .await?;
    if added == 0 {
        if registry::school(on, &new.school).await?.is_none() {
            return Err(Failure::not_found("school", &new.school));
        }
        return Err(StoreError::Conflict("this code is there already".to_owned()).into());
    }
    code_of(on, hash)
        .await?
        .ok_or_else(|| StoreError::Damaged("a new code vanished".to_owned()).into())
}

/// Codes, newest first.
pub(super) async fn codes(
    on: &On<'_>,
    school: Option<&SchoolCode>,
) -> Result<Vec<EnrolmentCode>, Failure> {
    let rows = on
        .rows(
            "SELECT c.id, s.code, c.uses, c.used, c.created_at, c.expires_at, c.revoked
             FROM code c JOIN school s ON s.id = c.school
             WHERE $1::text IS NULL OR s.code = $1 ORDER BY c.created_at DESC, c.id DESC LIMIT $2",
            &[&school.map(SchoolCode::as_str), &i64::from(MAX_CODES)],
        )
        .await?;
    rows.iter().map(read_code).collect()
}

/// Takes a code back.
pub(super) async fn revoke_code(on: &On<'_>, id: i64) -> Result<(), Failure> {
    let sql = "UPDATE code SET revoked = true WHERE id = $1";
    match on.execute(sql, &[&id]).await? {
        0 => Err(Failure::not_found("enrolment code", &id)),
        _ => Ok(()),
    }
}

/// Rises with every change of a key.
pub(super) async fn version(on: &On<'_>) -> Result<i64, Failure> {
    let row = on.row("SELECT identity_version FROM meta", &[]).await?;
    Ok(row.try_get(0)?)
}

pub(super) async fn raise_version(on: &On<'_>) -> Result<(), Failure> {
    let sql = "UPDATE meta SET identity_version = identity_version + 1";
    on.execute(sql, &[]).await?;
    Ok(())
}

/// Every key.
pub(super) async fn keys(on: &On<'_>) -> Result<Vec<Key>, Failure> {
    let rows = on
        .rows(
            "SELECT t.name, i.key, i.salted, i.next_key, i.renew, i.revoked, i.enrolled_at, i.changed_at
             FROM identity i JOIN terminal t ON t.id = i.terminal",
            &[],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Key {
                terminal: text(row, 0)?,
                hash: fixed(row, 1)?,
                salted: maybe_fixed(row, 2)?,
                next: maybe_fixed(row, 3)?,
                renew: row.try_get(4)?,
                revoked: row.try_get(5)?,
                enrolled_at: row.try_get(6)?,
                changed_at: row.try_get(7)?,
            })
        })
        .collect()
}

/// See [`crate::store::Store::change_keys`].
pub(super) async fn change_keys(
    on: &On<'_>,
    terminals: &[TerminalId],
    change: KeyChange,
    at: i64,
) -> Result<u32, Failure> {
    on.lock(Lock::Enrolment).await?;
    let mut changed = 0;
    for terminal in terminals {
        let sql = "SELECT i.terminal FROM identity i JOIN terminal t ON t.id = i.terminal WHERE t.name = $1";
        let found = on.maybe(sql, &[&terminal.as_str()]).await?;
        let row = found.ok_or_else(|| Failure::not_found("key of terminal", terminal))?;
        changed += change_key(on, row.try_get(0)?, change, at).await?;
    }
    if changed > 0 {
        raise_version(on).await?;
    }
    Ok(u32::try_from(changed).unwrap_or(u32::MAX))
}

async fn change_key(
    on: &On<'_>,
    terminal: i32,
    change: KeyChange,
    at: i64,
) -> Result<u64, Failure> {
    const LATER: &str = "changed_at = greatest(changed_at + 1, $2)";
    match change {
        KeyChange::Revoke | KeyChange::Restore => {
            let revoked = change == KeyChange::Revoke;
            let sql = format!(
                "UPDATE identity SET revoked = $3, {LATER} WHERE terminal = $1 AND revoked <> $3"
            );
            on.execute(&sql, &[&terminal, &at, &revoked]).await
        }
        KeyChange::Renew => {
            let sql = format!(
                "UPDATE identity SET renew = true, {LATER} WHERE terminal = $1 AND NOT renew"
            );
            on.execute(&sql, &[&terminal, &at]).await
        }
        KeyChange::Offer {
            shown,
            next,
            salted,
        } => {
            let sql = format!(
                "UPDATE identity SET next_key = $4, next_salted = $5, {LATER}
                 WHERE terminal = $1 AND key = $3 AND renew AND NOT revoked"
            );
            let (shown, next, salted) = (&shown[..], &next[..], &salted[..]);
            on.execute(&sql, &[&terminal, &at, &shown, &next, &salted])
                .await
        }
        KeyChange::Use(used) => {
            let sql = format!(
                "UPDATE identity SET key = next_key, salted = next_salted, next_key = NULL, next_salted = NULL,
                    renew = false, {LATER}
                 WHERE terminal = $1 AND next_key = $3 AND NOT revoked"
            );
            on.execute(&sql, &[&terminal, &at, &&used[..]]).await
        }
    }
}

/// See [`crate::store::Store::enrol`].
pub(super) async fn enrol(
    on: &On<'_>,
    known_keys: &Keys,
    enrolment: &Enrolment,
) -> Result<(Enrolled, Added), Failure> {
    let refused = |fault| Ok((Enrolled::Refused(fault), Added::new()));
    on.lock(Lock::Enrolment).await?;
    let Some(code) = find_code(on, enrolment).await? else {
        return refused(CodeFault::Unknown);
    };
    if let Some(fault) = code.fault(enrolment.at) {
        return refused(fault);
    }
    let alike = alike(on, &enrolment.hardware).await?;
    let (key, terminal, known, added) = match enrolment.hardware.recognise(&alike) {
        Some(((_, _, true), _)) => return refused(CodeFault::IdentityRevoked),
        Some(((key, name, false), mixed)) => {
            let found = terminals::one(on, name).await?;
            let placements = found
                .map(|terminal| terminal.placements)
                .unwrap_or_default();
            let school = &code.school.code;
            let told = incidents_of(name, &placements, school, mixed, enrolment);
            let told: Vec<_> = told.iter().map(|incident| (*key, incident)).collect();
            incidents::add_all(on, &told).await?;
            (*key, name.clone(), true, Added::new())
        }
        None if code.is_used_up() => return refused(CodeFault::UsedUp),
        None => {
            let (key, name, added) = place_new(on, known_keys, &code, enrolment).await?;
            (key, name, false, added)
        }
    };
    on.execute(
        "INSERT INTO identity AS known (terminal, key, enrolled_at, code, revoked, changed_at, salted)
         VALUES ($1, $2, $3, $4, false, $3, $5)
         ON CONFLICT (terminal) DO UPDATE SET
            key = excluded.key, salted = excluded.salted, enrolled_at = excluded.enrolled_at, code = excluded.code,
            next_key = NULL, next_salted = NULL, renew = false,
            changed_at = greatest(known.changed_at + 1, excluded.changed_at)",
        &[
            &key,
            &&enrolment.key[..],
            &enrolment.at,
            &code.key,
            &&enrolment.salted[..],
        ],
    )
    .await?;
    mark(on, key, &enrolment.hardware).await?;
    raise_version(on).await?;
    let school = code.school;
    let done = Enrolled::Done {
        terminal,
        known,
        school,
    };
    Ok((done, added))
}

async fn find_code(on: &On<'_>, enrolment: &Enrolment) -> Result<Option<FoundCode<i64>>, Failure> {
    let Some(found) = code_of(on, &enrolment.code).await? else {
        return Ok(None);
    };
    let school = registry::school(on, &found.school)
        .await?
        .ok_or_else(|| StoreError::Damaged(format!("a code of school {}", found.school)))?;
    Ok(Some(FoundCode {
        key: found.id,
        school,
        uses: found.uses,
        used: found.used,
        expires_at: found.expires_at,
        revoked: found.revoked,
    }))
}

/// Makes a new terminal in the code's school.
async fn place_new(
    on: &On<'_>,
    known: &Keys,
    code: &FoundCode<i64>,
    enrolment: &Enrolment,
) -> Result<(i32, TerminalId, Added), Failure> {
    let school = &code.school.code;
    // Nobody adds a terminal meanwhile, by an import or by a first report: the name is still free when it is taken.
    on.lock(Lock::Registry).await?;
    // A dot follows the dash.
    let rows = on
        .rows(
            "SELECT name FROM terminal WHERE name > $1 AND name < $2",
            &[&format!("{school}-"), &format!("{school}.")],
        )
        .await?;
    let names = rows
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<Vec<&str>, _>>()?;
    let name = next_name(school, names.into_iter())?;
    let placement = Placement {
        school: school.clone(),
        room: storable(&enrolment.room).into_owned(),
        from: enrolment.today,
        to: None,
    };
    let change = RegistryChange {
        placements: vec![(name.clone(), vec![placement])],
        ..RegistryChange::default()
    };
    let added = registry::change(on, known, &change).await?;
    let sql = "UPDATE code SET used = used + 1 WHERE id = $1";
    on.execute(sql, &[&code.key]).await?;
    let row = on
        .row("SELECT id FROM terminal WHERE name = $1", &[&name.as_str()])
        .await?;
    Ok((row.try_get(0)?, name, added))
}

/// A machine with an identity: its key, its name, whether it was revoked.
type Known = (i32, TerminalId, bool);

/// Machines that share a mark with this one; the one that enrolled last comes first.
async fn alike(on: &On<'_>, wanted: &Hardware) -> Result<Vec<(Known, Hardware)>, Failure> {
    let marks: Vec<_> = wanted.marks().map(|(_, mark)| mark.to_vec()).collect();
    let rows = on
        .rows(
            "SELECT i.terminal, t.name, i.revoked
             FROM identity i JOIN terminal t ON t.id = i.terminal
             WHERE i.terminal IN (SELECT terminal FROM hardware_mark WHERE mark = ANY ($1) LIMIT 10000)
             ORDER BY i.enrolled_at DESC, t.name",
            &[&marks],
        )
        .await?;
    let mut known = Vec::with_capacity(rows.len());
    for row in &rows {
        known.push((row.try_get(0)?, text(row, 1)?, row.try_get(2)?));
    }
    let keys: Vec<i32> = known.iter().map(|(key, ..): &Known| *key).collect();
    let mut found = hardware(on, &keys).await?;
    Ok(known
        .into_iter()
        .map(|known| {
            let hardware = found.remove(&known.0).unwrap_or_default();
            (known, hardware)
        })
        .collect())
}

/// Terminals' hardware by key.
pub(super) async fn hardware(
    on: &On<'_>,
    terminals: &[i32],
) -> Result<HashMap<i32, Hardware>, Failure> {
    let rows = on
        .rows(
            "SELECT terminal, kind, mark FROM hardware_mark WHERE terminal = ANY ($1)",
            &[&terminals],
        )
        .await?;
    let mut marks: HashMap<i32, Vec<_>> = HashMap::new();
    for row in &rows {
        let kind: i16 = row.try_get(1)?;
        let kind = MarkKind::of(kind)
            .ok_or_else(|| StoreError::Damaged(format!("a hardware mark of kind {kind}")))?;
        let mark = fixed(row, 2)?;
        marks.entry(row.try_get(0)?).or_default().push((kind, mark));
    }
    Ok(marks
        .into_iter()
        .map(|(terminal, marks)| (terminal, Hardware::of_marks(marks)))
        .collect())
}

/// Replaces what is known of a terminal's hardware.
pub(super) async fn mark(on: &On<'_>, terminal: i32, hardware: &Hardware) -> Result<(), Failure> {
    on.execute(
        "DELETE FROM hardware_mark WHERE terminal = $1",
        &[&terminal],
    )
    .await?;
    let (kinds, marks): (Vec<i16>, Vec<Vec<u8>>) = hardware
        .marks()
        .map(|(kind, mark)| (kind.number(), mark.to_vec()))
        .unzip();
    on.execute(
        "INSERT INTO hardware_mark (mark, kind, terminal)
         SELECT unnest($1::bytea[]), unnest($2::int2[]), $3 ON CONFLICT DO NOTHING",
        &[&marks, &kinds, &terminal],
    )
    .await?;
    Ok(())
}
