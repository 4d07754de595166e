//! What a page may offer to whoever looks at it. Not responsible for what is let through (`web`).

use axum::http::HeaderMap;

use super::Context;
pub(super) use crate::web::guard::opens;
use crate::{
    access,
    domain::access::Permission,
    web::{failure::Failure, guard::allowed},
};

/// Whether whoever acts may change something from where they are.
pub(super) fn may(at: &Context, headers: &HeaderMap, permission: Permission) -> bool {
    allowed(at.parts.actions, headers) && access::may(permission)
}

/// What a page says where it offers no changes.
pub(super) fn only_looks(at: &Context) -> String {
    if at.parts.gate.is_required() {
        return "您的角色在本页只能查看".to_owned();
    }
    Failure::NotHere.to_string()
}
