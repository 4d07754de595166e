//! A UTC date and time of day as Unix seconds.

/// `date` as year (1970 to 9999), month, day; `time` as hour, minute, second. `None` where there is no such month or day.
pub(super) fn unix_seconds(
    [year, month, day]: [i64; 3],
    [hour, minute, second]: [i64; 3],
) -> Option<i64> {
    if !(1970..=9_999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years counted from March, so that a leap day is a year's last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leaps = year / 4 - year / 100 + year / 400;
    let days = 365 * year + leaps + (153 * month + 2) / 5 + day - 1 - 719_468;
    let seconds = hour
        .checked_mul(3_600)?
        .checked_add(minute.checked_mul(60)?)?;
    (days * 86_400).checked_add(seconds)?.checked_add(second)
}

/// `2026-09-01` with `-`, `07:58:11` with `:`.
pub(super) fn three(text: &str, mark: char) -> Option<[i64; 3]> {
    let all: Option<Vec<i64>> = text.split(mark).map(|part| part.parse().ok()).collect();
    all?.try_into().ok()
}
