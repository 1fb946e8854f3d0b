//! Who asks, and what their role allows.
//!
//! Three roles, each with all of the one before: a viewer reads; an operator does everything but users, credentials, trust
//! and removal; an admin does all. A handler names the least that it needs by its first argument.

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde_json::Value;
use sqlx::PgExecutor;
use uuid::Uuid;

use super::problem::Refused;
use super::request_id::RequestId;
use crate::store::StoreError;
use crate::store::audit::{self, NewAudit};

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Viewer,
    Operator,
    Admin,
}

impl Role {
    /// As the database spells it; an unknown word is the least.
    pub(crate) fn read(text: &str) -> Self {
        match text {
            "admin" => Self::Admin,
            "operator" => Self::Operator,
            _ => Self::Viewer,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// Who asks. Put into the request by `sign_in`.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    pub(crate) user_id: Uuid,
    pub(crate) token_id: Uuid,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) must_change_password: bool,
    pub(crate) request_id: Option<String>,
}

impl Actor {
    /// Writes down what they did. In the transaction of the change.
    pub(crate) async fn record(
        &self,
        db: impl PgExecutor<'_>,
        action: &str,
        object: (&str, String, &str),
        detail: Value,
    ) -> Result<(), StoreError> {
        self.record_outcome(db, action, object, "done", detail).await
    }

    /// Writes down how it ended: `done`, `refused`, `failed`.
    pub(crate) async fn record_outcome(
        &self,
        db: impl PgExecutor<'_>,
        action: &str,
        (kind, id, name): (&str, String, &str),
        outcome: &str,
        detail: Value,
    ) -> Result<(), StoreError> {
        let line = NewAudit {
            actor: &self.name,
            action,
            object_kind: kind,
            object_id: Some(id),
            object_name: Some(name.to_owned()),
            outcome,
            detail,
            request_id: self.request_id.clone(),
        };
        audit::insert(db, &line).await
    }

    fn from_parts(parts: &Parts, least: Role) -> Result<Self, Refused> {
        let mut actor = parts.extensions.get::<Self>().cloned().ok_or_else(super::sign_in::not_signed_in)?;
        if actor.role < least {
            return Err(Refused::new(
                StatusCode::FORBIDDEN,
                "not_allowed",
                format!("{} {} needs the role {}.", parts.method, parts.uri.path(), least.as_str()),
            )
            .because(format!("{} is {}.", actor.name, actor.role.as_str()))
            .next("Ask an admin to do this, or for the role."));
        }
        actor.request_id = parts.extensions.get::<RequestId>().map(|id| id.0.clone());
        Ok(actor)
    }
}

macro_rules! least {
    ($(#[$doc:meta])* $name:ident, $role:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub(crate) struct $name(pub(crate) Actor);

        impl<S: Send + Sync> FromRequestParts<S> for $name
        {
            type Rejection = Refused;

            async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refused> {
                Actor::from_parts(parts, $role).map(Self)
            }
        }
    };
}

least!(
    /// Anybody who is signed in.
    Viewer,
    Role::Viewer
);
least!(
    /// An operator or an admin.
    Operator,
    Role::Operator
);
least!(
    /// An admin.
    Admin,
    Role::Admin
);
