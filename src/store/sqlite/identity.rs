//! Enrolment codes, keys and hardware. Runs inside the writer's transaction, where an enrolment is alone.
//!
//! Not responsible for who a machine is like (`domain::hardware`).

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row};

use super::{
    commit::Terminals,
    failure::Failure,
    incidents, registry,
    terminals::one,
    values::{Text, fixed, unsigned32},
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

const CODE: &str =
    "SELECT c.id, s.code, c.uses, c.used, c.created_at, c.expires_at, c.revoked, c.hash
     FROM code c JOIN school s ON s.id = c.school";

fn read_code(row: &Row<'_>) -> rusqlite::Result<EnrolmentCode> {
    Ok(EnrolmentCode {
        id: row.get(0)?,
        school: row.get::<_, Text<_>>(1)?.0,
        uses: unsigned32(row, 2)?,
        used: unsigned32(row, 3)?,
        created_at: row.get(4)?,
        expires_at: row.get(5)?,
        revoked: row.get(6)?,
    })
}

/// Keeps a new code.
pub(super) fn add_code(connection: &Connection, new: &NewCode) -> Result<EnrolmentCode, Failure> {
    let added = connection.execute(
        "INSERT INTO code (hash, school, uses, used, created_at, expires_at, revoked)
         SELECT ?1, id, ?3, 0, ?4, ?5, 0 FROM school WHERE code = ?2 ON CONFLICT (hash) DO NOTHING",
        (
            &new.hash[..],
            new.school.as_str(),
            new.uses,
            new.created_at,
            new.expires_at,
        ),
    )?;
    if added == 0 {
        if registry::school(connection, &new.school)?.is_none() {
            return Err(Failure::not_found("school", &new.school));
        }
        return Err(StoreError::Conflict("this code is there already".to_owned()).into());
    }
    let sql = format!("{CODE} WHERE c.hash = ?1");
    Ok(connection.query_row(&sql, [&new.hash[..]], read_code)?)
}

/// Codes, newest first.
pub(super) fn codes(
    connection: &Connection,
    school: Option<&SchoolCode>,
) -> Result<Vec<EnrolmentCode>, Failure> {
    let mut select = connection.prepare(&format!(
        "{CODE} WHERE ?1 IS NULL OR s.code = ?1 ORDER BY c.created_at DESC, c.id DESC LIMIT ?2"
    ))?;
    let found = select.query_map((school.map(SchoolCode::as_str), MAX_CODES), read_code)?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Takes a code back.
pub(super) fn revoke_code(connection: &Connection, id: i64) -> Result<(), Failure> {
    match connection.execute("UPDATE code SET revoked = 1 WHERE id = ?1", [id])? {
        0 => Err(Failure::not_found("enrolment code", &id)),
        _ => Ok(()),
    }
}

/// Rises with every change of a key.
pub(super) fn version(connection: &Connection) -> Result<i64, Failure> {
    Ok(connection.query_row("SELECT identity_version FROM meta", [], |row| row.get(0))?)
}

pub(super) fn raise_version(connection: &Connection) -> Result<(), Failure> {
    connection.execute(
        "UPDATE meta SET identity_version = identity_version + 1",
        [],
    )?;
    Ok(())
}

/// Every key.
pub(super) fn keys(connection: &Connection) -> Result<Vec<Key>, Failure> {
    let mut select = connection.prepare(
        "SELECT t.name, i.key, i.salted, i.next_key, i.renew, i.revoked, i.enrolled_at, i.changed_at
         FROM identity i JOIN terminal t ON t.id = i.terminal",
    )?;
    let mut rows = select.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Key {
            terminal: row.get::<_, Text<_>>(0)?.0,
            hash: fixed(row, 1)?,
            salted: row.get(2)?,
            next: row.get(3)?,
            renew: row.get(4)?,
            revoked: row.get(5)?,
            enrolled_at: row.get(6)?,
            changed_at: row.get(7)?,
        });
    }
    Ok(found)
}

/// See [`crate::store::Store::change_keys`].
pub(super) fn change_keys(
    connection: &Connection,
    terminals: &[TerminalId],
    change: KeyChange,
    at: i64,
) -> Result<u32, Failure> {
    const LATER: &str = "changed_at = max(changed_at + 1, ?2)";
    let mut find = connection.prepare(
        "SELECT i.terminal FROM identity i JOIN terminal t ON t.id = i.terminal WHERE t.name = ?1",
    )?;
    let mut changed = 0;
    for terminal in terminals {
        let key: Option<i64> = find
            .query_row([terminal.as_str()], |row| row.get(0))
            .optional()?;
        let key = key.ok_or_else(|| Failure::not_found("key of terminal", terminal))?;
        changed += match change {
            KeyChange::Revoke | KeyChange::Restore => connection.execute(
                &format!("UPDATE identity SET revoked = ?3, {LATER} WHERE terminal = ?1 AND revoked <> ?3"),
                (key, at, change == KeyChange::Revoke),
            ),
            KeyChange::Renew => connection.execute(
                &format!("UPDATE identity SET renew = 1, {LATER} WHERE terminal = ?1 AND renew = 0"),
                (key, at),
            ),
            KeyChange::Offer { shown, next, salted } => connection.execute(
                &format!(
                    "UPDATE identity SET next_key = ?4, next_salted = ?5, {LATER}
                     WHERE terminal = ?1 AND key = ?3 AND renew = 1 AND revoked = 0"
                ),
                (key, at, shown, next, salted),
            ),
            KeyChange::Use(used) => connection.execute(
                &format!(
                    "UPDATE identity SET key = next_key, salted = next_salted, next_key = NULL, next_salted = NULL,
                        renew = 0, {LATER}
                     WHERE terminal = ?1 AND next_key = ?3 AND revoked = 0"
                ),
                (key, at, used),
            ),
        }?;
    }
    if changed > 0 {
        raise_version(connection)?;
    }
    Ok(u32::try_from(changed).unwrap_or(u32::MAX))
}

/// See [`crate::store::Store::enrol`].
pub(super) fn enrol(connection: &Connection, enrolment: &Enrolment) -> Result<Enrolled, Failure> {
    let Some(code) = find_code(connection, enrolment)? else {
        return Ok(Enrolled::Refused(CodeFault::Unknown));
    };
    if let Some(fault) = code.fault(enrolment.at) {
        return Ok(Enrolled::Refused(fault));
    }
    let alike = alike(connection, &enrolment.hardware)?;
    let (terminal, known) = match enrolment.hardware.recognise(&alike) {
        Some(((_, _, true), _)) => return Ok(Enrolled::Refused(CodeFault::IdentityRevoked)),
        Some(((key, name, false), mixed)) => {
            let placements = one(connection, name)?.map(|terminal| terminal.placements);
            let placements = placements.unwrap_or_default();
            let school = &code.school.code;
            for incident in incidents_of(name, &placements, school, mixed, enrolment) {
                incidents::add(connection, *key, &incident)?;
            }
            (name.clone(), true)
        }
        None if code.is_used_up() => return Ok(Enrolled::Refused(CodeFault::UsedUp)),
        None => (place_new(connection, &code, enrolment)?, false),
    };
    let key = Terminals::new(connection)?.key(&terminal)?;
    connection.execute(
        "INSERT INTO identity AS known (terminal, key, enrolled_at, code, revoked, changed_at, salted)
         VALUES (?1, ?2, ?3, ?4, 0, ?3, ?5)
         ON CONFLICT (terminal) DO UPDATE SET
            key = excluded.key, salted = excluded.salted, enrolled_at = excluded.enrolled_at, code = excluded.code,
            next_key = NULL, next_salted = NULL, renew = 0,
            changed_at = max(known.changed_at + 1, excluded.changed_at)",
        (
            key,
            &enrolment.key[..],
            enrolment.at,
            code.key,
            &enrolment.salted[..],
        ),
    )?;
    mark(connection, key, &enrolment.hardware)?;
    raise_version(connection)?;
    let school = code.school;
    Ok(Enrolled::Done {
        terminal,
        known,
        school,
    })
}

fn find_code(
    connection: &Connection,
    enrolment: &Enrolment,
) -> Result<Option<FoundCode<i64>>, Failure> {
    let sql = format!("{CODE} WHERE c.hash = ?1");
    let found = connection
        .query_row(&sql, [&enrolment.code[..]], read_code)
        .optional()?;
    let Some(found) = found else { return Ok(None) };
    let school = registry::school(connection, &found.school)?
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
fn place_new(
    connection: &Connection,
    code: &FoundCode<i64>,
    enrolment: &Enrolment,
) -> Result<TerminalId, Failure> {
    let school = &code.school.code;
    let mut select =
        connection.prepare("SELECT name FROM terminal WHERE name > ?1 AND name < ?2")?;
    // A dot follows the dash.
    let names: Vec<String> = select
        .query_map((format!("{school}-"), format!("{school}.")), |row| {
            row.get(0)
        })?
        .collect::<Result<_, _>>()?;
    let name = next_name(school, names.iter().map(String::as_str))?;
    let placement = Placement {
        school: school.clone(),
        room: enrolment.room.clone(),
        from: enrolment.today,
        to: None,
    };
    let change = RegistryChange {
        placements: vec![(name.clone(), vec![placement])],
        ..RegistryChange::default()
    };
    registry::change(connection, &change)?;
    connection.execute("UPDATE code SET used = used + 1 WHERE id = ?1", [code.key])?;
    Ok(name)
}

/// A machine with an identity: its key, its name, whether it was revoked.
type Known = (i64, TerminalId, bool);

/// Machines that share a mark with this one; the one that enrolled last comes first.
fn alike(connection: &Connection, hardware: &Hardware) -> Result<Vec<(Known, Hardware)>, Failure> {
    let mut find =
        connection.prepare("SELECT terminal FROM hardware_mark WHERE mark = ?1 LIMIT 1000")?;
    let mut terminals = BTreeSet::new();
    for (_, mark) in hardware.marks() {
        for terminal in find.query_map([&mark[..]], |row| row.get::<_, i64>(0))? {
            terminals.insert(terminal?);
        }
    }
    let mut identity = connection.prepare(
        "SELECT t.name, i.revoked, i.enrolled_at FROM identity i JOIN terminal t ON t.id = i.terminal WHERE i.terminal = ?1",
    )?;
    let mut found = Vec::with_capacity(terminals.len());
    for terminal in terminals {
        let (name, revoked, at): (Text<TerminalId>, bool, i64) = identity
            .query_row([terminal], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
        let known = (terminal, name.0, revoked);
        found.push((at, known, self::hardware(connection, terminal)?));
    }
    found.sort_by(|(a, x, _), (b, y, _)| b.cmp(a).then_with(|| x.1.cmp(&y.1)));
    Ok(found
        .into_iter()
        .map(|(_, known, hardware)| (known, hardware))
        .collect())
}

/// A terminal's hardware.
pub(super) fn hardware(connection: &Connection, terminal: i64) -> Result<Hardware, Failure> {
    let mut select =
        connection.prepare("SELECT kind, mark FROM hardware_mark WHERE terminal = ?1")?;
    let mut rows = select.query([terminal])?;
    let mut marks = Vec::new();
    while let Some(row) = rows.next()? {
        let kind: i16 = row.get(0)?;
        let kind = MarkKind::of(kind)
            .ok_or_else(|| StoreError::Damaged(format!("a hardware mark of kind {kind}")))?;
        marks.push((kind, fixed(row, 1)?));
    }
    Ok(Hardware::of_marks(marks))
}

/// Replaces what is known of a terminal's hardware.
pub(super) fn mark(
    connection: &Connection,
    terminal: i64,
    hardware: &Hardware,
) -> Result<(), Failure> {
    connection.execute("DELETE FROM hardware_mark WHERE terminal = ?1", [terminal])?;
    let mut add = connection.prepare(
        "INSERT INTO hardware_mark (mark, kind, terminal) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
    )?;
    for (kind, mark) in hardware.marks() {
        add.execute((&mark[..], kind.number(), terminal))?;
    }
    Ok(())
}
