//! Moments as texts, and the civil day of a classroom.

/// China has one time zone and no summer time: a civil day begins at midnight, UTC+8.
const ZONE_SECONDS: i64 = 8 * 3_600;
/// Its name for people.
pub(super) const ZONE: &str = "UTC+8";
const DAY: i64 = 86_400;

/// The civil day that a moment lies in: its name, and its first and last second's end in Unix seconds.
pub(super) fn day(unix: i64) -> (String, std::ops::Range<i64>) {
    let local = unix.saturating_add(ZONE_SECONDS);
    let midnight = local.div_euclid(DAY).saturating_mul(DAY);
    let start = midnight.saturating_sub(ZONE_SECONDS);
    let name = utc(midnight).chars().take(10).collect();
    (name, start..start.saturating_add(DAY))
}

/// A moment as a classroom's clock shows it, such as "2026-09-01 08:00:00".
pub(super) fn local(unix: i64) -> String {
    utc(unix.saturating_add(ZONE_SECONDS))
        .replace('T', " ")
        .trim_end_matches('Z')
        .to_owned()
}

/// RFC 3339 in UTC, by the civil calendar's rule of 146,097 days in 400 years (years counted from March).
pub(super) fn utc(unix: i64) -> String {
    let (days, second) = (unix.div_euclid(86_400), unix.rem_euclid(86_400));
    // From 0000-03-01.
    let days = days.saturating_add(719_468);
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = era.saturating_mul(400).saturating_add(year + later);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_as_the_calendar_says() {
        for (unix, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (946_684_799, "1999-12-31T23:59:59Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_788_220_800, "2026-09-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(unix), text);
        }
        // Nonsense is shown, not fallen over.
        assert!(utc(i64::MAX).ends_with('Z') && utc(i64::MIN).ends_with('Z'));
    }

    #[test]
    fn a_civil_day_begins_at_a_classrooms_midnight() {
        // 2026-08-31T16:00:00Z is midnight in China.
        let midnight = 1_788_220_800 - 8 * 3_600;
        assert_eq!(
            day(midnight),
            ("2026-09-01".to_owned(), midnight..midnight + DAY)
        );
        assert_eq!(day(midnight + DAY - 1).0, "2026-09-01");
        assert_eq!(day(midnight - 1).0, "2026-08-31");
        assert_eq!(local(midnight + 61), "2026-09-01 00:01:01");
    }
}
