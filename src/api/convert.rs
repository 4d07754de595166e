//! Between the contract's messages and the domain's types. Every number is checked, none is cut.
//!
//! Not responsible for whether a county, school or terminal exists.

use std::str::FromStr;

use classpulse_proto::v1;
use jiff::{civil::Date, tz::TimeZone};
use tonic::Status;

use super::error::{field, out_of_range};
use crate::{
    domain::{
        ids::{CountyCode, InvalidId},
        incident::Incident,
        minutes::MinuteSet,
        monitoring,
        usage::{self, Fraction, Period},
    },
    enrolment::{self, Terms},
    query::{self, Asked, SchoolPoints},
    registry,
    store::{EnrolmentCode, IncidentFilter, Key, KeyChange, School, SchoolDay, Terminal},
};

/// An id or stage that must be given.
pub(super) fn required<T: FromStr<Err = InvalidId>>(name: &str, text: &str) -> Result<T, Status> {
    text.parse()
        .map_err(|error: InvalidId| field(name, error.to_string()))
}

/// An id or stage that may stay empty.
pub(super) fn optional<T: FromStr<Err = InvalidId>>(
    name: &str,
    text: &str,
) -> Result<Option<T>, Status> {
    if text.is_empty() {
        Ok(None)
    } else {
        required(name, text).map(Some)
    }
}

/// A civil date, strictly `YYYY-MM-DD`.
pub(super) fn date(name: &str, text: &str) -> Result<Date, Status> {
    let found = text
        .parse()
        .ok()
        .filter(|date: &Date| date.to_string() == text);
    found.ok_or_else(|| {
        let start: String = text.chars().take(40).collect();
        field(name, format!("{start:?} is no date such as \"2026-09-01\""))
    })
}

pub(super) fn period(given: Option<v1::Period>) -> Result<Option<Period>, Status> {
    let read = |given: v1::Period| {
        Ok(Period {
            first: date("period.from", &given.from)?,
            last: date("period.to", &given.to)?,
        })
    };
    given.map(read).transpose()
}

pub(super) fn asked(county: &str, given: Option<v1::Period>) -> Result<Asked, Status> {
    Ok(Asked {
        county: optional::<CountyCode>("county", county)?,
        period: period(given)?,
    })
}

pub(super) fn to_period(period: Period) -> v1::Period {
    v1::Period {
        from: period.first.to_string(),
        to: period.last.to_string(),
    }
}

pub(super) fn fraction(value: Fraction) -> Result<v1::Fraction, Status> {
    let value = value.reduced();
    let part = |part: &u128| u64::try_from(*part).map_err(|_too_large| out_of_range("a fraction"));
    Ok(v1::Fraction {
        numerator: part(value.numer())?,
        denominator: part(value.denom())?,
    })
}

/// A count in the contract's 32 bits.
pub(super) fn narrow<N: TryInto<u32>>(what: &'static str, value: N) -> Result<u32, Status> {
    value.try_into().map_err(|_too_large| out_of_range(what))
}

pub(super) fn school_usage(from: &query::SchoolUsage) -> Result<v1::SchoolUsage, Status> {
    Ok(v1::SchoolUsage {
        school_code: from.school.code.to_string(),
        name: from.school.name.clone(),
        stage: from.school.stage.to_string(),
        township: from.school.township.clone(),
        counted_minutes: from.minutes.counted,
        service_days: from.due.service_days,
        average: Some(fraction(from.average)?),
        average_display: usage::display(from.average),
        powered_minutes: from.minutes.powered,
        used_minutes: from.minutes.used,
        terminals: narrow("terminals", from.terminals)?,
        reporting_terminals: from.reporting_terminals,
        lessons_taught: from.minutes.lessons_taught,
        lessons_due: from.due.lessons,
    })
}

pub(super) fn terminal_usage(from: &query::TerminalUsage) -> Result<v1::TerminalUsage, Status> {
    Ok(v1::TerminalUsage {
        terminal: from.terminal.to_string(),
        room: from.room.clone(),
        counted_minutes: from.minutes.counted,
        service_days: from.due.service_days,
        powered_minutes: from.minutes.powered,
        used_minutes: from.minutes.used,
        days_reported: narrow("days_reported", from.minutes.reporting)?,
        last_seen: from.last_seen,
    })
}

pub(super) fn terminal_day(from: query::TerminalDay) -> Result<v1::TerminalDay, Status> {
    Ok(v1::TerminalDay {
        terminal: from.terminal.to_string(),
        date: from.day.to_string(),
        powered: runs(&from.minutes.powered),
        used: runs(&from.minutes.used),
        teaching: runs(&from.teaching),
        counted_minutes: narrow("counted_minutes", from.counted)?,
        last_seen: from.minutes.last_seen,
        school_code: from
            .placement
            .map(|placement| placement.school.to_string())
            .unwrap_or_default(),
    })
}

fn runs(set: &MinuteSet) -> Vec<v1::MinuteRun> {
    let run = |run: &crate::domain::minutes::Run| v1::MinuteRun {
        start: run.start.into(),
        end: run.end.into(),
    };
    set.runs().iter().map(run).collect()
}

pub(super) fn school_day(from: &SchoolDay) -> Result<v1::SchoolDayChange, Status> {
    Ok(v1::SchoolDayChange {
        school_code: from.school.to_string(),
        date: from.day.to_string(),
        counted_minutes: from.minutes.counted,
        powered_minutes: from.minutes.powered,
        used_minutes: from.minutes.used,
        reporting_terminals: narrow("reporting_terminals", from.minutes.reporting)?,
        resync: false,
    })
}

pub(super) fn school_score(from: SchoolPoints) -> Result<v1::SchoolScore, Status> {
    let SchoolPoints { school, score } = from;
    Ok(v1::SchoolScore {
        school_code: school.code.to_string(),
        name: school.name,
        stage: school.stage.to_string(),
        average: Some(fraction(score.average)?),
        points: Some(fraction(score.points)?),
        points_hundredths: monitoring::points_hundredths(score.points),
        points_display: usage::display(score.points),
        stage_points_hundredths: monitoring::points_hundredths(score.stage_points),
        reason: score.reason,
    })
}

pub(super) fn school(from: School) -> v1::School {
    v1::School {
        code: from.code.to_string(),
        name: from.name,
        stage: from.stage.to_string(),
        township: from.township,
        county: from.county.to_string(),
    }
}

/// A terminal where it stands today, or stood last; where it has yet to begin, its first place.
pub(super) fn terminal(from: &Terminal, today: Date) -> v1::Terminal {
    let begun = from
        .placements
        .iter()
        .rev()
        .find(|placement| placement.from <= today);
    let place = begun.or(from.placements.first());
    v1::Terminal {
        id: from.id.to_string(),
        pending: from.placements.is_empty(),
        school_code: place
            .map(|place| place.school.to_string())
            .unwrap_or_default(),
        room: place.map(|place| place.room.clone()).unwrap_or_default(),
        in_service_from: place
            .map(|place| place.from.to_string())
            .unwrap_or_default(),
        in_service_to: place
            .and_then(|place| place.to)
            .map(|to| to.to_string())
            .unwrap_or_default(),
        first_seen: from.first_heard.unwrap_or_default(),
        last_seen: from.last_heard.unwrap_or_default(),
    }
}

pub(super) fn approval(index: usize, from: v1::Approval) -> Result<registry::Approval, Status> {
    let name = |name: &str| format!("approvals[{index}].{name}");
    let first = from.in_service_from;
    Ok(registry::Approval {
        terminal: required(&name("terminal"), &from.terminal)?,
        school: required(&name("school_code"), &from.school_code)?,
        room: from.room,
        from: if first.is_empty() {
            None
        } else {
            Some(date(&name("in_service_from"), &first)?)
        },
    })
}

/// For which school, how often, how long a code is made.
pub(super) fn terms(from: &v1::CreateEnrolmentCodeRequest) -> Result<Terms, Status> {
    Ok(Terms {
        school: required("school_code", &from.school_code)?,
        uses: or_default("uses", from.uses, 50, enrolment::MAX_USES)?,
        days: or_default("days", from.days, 30, enrolment::MAX_DAYS)?,
    })
}

/// A number from 1 to `most`, or a default for 0.
fn or_default(name: &str, given: u32, default: u32, most: u32) -> Result<u32, Status> {
    match given {
        0 => Ok(default),
        _ if given <= most => Ok(given),
        _ => Err(field(name, format!("{given}, but 1 to {most} are allowed"))),
    }
}

pub(super) fn enrolment_code(from: &EnrolmentCode) -> v1::EnrolmentCode {
    v1::EnrolmentCode {
        id: from.id,
        school_code: from.school.to_string(),
        uses: from.uses,
        used: from.used,
        created_at: from.created_at,
        expires_at: from.expires_at,
        revoked: from.revoked,
    }
}

pub(super) fn terminal_key(from: &Key) -> v1::TerminalKey {
    v1::TerminalKey {
        terminal: from.terminal.to_string(),
        enrolled_at: from.enrolled_at,
        changed_at: from.changed_at,
        revoked: from.revoked,
        renewing: from.renew,
    }
}

pub(super) fn key_change(from: i32) -> Result<KeyChange, Status> {
    match v1::KeyChange::try_from(from) {
        Ok(v1::KeyChange::Revoke) => Ok(KeyChange::Revoke),
        Ok(v1::KeyChange::Restore) => Ok(KeyChange::Restore),
        Ok(v1::KeyChange::Renew) => Ok(KeyChange::Renew),
        _ => Err(field(
            "change",
            "1 revokes, 2 restores, 3 renews".to_owned(),
        )),
    }
}

pub(super) fn incident_filter(from: &v1::ListIncidentsRequest) -> Result<IncidentFilter, Status> {
    Ok(IncidentFilter {
        terminal: optional("terminal", &from.terminal)?,
        since: from.since,
        limit: or_default("limit", from.limit, 100, 1_000)?,
        ..IncidentFilter::default()
    })
}

pub(super) fn incident(from: &Incident, zone: &TimeZone) -> v1::Incident {
    v1::Incident {
        terminal: from.terminal.to_string(),
        kind: from.kind.to_string(),
        at: from.at,
        seconds: from.seconds,
        received_at: from.received_at,
        sentence: from.sentence(zone),
    }
}

pub(super) fn format(given: i32) -> Result<Option<registry::Format>, Status> {
    match v1::import_request::Format::try_from(given) {
        Ok(v1::import_request::Format::Unspecified) => Ok(None),
        Ok(v1::import_request::Format::Csv) => Ok(Some(registry::Format::Csv)),
        Ok(v1::import_request::Format::Xlsx) => Ok(Some(registry::Format::Xlsx)),
        Err(_unknown) => Err(field("format", format!("{given} is no known kind of file"))),
    }
}

pub(super) fn import(from: registry::ImportReport) -> v1::ImportResponse {
    let error = |error: registry::RowError| v1::RowError {
        sheet: error.sheet,
        row: error.row,
        column: error.column,
        message: error.message,
    };
    v1::ImportResponse {
        errors: from.errors.into_iter().map(error).collect(),
        added: from.added,
        changed: from.changed,
        unchanged: from.unchanged,
        applied: from.applied,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_strict() {
        for (text, good) in [
            ("2026-09-01", true),
            ("2026-9-1", false),
            ("20260901", false),
            ("2026-09-01T08:00", false),
            ("2026-02-30", false),
            (" 2026-09-01", false),
            ("", false),
        ] {
            assert_eq!(date("date", text).is_ok(), good, "{text:?}");
        }
    }

    #[test]
    fn fractions_are_reduced_and_checked() {
        let shown = fraction(Fraction::new(20, 8)).unwrap();
        assert_eq!((shown.numerator, shown.denominator), (5, 2));
        let none = fraction(Fraction::from_integer(0)).unwrap();
        assert_eq!((none.numerator, none.denominator), (0, 1));
        let error = fraction(Fraction::from_integer(u128::from(u64::MAX) + 1)).unwrap_err();
        assert_eq!(error.code(), tonic::Code::Internal);
        assert!(narrow("terminals", u64::from(u32::MAX) + 1).is_err());
    }
}
