//! Moments as texts, in UTC and as a classroom's clock shows them.

/// A county's civil time: a fixed distance from UTC, since China has one zone and no summer time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Zone {
    /// Seconds.
    pub(super) utc_offset: i64,
}

impl Zone {
    /// Its name for people, such as "UTC+8" or "UTC-3:30".
    pub(super) fn name(self) -> String {
        let minutes = self.utc_offset.unsigned_abs() / 60;
        let sign = if self.utc_offset < 0 { '-' } else { '+' };
        match (minutes / 60, minutes % 60) {
            (hours, 0) => format!("UTC{sign}{hours}"),
            (hours, minutes) => format!("UTC{sign}{hours}:{minutes:02}"),
        }
    }

    /// A moment as a classroom's clock shows it, such as "2026-09-01 08:00:00".
    pub(super) fn local(self, unix: i64) -> String {
        utc(unix.saturating_add(self.utc_offset))
            .replace('T', " ")
            .trim_end_matches('Z')
            .to_owned()
    }

    /// The civil day that a moment lies in.
    pub(super) fn day(self, unix: i64) -> String {
        self.local(unix).chars().take(10).collect()
    }
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
        let zone = |minutes: i64| Zone {
            utc_offset: minutes * 60,
        };
        assert_eq!(zone(480).day(midnight), "2026-09-01");
        assert_eq!(zone(480).day(midnight - 1), "2026-08-31");
        assert_eq!(zone(480).local(midnight + 61), "2026-09-01 00:01:01");
        let names = [480, 0, 330, -210].map(|minutes| zone(minutes).name());
        assert_eq!(names, ["UTC+8", "UTC+0", "UTC+5:30", "UTC-3:30"]);
    }
}
