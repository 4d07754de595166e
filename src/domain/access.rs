//! Who may do what: roles, permissions, scopes; rules for passwords and for failed logins. Pure: time is an argument.
//!
//! Nothing here names a person: an account has a login name and a role. Not responsible for proving who somebody is
//! (`access`), nor for where a request comes from.

mod password;
mod scope;

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

pub use password::{LOCKED_FOR, Lockout, MAX_FAILURES, MAX_PASSWORD, MIN_PASSWORD, password_fault};
pub use scope::Scope;

use super::ids::{InvalidId, invalid};

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// Change one's own password, end one's own session.
    OwnAccount,
    /// See averages, rankings, schools and their terminals' days.
    ViewUsage,
    /// See what could not be believed, incidents, clocks.
    ViewQuality,
    /// See the registry: schools, terminals that wait, calendars.
    ViewRegistry,
    /// Change the registry: imports, approvals, calendars.
    ManageRegistry,
    /// Issue and take back enrolment codes.
    ManageCodes,
    /// Try quarantined reports again.
    Replay,
    /// See runs, evidence and score sheets.
    ViewScores,
    /// Enter evidence.
    EnterEvidence,
    /// Create and discard runs, exclude terminal-days, keep rubrics.
    ManageRuns,
    /// Freeze runs: nothing of them changes afterwards.
    FreezeRuns,
    /// Send reports over gRPC.
    Report,
    /// Read the service's own figures.
    ViewMetrics,
    /// Manage accounts and tokens.
    ManageUsers,
    /// Read and export the audit log.
    ViewAudit,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 15] = [
        Self::OwnAccount,
        Self::ViewUsage,
        Self::ViewQuality,
        Self::ViewRegistry,
        Self::ManageRegistry,
        Self::ManageCodes,
        Self::Replay,
        Self::ViewScores,
        Self::EnterEvidence,
        Self::ManageRuns,
        Self::FreezeRuns,
        Self::Report,
        Self::ViewMetrics,
        Self::ManageUsers,
        Self::ViewAudit,
    ];

    /// What it lets do, in Chinese.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OwnAccount => "管理自己的账号",
            Self::ViewUsage => "查看使用情况",
            Self::ViewQuality => "查看数据质量",
            Self::ViewRegistry => "查看登记信息",
            Self::ManageRegistry => "登记学校、终端与日历",
            Self::ManageCodes => "管理注册码",
            Self::Replay => "重放隔离数据",
            Self::ViewScores => "查看考核",
            Self::EnterEvidence => "填写考核材料",
            Self::ManageRuns => "管理考核",
            Self::FreezeRuns => "定稿考核",
            Self::Report => "上报数据",
            Self::ViewMetrics => "查看运行指标",
            Self::ManageUsers => "管理用户",
            Self::ViewAudit => "查看操作记录",
        }
    }
}

/// What an account or a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// 查看员: looks.
    Viewer,
    /// 评估员: evidence, runs and their freezing.
    Evaluator,
    /// 登记员: schools, terminals, calendars, codes, quarantine.
    Registrar,
    /// 审计员: reads what others did; changes nothing.
    Auditor,
    /// 管理员: accounts and tokens; neither scores nor the audit log.
    Administrator,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [
        Self::Viewer,
        Self::Evaluator,
        Self::Registrar,
        Self::Auditor,
        Self::Administrator,
    ];

    /// Its stable key.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Evaluator => "evaluator",
            Self::Registrar => "registrar",
            Self::Auditor => "auditor",
            Self::Administrator => "administrator",
        }
    }

    /// Its name in Chinese.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "查看员",
            Self::Evaluator => "评估员",
            Self::Registrar => "登记员",
            Self::Auditor => "审计员",
            Self::Administrator => "管理员",
        }
    }

    /// Whether it has a permission.
    #[must_use]
    pub const fn may(self, permission: Permission) -> bool {
        use Permission as P;
        match permission {
            P::OwnAccount | P::ViewUsage => true,
            P::ViewQuality | P::ViewRegistry => !matches!(self, Self::Viewer),
            P::ManageRegistry | P::ManageCodes | P::Replay | P::Report => {
                matches!(self, Self::Registrar)
            }
            P::ViewScores => matches!(self, Self::Viewer | Self::Evaluator | Self::Auditor),
            P::EnterEvidence | P::ManageRuns | P::FreezeRuns => matches!(self, Self::Evaluator),
            P::ViewMetrics => matches!(self, Self::Registrar | Self::Auditor | Self::Administrator),
            P::ManageUsers => matches!(self, Self::Administrator),
            P::ViewAudit => matches!(self, Self::Auditor),
        }
    }

    /// Why an account of this role may not become one of another, in Chinese: who administers never audits, also not one
    /// after the other, nor by way of a third role.
    #[must_use]
    pub const fn change_fault(self, to: Self) -> Option<&'static str> {
        let stays = matches!(
            (self, to),
            (Self::Administrator, Self::Administrator) | (Self::Auditor, Self::Auditor)
        );
        if matches!(self, Self::Administrator | Self::Auditor) && !stays {
            return Some("管理员和审计员的账号不能改作其他角色:请另建账号");
        }
        None
    }

    /// Why it can't be held within a scope, in Chinese: accounts and the audit log are the whole service's, and only a
    /// viewer can be of a part of a county.
    #[must_use]
    pub const fn scope_fault(self, scope: &Scope) -> Option<&'static str> {
        match (self, scope) {
            (_, Scope::All) | (Self::Viewer, _) => None,
            (Self::Auditor | Self::Administrator, _) => Some("管理员和审计员的范围只能是“全部”"),
            (_, Scope::County(_)) => None,
            (_, Scope::Township(..) | Scope::School(_)) => Some("乡镇或学校范围的账号只能是查看员"),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.key())
    }
}

impl FromStr for Role {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let found = Self::ALL.into_iter().find(|role| role.key() == text);
        found.ok_or_else(|| {
            invalid(
                "a role",
                "viewer, evaluator, registrar, auditor or administrator",
                text,
            )
        })
    }
}

impl serde::Serialize for Role {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.key())
    }
}

impl<'de> serde::Deserialize<'de> for Role {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        super::ids::parsed(from)
    }
}

/// Whose address it is: of IPv6 the half that a customer is given, of IPv4 all, also where it is written as IPv6.
/// Failures are counted by it.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_administers_and_audits() {
        for role in Role::ALL {
            assert!(!(role.may(Permission::ManageUsers) && role.may(Permission::ViewAudit)));
            assert_eq!(role.key().parse::<Role>().unwrap(), role);
            for to in Role::ALL {
                let leaves = role != to && [Role::Auditor, Role::Administrator].contains(&role);
                assert_eq!(role.change_fault(to).is_some(), leaves, "{role} to {to}");
            }
        }
        assert!("root".parse::<Role>().is_err());
    }

    #[test]
    fn every_permission_has_a_role_and_an_auditor_changes_nothing() {
        for permission in Permission::ALL {
            assert!(
                Role::ALL.iter().any(|role| role.may(permission)),
                "{permission:?}"
            );
            assert!(!permission.name().is_empty());
        }
        for change in [
            Permission::ManageRegistry,
            Permission::ManageCodes,
            Permission::Replay,
            Permission::EnterEvidence,
            Permission::ManageRuns,
            Permission::FreezeRuns,
            Permission::ManageUsers,
        ] {
            assert!(!Role::Auditor.may(change) && !Role::Viewer.may(change));
        }
    }

    #[test]
    fn a_part_of_a_county_only_looks() {
        let school: Scope = "school:2123000001".parse().unwrap();
        let county: Scope = "county:231123".parse().unwrap();
        for role in Role::ALL {
            assert_eq!(role.scope_fault(&school).is_none(), role == Role::Viewer);
            let whole = matches!(role, Role::Auditor | Role::Administrator);
            assert_eq!(role.scope_fault(&county).is_some(), whole);
            assert_eq!(role.scope_fault(&Scope::All), None);
        }
    }
}
