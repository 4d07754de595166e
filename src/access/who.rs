//! The acting person or program. A front finds out who asks and runs the request as them; what lies below asks here.
//!
//! Not responsible for finding out.

use crate::{
    domain::{
        access::{Permission, Role, Scope},
        ids::{CountyCode, Login, SchoolCode},
    },
    store::{Digest, School},
};

tokio::task_local! {
    static WHO: Who;
}

/// What part of the country somebody sees, with what the registry knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Nothing: nobody has logged in.
    Nowhere,
    /// All of it.
    All,
    /// A county.
    County(CountyCode),
    /// A township's schools, and the county's ranking.
    Township(CountyCode, String),
    /// A school, and the ranking of its county; `None` while it is not registered.
    School(SchoolCode, Option<CountyCode>),
}

impl Reach {
    /// Whether it is less than a county.
    #[must_use]
    pub const fn is_narrow(&self) -> bool {
        !matches!(self, Self::All | Self::County(_))
    }

    /// The county that it is or lies in; `None` for the whole country, or for nowhere.
    #[must_use]
    pub const fn county(&self) -> Option<&CountyCode> {
        match self {
            Self::All | Self::Nowhere => None,
            Self::County(county) | Self::Township(county, _) => Some(county),
            Self::School(_, county) => county.as_ref(),
        }
    }

    /// Whether a county's ranking may be seen.
    #[must_use]
    pub fn ranks(&self, county: &CountyCode) -> bool {
        matches!(self, Self::All) || self.county() == Some(county)
    }

    /// Whether a school may be seen.
    #[must_use]
    pub fn shows(&self, school: &School) -> bool {
        match self {
            Self::All => true,
            Self::Nowhere => false,
            Self::County(county) => *county == school.county,
            Self::Township(county, name) => *county == school.county && *name == school.township,
            Self::School(own, _) => *own == school.code,
        }
    }

    /// Whether everything of a county may be seen.
    #[must_use]
    pub fn covers(&self, county: &CountyCode) -> bool {
        match self {
            Self::All => true,
            Self::County(own) => own == county,
            Self::Nowhere | Self::Township(..) | Self::School(..) => false,
        }
    }
}

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rights {
    /// Everything: the console, and a service for which nobody must log in.
    All,
    /// What a role may.
    Role(Role),
    /// Nothing yet.
    None,
}

/// Somebody who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    name: String,
    origin: String,
    rights: Rights,
    reach: Reach,
    login: Option<Login>,
    session: Option<Digest>,
}

impl Who {
    fn all(name: &str, origin: &str) -> Self {
        Self {
            name: name.to_owned(),
            origin: origin.to_owned(),
            rights: Rights::All,
            reach: Reach::All,
            login: None,
            session: None,
        }
    }

    /// The service itself.
    #[must_use]
    pub fn service() -> Self {
        Self::all("service", "service")
    }

    /// Whoever may run commands on the service's machine, by the operating system's name.
    #[must_use]
    pub fn console(user: &str) -> Self {
        Self::all(user, "console")
    }

    /// Whoever asks, where nobody must log in.
    #[must_use]
    pub fn anyone(origin: &str) -> Self {
        Self::all("-", origin)
    }

    /// Whoever asks and has not logged in.
    #[must_use]
    pub fn nobody(origin: &str) -> Self {
        Self {
            rights: Rights::None,
            reach: Reach::Nowhere,
            ..Self::all("-", origin)
        }
    }

    /// Somebody who logged in.
    pub(super) fn account(
        login: &Login,
        origin: &str,
        role: Role,
        reach: Reach,
        session: Digest,
    ) -> Self {
        Self {
            name: login.to_string(),
            origin: origin.to_owned(),
            rights: Rights::Role(role),
            reach,
            login: Some(login.clone()),
            session: Some(session),
        }
    }

    /// A program that showed a token.
    pub(super) fn token(name: &Login, origin: &str, role: Role, reach: Reach) -> Self {
        Self {
            name: format!("token:{name}"),
            origin: origin.to_owned(),
            rights: Rights::Role(role),
            reach,
            login: None,
            session: None,
        }
    }

    /// What the audit log calls them.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// From where.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The account's name, for people who logged in.
    #[must_use]
    pub const fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// The role, for people and programs that have one.
    #[must_use]
    pub const fn role(&self) -> Option<Role> {
        match self.rights {
            Rights::Role(role) => Some(role),
            Rights::All | Rights::None => None,
        }
    }

    /// The session, for people who logged in.
    #[must_use]
    pub const fn session(&self) -> Option<Digest> {
        self.session
    }

    /// What they see.
    #[must_use]
    pub const fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Whether they may do something, somewhere.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        match self.rights {
            // There is no account to change.
            Rights::All => permission != Permission::OwnAccount,
            Rights::Role(role) => role.may(permission),
            Rights::None => false,
        }
    }
}

impl From<&Scope> for Reach {
    /// A school's county is not known yet.
    fn from(scope: &Scope) -> Self {
        match scope {
            Scope::All => Self::All,
            Scope::County(county) => Self::County(county.clone()),
            Scope::Township(county, name) => Self::Township(county.clone(), name.clone()),
            Scope::School(school) => Self::School(school.clone(), None),
        }
    }
}

/// Does work as somebody.
pub async fn acting<T>(who: Who, work: impl Future<Output = T>) -> T {
    WHO.scope(who, work).await
}

/// Does work as whoever acts now, but with the whole country before it: for an answer of which only their own part is
/// given on.
pub async fn acting_widely<T>(work: impl Future<Output = T>) -> T {
    let wide = current().map(|who| Who {
        reach: Reach::All,
        ..who
    });
    match wide {
        Some(wide) => WHO.scope(wide, work).await,
        None => work.await,
    }
}

/// Who acts.
#[must_use]
pub fn current() -> Option<Who> {
    WHO.try_with(Who::clone).ok()
}

/// Whether whoever acts may do something; nobody may where nobody acts.
#[must_use]
pub fn may(permission: Permission) -> bool {
    WHO.try_with(|who| who.may(permission)).unwrap_or(false)
}
