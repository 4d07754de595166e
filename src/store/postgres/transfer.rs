//! Everything out, page by page, and pages of another store in: how a county moves (see [`Record`]).

mod evaluation;

use std::collections::{BTreeMap, HashMap};

use jiff::civil::Date;
use tokio::sync::mpsc;
use tokio_postgres::Row;

use super::{
    access,
    commit::{self, Added, Keys, keys},
    connection::On,
    dirty,
    failure::Failure,
    identity, incidents, registry, retention,
    values::{Day, day_minutes, signed, storable, text, unsigned, unsigned32},
};
use crate::{
    domain::{ids::TerminalId, usage::Period},
    store::{
        Batch, CalendarVersion, County, Evaluated, Heard, KeptBoots, KeptCode, KeptDay,
        KeptIdentity, KeptIncident, KeptRefusal, KeptSum, KeptTerminal, MAX_ENTRIES, Placement,
        Record, School,
        access::moves_in,
        record::{PAGE, Parts},
    },
};

/// Terminals whose days are read at once: a year of them is some 30,000 rows.
const TERMINALS: i64 = 100;

/// Sends everything; waits where pages are not taken. Ends early when nobody takes them.
pub(super) async fn export(on: &On<'_>, to: &mpsc::Sender<Vec<Record>>) -> Result<(), Failure> {
    let mut records: Vec<Record> = counties(on)
        .await?
        .into_iter()
        .map(Record::County)
        .collect();
    records.extend(schools(on).await?.into_iter().map(Record::School));
    records.extend(calendars(on).await?.into_iter().map(Record::Calendar));
    records.extend(evaluated(on).await?.into_iter().map(Record::Evaluated));
    records.extend(codes(on).await?.into_iter().map(Record::Code));
    if send(to, records).await.is_err() {
        return Ok(());
    }
    let mut after = String::new();
    while let Some((last, page)) = terminals(on, &after).await? {
        after = last;
        if send(to, page).await.is_err() {
            return Ok(());
        }
    }
    after.clear();
    while let Some((last, page)) = identities(on, &after).await? {
        after = last;
        if send(to, page).await.is_err() {
            return Ok(());
        }
    }
    let mut told = incidents::After::default();
    while let Some((last, page)) = incidents_after(on, &told).await? {
        told = last;
        if send(to, page).await.is_err() {
            return Ok(());
        }
    }
    if let Some(kept) = retention::kept_from(on).await? {
        let mut records = vec![Record::KeptFrom(kept)];
        records.extend(sums(on, kept).await?.into_iter().map(Record::Sum));
        if send(to, records).await.is_err() {
            return Ok(());
        }
    }
    after.clear();
    while let Some((last, page)) = days(on, &after).await? {
        after = last;
        if send(to, page).await.is_err() {
            return Ok(());
        }
    }
    let mut after = (String::new(), Vec::new());
    while let Some((last, page)) = refusals(on, &after).await? {
        after = last;
        if send(to, page).await.is_err() {
            return Ok(());
        }
    }
    evaluation::send(on, to).await?;
    send_people(on, to).await
}

async fn send(
    to: &mpsc::Sender<Vec<Record>>,
    mut records: Vec<Record>,
) -> Result<(), mpsc::error::SendError<Vec<Record>>> {
    while records.len() > PAGE {
        let rest = records.split_off(PAGE);
        to.send(std::mem::replace(&mut records, rest)).await?;
    }
    if records.is_empty() {
        return Ok(());
    }
    to.send(records).await
}

async fn counties(on: &On<'_>) -> Result<Vec<County>, Failure> {
    registry::counties(on).await
}

async fn schools(on: &On<'_>) -> Result<Vec<School>, Failure> {
    let mut schools = Vec::new();
    for county in registry::counties(on).await? {
        schools.extend(registry::schools(on, &county.code).await?);
    }
    schools.sort_unstable_by(|a, b| a.code.cmp(&b.code));
    Ok(schools)
}

async fn calendars(on: &On<'_>) -> Result<Vec<CalendarVersion>, Failure> {
    let rows = on
        .rows(
            "SELECT c.code, k.version, k.text, k.stored_at FROM calendar k JOIN county c ON c.id = k.county
             ORDER BY c.code, k.version",
            &[],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(CalendarVersion {
                county: text(row, 0)?,
                version: row.try_get(1)?,
                text: row.try_get(2)?,
                stored_at: row.try_get(3)?,
            })
        })
        .collect()
}

async fn evaluated(on: &On<'_>) -> Result<Vec<Evaluated>, Failure> {
    let mut found = Vec::new();
    for county in registry::counties(on).await? {
        for period in retention::evaluated(on, &county.code).await? {
            found.push(Evaluated {
                county: county.code.clone(),
                first: period.first,
                last: period.last,
            });
        }
    }
    Ok(found)
}

/// Sums that no longer follow from minutes.
async fn sums(on: &On<'_>, before: Date) -> Result<Vec<KeptSum>, Failure> {
    let rows = on
        .rows(
            "SELECT s.code, d.day, d.counted, d.powered, d.used, d.lessons_taught, d.reporting
             FROM school_day d JOIN school s ON s.id = d.school WHERE d.day < $1 ORDER BY s.code, d.day",
            &[&Day(before)],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(KeptSum {
                school: text(row, 0)?,
                day: row.try_get::<_, Day>(1)?.0,
                counted: unsigned(row, 2)?,
                powered: unsigned(row, 3)?,
                used: unsigned(row, 4)?,
                lessons_taught: unsigned(row, 5)?,
                reporting: unsigned(row, 6)?,
            })
        })
        .collect()
}

/// Terminals after a name, and the last one's name.
async fn terminals(on: &On<'_>, after: &str) -> Result<Option<(String, Vec<Record>)>, Failure> {
    let rows = on
        .rows(
            "SELECT t.id, t.name, h.first_heard, h.last_heard, h.clock_offset, h.boot_id,
                coalesce(h.version, ''), coalesce(h.os, ''),
                h.sequence, h.before_id, h.before_sequence, h.turns_since, h.turns
             FROM terminal t LEFT JOIN heard h ON h.terminal = t.id WHERE t.name > $1 ORDER BY t.name LIMIT 1000",
            &[&after],
        )
        .await?;
    let Some(last) = rows.last() else {
        return Ok(None);
    };
    let keys: Vec<i32> = rows
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<_, _>>()?;
    let mut placements = placements(on, &keys).await?;
    let page = rows.iter().zip(keys).map(|(row, key)| {
        let heard = match row.try_get(2)? {
            None => None,
            Some(first) => Some(Heard {
                first,
                last: row.try_get(3)?,
                clock_offset: row.try_get(4)?,
                boot_id: row.try_get(5)?,
                version: row.try_get(6)?,
                os: row.try_get(7)?,
                boots: boots(row)?,
            }),
        };
        Ok(Record::Terminal(KeptTerminal {
            id: text(row, 1)?,
            placements: placements.remove(&key).unwrap_or_default(),
            heard,
        }))
    });
    let page = page.collect::<Result<_, Failure>>()?;
    Ok(Some((last.try_get(1)?, page)))
}

/// What tells two machines.
fn boots(row: &Row) -> Result<Option<KeptBoots>, Failure> {
    let sequence: Option<i64> = row.try_get(8)?;
    let Some(sequence) = sequence else {
        return Ok(None);
    };
    Ok(Some(KeptBoots {
        sequence,
        before_id: row.try_get::<_, Option<_>>(9)?.unwrap_or_default(),
        before_sequence: row.try_get::<_, Option<_>>(10)?.unwrap_or_default(),
        since: row.try_get::<_, Option<_>>(11)?.unwrap_or_default(),
        turns: row.try_get(12)?,
    }))
}

async fn codes(on: &On<'_>) -> Result<Vec<KeptCode>, Failure> {
    let rows = on
        .rows(
            "SELECT c.hash, s.code, c.uses, c.used, c.created_at, c.expires_at, c.revoked
             FROM code c JOIN school s ON s.id = c.school ORDER BY c.created_at, c.hash",
            &[],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(KeptCode {
                hash: row.try_get(0)?,
                school: text(row, 1)?,
                uses: unsigned32(row, 2)?,
                used: unsigned32(row, 3)?,
                created_at: row.try_get(4)?,
                expires_at: row.try_get(5)?,
                revoked: row.try_get(6)?,
            })
        })
        .collect()
}

/// Identities of terminals after a name, and the last one's name.
async fn identities(on: &On<'_>, after: &str) -> Result<Option<(String, Vec<Record>)>, Failure> {
    let rows = on
        .rows(
            "SELECT i.terminal, t.name, i.key, i.enrolled_at, coalesce(c.hash, ''), i.revoked,
            i.changed_at, i.salted, i.renew, i.next_key, i.next_salted
             FROM identity i JOIN terminal t ON t.id = i.terminal LEFT JOIN code c ON c.id = i.code
             WHERE t.name > $1 ORDER BY t.name LIMIT 1000",
            &[&after],
        )
        .await?;
    let Some(last) = rows.last() else {
        return Ok(None);
    };
    let keys: Vec<i32> = rows
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<_, _>>()?;
    let mut hardware = identity::hardware(on, &keys).await?;
    let page = rows.iter().zip(keys).map(|(row, key)| {
        let hardware = hardware.remove(&key).unwrap_or_default();
        Ok(Record::Identity(KeptIdentity {
            key: row.try_get(2)?,
            enrolled_at: row.try_get(3)?,
            code: row.try_get(4)?,
            revoked: row.try_get(5)?,
            changed_at: row.try_get(6)?,
            salted: row.try_get::<_, Option<_>>(7)?.unwrap_or_default(),
            renew: row.try_get(8)?,
            next_key: row.try_get::<_, Option<_>>(9)?.unwrap_or_default(),
            next_salted: row.try_get::<_, Option<_>>(10)?.unwrap_or_default(),
            ..KeptIdentity::of_hardware(text(row, 1)?, &hardware)
        }))
    });
    let page = page.collect::<Result<_, Failure>>()?;
    Ok(Some((last.try_get(1)?, page)))
}

async fn incidents_after(
    on: &On<'_>,
    after: &incidents::After,
) -> Result<Option<(incidents::After, Vec<Record>)>, Failure> {
    let page = incidents::page(on, after).await?;
    let Some(last) = page.last() else {
        return Ok(None);
    };
    let last = (
        last.terminal.to_string(),
        last.boot_id.to_vec(),
        last.kind.key().to_owned(),
        i64::from(last.number),
    );
    let page = page.into_iter().map(KeptIncident::new);
    Ok(Some((last, page.map(Record::Incident).collect())))
}

/// Terminals' placements by key, in order of time.
pub(super) async fn placements(
    on: &On<'_>,
    terminals: &[i32],
) -> Result<HashMap<i32, Vec<Placement>>, Failure> {
    let rows = on
        .rows(
            "SELECT p.terminal, s.code, p.room, p.from_day, p.to_day
             FROM placement p JOIN school s ON s.id = p.school
             WHERE p.terminal = ANY ($1) ORDER BY p.terminal, p.from_day",
            &[&terminals],
        )
        .await?;
    let mut found: HashMap<i32, Vec<Placement>> = HashMap::new();
    for row in &rows {
        found.entry(row.try_get(0)?).or_default().push(Placement {
            school: text(row, 1)?,
            room: row.try_get(2)?,
            from: row.try_get::<_, Day>(3)?.0,
            to: row.try_get::<_, Day>(4)?.to(),
        });
    }
    Ok(found)
}

/// The days of some terminals after a name, and the last of these terminals' name.
async fn days(on: &On<'_>, after: &str) -> Result<Option<(String, Vec<Record>)>, Failure> {
    let rows = on
        .rows(
            "SELECT id, name FROM terminal WHERE name > $1 ORDER BY name LIMIT $2",
            &[&after, &TERMINALS],
        )
        .await?;
    let Some(last) = rows.last() else {
        return Ok(None);
    };
    let mut names: HashMap<i32, TerminalId> = HashMap::new();
    for row in &rows {
        names.insert(row.try_get(0)?, text(row, 1)?);
    }
    let keys: Vec<i32> = names.keys().copied().collect();
    let found = on
        .rows(
            "SELECT terminal, day, powered, used, last_seen FROM terminal_day
             WHERE terminal = ANY ($1) AND day >= coalesce((SELECT kept_from FROM meta), day)",
            &[&keys],
        )
        .await?;
    let mut sorted = BTreeMap::new();
    for row in &found {
        let (key, day): (i32, Day) = (row.try_get(0)?, row.try_get(1)?);
        if let Some(name) = names.get(&key) {
            sorted.insert((name, day), day_minutes(row, 2)?);
        }
    }
    let page = sorted.into_iter().map(|((name, day), minutes)| {
        Record::Day(Box::new(KeptDay {
            terminal: name.clone(),
            day: day.0,
            powered: minutes.powered,
            used: minutes.used,
            last_seen: minutes.last_seen,
        }))
    });
    Ok(Some((last.try_get(1)?, page.collect())))
}

/// A page of the quarantine, and the last entry's key.
async fn refusals(
    on: &On<'_>,
    after: &(String, Vec<u8>),
) -> Result<Option<((String, Vec<u8>), Vec<Record>)>, Failure> {
    let rows = on
        .rows(
            "SELECT terminal, fingerprint, reason, detail, payload, first_at, last_at, received_day, times, waiting
             FROM quarantine WHERE (terminal, fingerprint) > ($1, $2) ORDER BY terminal, fingerprint LIMIT 1000",
            &[&after.0, &after.1],
        )
        .await?;
    let Some(last) = rows.last() else {
        return Ok(None);
    };
    let page = rows.iter().map(|row| {
        Ok(Record::Refusal(KeptRefusal {
            terminal: row.try_get(0)?,
            fingerprint: row.try_get(1)?,
            reason: row.try_get(2)?,
            detail: row.try_get(3)?,
            payload: row.try_get(4)?,
            first_at: row.try_get(5)?,
            last_at: row.try_get(6)?,
            received_day: row.try_get::<_, Day>(7)?.0,
            times: row.try_get(8)?,
            waiting: row.try_get(9)?,
        }))
    });
    let page = page.collect::<Result<_, Failure>>()?;
    Ok(Some(((last.try_get(0)?, last.try_get(1)?), page)))
}

/// Takes in a page; the partitions that it needs are there. What is there stays or is merged.
pub(super) async fn take_in(on: &On<'_>, known: &Keys, parts: &Parts) -> Result<Added, Failure> {
    let mut added = registry::change(on, known, &parts.registry).await?;
    for one in &parts.calendars {
        let county = registry::county_key(on, &one.county)
            .await?
            .ok_or_else(|| Failure::not_found("county", &one.county))?;
        on.execute(
            "INSERT INTO calendar (county, version, text, stored_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (county, version) DO NOTHING",
            &[&county, &one.version, &one.text, &one.stored_at],
        )
        .await?;
        dirty::mark_county(on, county).await?;
    }
    for one in &parts.evaluated {
        let period = Period {
            first: one.first,
            last: one.last,
        };
        retention::note_evaluated(on, &one.county, period).await?;
    }
    take_sums(on, parts).await?;
    let heard = parts.heard.iter().map(|(name, _)| name);
    let identities = parts.identities.iter().map(|identity| &identity.terminal);
    let told = parts.incidents.iter().map(|incident| &incident.terminal);
    let mut names: Vec<&TerminalId> = heard.chain(identities).chain(told).collect();
    names.sort_unstable();
    names.dedup();
    let (found, more) = keys(on, known, &names).await?;
    added.extend(more);
    let key = |name: &TerminalId| names.binary_search(&name).map_or(0, |at| found[at]);
    for (name, heard) in &parts.heard {
        hear(on, key(name), heard).await?;
    }
    take_identities(on, parts, key).await?;
    let batch = Batch {
        days: parts.days.clone(),
        ..Batch::default()
    };
    let (_, more) = commit::commit(on, known, &batch).await?;
    added.extend(more);
    for refusal in &parts.refusals {
        keep(on, refusal).await?;
    }
    evaluation::take(on, parts).await?;
    take_people(on, parts).await?;
    Ok(added)
}

/// Accounts by name, then the audit log.
async fn send_people(on: &On<'_>, to: &mpsc::Sender<Vec<Record>>) -> Result<(), Failure> {
    let accounts = access::accounts(on).await?.into_iter();
    let mut records: Vec<_> = accounts
        .map(|account| Record::Account(Box::new(account)))
        .collect();
    let mut last = 0;
    loop {
        let entries = access::after(on, last, MAX_ENTRIES).await?;
        let end = entries.last().map(|end| end.number);
        records.extend(
            entries
                .into_iter()
                .map(|one| Record::Recorded(Box::new(one))),
        );
        // Nobody takes pages any more, or there are none.
        if send(to, std::mem::take(&mut records)).await.is_err() {
            return Ok(());
        }
        match end {
            Some(number) => last = number,
            None => return Ok(()),
        }
    }
}

async fn take_people(on: &On<'_>, parts: &Parts) -> Result<(), Failure> {
    for account in &parts.accounts {
        access::insert_account(on, account).await?;
    }
    if parts.recorded.is_empty() {
        return Ok(());
    }
    for one in &parts.recorded {
        let head = access::last(on).await?;
        let kept = if one.number <= head.number {
            access::after(on, one.number - 1, 1).await?
        } else {
            Vec::new()
        };
        if moves_in(head, kept.first(), one)? {
            access::insert_recorded(on, one).await?;
        }
    }
    Ok(())
}

/// Codes, keys and incidents. Of two keys of a terminal the later one holds.
async fn take_identities(
    on: &On<'_>,
    parts: &Parts,
    key: impl Fn(&TerminalId) -> i32,
) -> Result<(), Failure> {
    for one in &parts.codes {
        let added = on
            .execute(
                "INSERT INTO code (hash, school, uses, used, created_at, expires_at, revoked)
                 SELECT $1, id, $3, $4, $5, $6, $7 FROM school WHERE code = $2 ON CONFLICT (hash) DO NOTHING",
                &[
                    &one.hash,
                    &one.school.as_str(),
                    &i64::from(one.uses),
                    &i64::from(one.used),
                    &one.created_at,
                    &one.expires_at,
                    &one.revoked,
                ],
            )
            .await?;
        if added == 0 && registry::school(on, &one.school).await?.is_none() {
            return Err(Failure::not_found("school", &one.school));
        }
    }
    for one in &parts.identities {
        let terminal = key(&one.terminal);
        let added = on
            .execute(
                "INSERT INTO identity AS known
                    (terminal, key, enrolled_at, code, revoked, changed_at, salted, renew, next_key, next_salted)
                 VALUES ($1, $2, $3, (SELECT id FROM code WHERE hash = $4), $5, $6, $7, $8, $9, $10)
                 ON CONFLICT (terminal) DO UPDATE SET
                    key = excluded.key, enrolled_at = excluded.enrolled_at, code = excluded.code,
                    revoked = excluded.revoked, changed_at = excluded.changed_at, salted = excluded.salted,
                    renew = excluded.renew, next_key = excluded.next_key, next_salted = excluded.next_salted
                 WHERE known.changed_at < excluded.changed_at",
                &[
                    &terminal,
                    &one.key,
                    &one.enrolled_at,
                    &one.code,
                    &one.revoked,
                    &one.changed(),
                    &KeptIdentity::optional(&one.salted),
                    &one.renew,
                    &KeptIdentity::optional(&one.next_key),
                    &KeptIdentity::optional(&one.next_salted),
                ],
            )
            .await?;
        if added > 0 {
            identity::mark(on, terminal, &one.hardware()).await?;
        }
    }
    if !parts.identities.is_empty() {
        identity::raise_version(on).await?;
    }
    let told: Vec<_> = parts
        .incidents
        .iter()
        .map(|incident| (key(&incident.terminal), incident))
        .collect();
    incidents::add_all(on, &told).await
}

/// Sums come before the minutes that follow them.
async fn take_sums(on: &On<'_>, parts: &Parts) -> Result<(), Failure> {
    if let Some(kept) = parts.kept_from {
        retention::keep_from(on, kept).await?;
    }
    for sum in &parts.sums {
        on.execute(
            "INSERT INTO school_day (school, day, counted, powered, used, lessons_taught, reporting)
             SELECT id, $2, $3, $4, $5, $6, $7 FROM school WHERE code = $1
             ON CONFLICT (school, day) DO NOTHING",
            &[
                &sum.school.as_str(),
                &Day(sum.day),
                &signed(sum.counted)?,
                &signed(sum.powered)?,
                &signed(sum.used)?,
                &signed(sum.lessons_taught)?,
                &signed(sum.reporting)?,
            ],
        )
        .await?;
    }
    Ok(())
}

async fn hear(on: &On<'_>, terminal: i32, heard: &Heard) -> Result<(), Failure> {
    let said = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let boots = heard.boots.as_ref();
    let before = boots.filter(|boots| !boots.before_id.is_empty());
    on.execute(
        "INSERT INTO heard AS known (terminal, first_heard, last_heard, clock_offset, boot_id, version, os,
            sequence, before_id, before_sequence, turns_since, turns)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         ON CONFLICT (terminal) DO UPDATE SET
            first_heard = excluded.first_heard, last_heard = excluded.last_heard,
            clock_offset = excluded.clock_offset, boot_id = excluded.boot_id,
            version = excluded.version, os = excluded.os, sequence = excluded.sequence,
            before_id = excluded.before_id, before_sequence = excluded.before_sequence,
            turns_since = excluded.turns_since, turns = excluded.turns
         WHERE known.last_heard <= excluded.last_heard",
        &[
            &terminal,
            &heard.first,
            &heard.last,
            &heard.clock_offset,
            &heard.boot_id,
            &said(&heard.version),
            &said(&heard.os),
            &boots.map(|boots| boots.sequence),
            &before.map(|boots| &boots.before_id),
            &before.map(|boots| boots.before_sequence),
            &boots.map(|boots| boots.since),
            &boots.map_or(0, |boots| boots.turns),
        ],
    )
    .await?;
    Ok(())
}

async fn keep(on: &On<'_>, refusal: &KeptRefusal) -> Result<(), Failure> {
    on.execute(
        "INSERT INTO quarantine
            (terminal, fingerprint, reason, detail, payload, first_at, last_at, received_day, times, waiting)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (terminal, fingerprint) DO NOTHING",
        &[
            &storable(&refusal.terminal),
            &refusal.fingerprint,
            &storable(&refusal.reason),
            &storable(&refusal.detail),
            &refusal.payload,
            &refusal.first_at,
            &refusal.last_at,
            &Day(refusal.received_day),
            &refusal.times,
            &refusal.waiting,
        ],
    )
    .await?;
    Ok(())
}
