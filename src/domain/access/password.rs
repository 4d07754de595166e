//! Which passwords are good enough, and how long failed logins lock an account. Not responsible for hashing (`access`).

/// Fewest characters of a password.
pub const MIN_PASSWORD: usize = 10;

/// Most characters of a password: hashing takes time for each.
pub const MAX_PASSWORD: usize = 128;

/// Failed logins in a row that lock an account for a while.
pub const MAX_FAILURES: u32 = 5;

/// How long they lock it, seconds.
pub const LOCKED_FOR: i64 = 15 * 60;

/// Parts of passwords that are tried first, in lower case: a password is refused where little else is left of it.
const COMMON: [&str; 20] = [
    "password",
    "passw0rd",
    "p@ssw0rd",
    "admin",
    "root",
    "qwerty",
    "asdfgh",
    "zxcvbn",
    "qazwsx",
    "1q2w3e",
    "123456",
    "654321",
    "111111",
    "000000",
    "888888",
    "666666",
    "abc123",
    "iloveyou",
    "woaini",
    "classpulse",
];

/// Characters that must be left where a common part or the login name is taken away.
const REST: usize = 6;

/// What is wrong with a password for an account, in Chinese with the mend; `None` for a good one.
///
/// At least ten characters of at least three kinds (upper case, lower case, digits, others), as reviews under
/// GB/T 22239 (等保) ask for, and not the login name or a well-known password with a little added.
#[must_use]
pub fn password_fault(password: &str, login: &str) -> Option<String> {
    let length = password.chars().count();
    if length < MIN_PASSWORD {
        return Some(format!("密码至少 {MIN_PASSWORD} 个字符"));
    }
    if length > MAX_PASSWORD {
        return Some(format!("密码最多 {MAX_PASSWORD} 个字符"));
    }
    if password.chars().any(char::is_control) {
        return Some("密码中不能有控制字符".to_owned());
    }
    let kinds = [
        password.chars().any(|c| c.is_ascii_uppercase()),
        password.chars().any(|c| c.is_ascii_lowercase()),
        password.chars().any(|c| c.is_ascii_digit()),
        password.chars().any(|c| !c.is_ascii_alphanumeric()),
    ];
    if kinds.iter().filter(|kind| **kind).count() < 3 {
        return Some("密码要包含大写字母、小写字母、数字、其他字符中的至少三类".to_owned());
    }
    let lower = password.to_lowercase();
    let login = login.to_lowercase();
    let known = COMMON.into_iter().chain([login.as_str()]);
    for part in known.filter(|part| part.len() >= 3) {
        if lower.contains(part) && lower.replace(part, "").chars().count() < REST {
            return Some("密码太常见或与登录名太相近,请换一个".to_owned());
        }
    }
    let mut different: Vec<char> = lower.chars().collect();
    different.sort_unstable();
    different.dedup();
    (different.len() < 5).then(|| "密码中重复的字符太多,请换一个".to_owned())
}

/// Failed logins in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lockout {
    /// How many.
    pub failures: u32,
    /// When the last of them was, Unix seconds.
    pub failed_at: i64,
}

impl Lockout {
    /// Until when nobody may log in, Unix seconds; `None` where now somebody may.
    #[must_use]
    pub const fn locked_until(self, now: i64) -> Option<i64> {
        let until = self.failed_at.saturating_add(LOCKED_FOR);
        // A clock that was set back must not lock for longer than it says.
        let begun = self.failed_at <= now.saturating_add(LOCKED_FOR);
        if self.failures >= MAX_FAILURES && now < until && begun {
            Some(until)
        } else {
            None
        }
    }

    /// After one more failure. What a lock has answered for is forgotten when it is over.
    #[must_use]
    pub const fn failed(self, now: i64) -> Self {
        let over = now >= self.failed_at.saturating_add(LOCKED_FOR);
        let before = if over { 0 } else { self.failures };
        Self {
            failures: before.saturating_add(1),
            failed_at: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_judged_with_the_mend() {
        for (password, good) in [
            ("Xunke-2026-yes", true),
            ("校园里的Bb1长密码啊", true),
            ("Ab1-5678", false),
            ("abcdefghijkl", false),
            ("Password123!", false),
            ("Wangke1234", false),
            ("Wangke-has-7-cats", true),
            ("Aa1!Aa1!Aa1!", false),
            ("tab\tTab1234567", false),
        ] {
            let fault = password_fault(password, "wangke");
            assert_eq!(fault.is_none(), good, "{password}: {fault:?}");
        }
        assert!(password_fault(&"Ab1-".repeat(40), "x").is_some());
    }

    #[test]
    fn five_failures_lock_for_a_quarter_of_an_hour() {
        let mut lockout = Lockout::default();
        for number in 1..MAX_FAILURES {
            lockout = lockout.failed(1_000);
            assert_eq!(
                (lockout.failures, lockout.locked_until(1_000)),
                (number, None)
            );
        }
        lockout = lockout.failed(1_010);
        assert_eq!(lockout.locked_until(1_010), Some(1_010 + LOCKED_FOR));
        assert_eq!(
            lockout.locked_until(1_009 + LOCKED_FOR),
            Some(1_010 + LOCKED_FOR)
        );
        assert_eq!(lockout.locked_until(1_010 + LOCKED_FOR), None);
        assert_eq!(lockout.failed(1_010 + LOCKED_FOR).failures, 1);
        // Old failures are forgotten, and a clock that is set back does not lock for ever.
        assert_eq!(Lockout::default().failed(0).failed(9_000).failures, 1);
        assert_eq!(lockout.locked_until(-100_000), None);
    }
}
