//! API tokens. Only the SHA-256 of a token is kept: a copy of the database lets nobody in.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::store::StoreError;

/// One API token, without its secret.
#[derive(Debug, Clone)]
pub struct ApiToken {
    pub id: Uuid,
    pub user_id: Uuid,
    pub name: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub used_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Who a valid token belongs to.
#[derive(Debug, Clone)]
pub struct TokenOwner {
    pub token_id: Uuid,
    pub user_id: Uuid,
    pub user_name: String,
    /// `admin`, `operator` or `viewer`.
    pub role: String,
    pub must_change_password: bool,
    pub used_at: Option<DateTime<Utc>>,
}

/// Keeps a token by its digest.
///
/// # Errors
/// When the database fails.
pub async fn insert(
    db: impl PgExecutor<'_>,
    id: Uuid,
    user_id: Uuid,
    name: &str,
    token_sha256: &[u8; 32],
    expires_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into api_tokens (id, user_id, name, token_sha256, expires_at) values ($1, $2, $3, $4, $5)",
        id,
        user_id,
        name,
        token_sha256.as_slice(),
        expires_at
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The owner of a token that is neither expired nor revoked, and whose user is not disabled.
///
/// # Errors
/// When the database fails.
pub async fn owner(
    db: impl PgExecutor<'_>,
    token_sha256: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<TokenOwner>, StoreError> {
    Ok(sqlx::query_as!(
        TokenOwner,
        "select t.id as token_id, u.id as user_id, u.name as user_name, u.role, u.must_change_password, t.used_at
         from api_tokens t join users u on u.id = t.user_id
         where t.token_sha256 = $1 and t.revoked_at is null and t.expires_at > $2 and u.disabled_at is null",
        token_sha256.as_slice(),
        now
    )
    .fetch_optional(db)
    .await?)
}

/// Notes that a token was used; callers do it at most once a minute, so that reading costs no writes.
///
/// # Errors
/// When the database fails.
pub async fn used(db: impl PgExecutor<'_>, id: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!("update api_tokens set used_at = $2 where id = $1", id, now).execute(db).await?;
    Ok(())
}

/// Tokens of a user, newest first.
///
/// # Errors
/// When the database fails.
pub async fn of_user(db: impl PgExecutor<'_>, user_id: Uuid) -> Result<Vec<ApiToken>, StoreError> {
    Ok(sqlx::query_as!(
        ApiToken,
        "select id, user_id, name, created_at, expires_at, used_at, revoked_at from api_tokens
         where user_id = $1 order by created_at desc",
        user_id
    )
    .fetch_all(db)
    .await?)
}

/// Revokes one token; `false` when there is none that still works.
///
/// # Errors
/// When the database fails.
pub async fn revoke(db: impl PgExecutor<'_>, id: Uuid, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let done = sqlx::query!("update api_tokens set revoked_at = $2 where id = $1 and revoked_at is null", id, now)
        .execute(db)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Revokes all tokens of a user but `keep`: done when the password changes.
///
/// # Errors
/// When the database fails.
pub async fn revoke_all(
    db: impl PgExecutor<'_>,
    user_id: Uuid,
    keep: Option<Uuid>,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "update api_tokens set revoked_at = $3
         where user_id = $1 and revoked_at is null and ($2::uuid is null or id <> $2)",
        user_id,
        keep,
        now
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::store::users;

    #[sqlx::test(migrations = "../migrations")]
    async fn a_token_works_until_it_expires_is_revoked_or_its_user_is_disabled(db: sqlx::PgPool) {
        let (user, now) = (Uuid::now_v7(), Utc::now());
        assert!(users::insert(&db, user, "ada", "x", "operator", false).await.unwrap());
        let works = async |digest: u8, at| owner(&db, &[digest; 32], at).await.unwrap().map(|owner| owner.user_name);
        for digest in 1..=2 {
            insert(&db, Uuid::now_v7(), user, "laptop", &[digest; 32], now + TimeDelta::hours(1)).await.unwrap();
        }
        assert_eq!(works(1, now).await.as_deref(), Some("ada"));
        assert_eq!(works(3, now).await, None);
        assert_eq!(works(1, now + TimeDelta::hours(2)).await, None, "expired");
        let kept = owner(&db, &[2; 32], now).await.unwrap().unwrap().token_id;
        assert_eq!(revoke_all(&db, user, Some(kept), now).await.unwrap(), 1);
        assert_eq!(works(1, now).await, None, "revoked");
        assert_eq!(works(2, now).await.as_deref(), Some("ada"), "the one that changed the password stays");
        sqlx::query("update users set disabled_at = now()").execute(&db).await.unwrap();
        assert_eq!(works(2, now).await, None, "disabled");
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn a_taken_user_name_is_told_and_wrong_passwords_are_counted_before_they_are_looked_at(db: sqlx::PgPool) {
        let user = Uuid::now_v7();
        assert!(users::insert(&db, user, "ada", "x", "operator", false).await.unwrap());
        assert!(!users::insert(&db, Uuid::now_v7(), "ada", "y", "admin", false).await.unwrap());
        assert_eq!(users::login_attempted(&db, user).await.unwrap(), 1);
        assert_eq!(users::login_attempted(&db, user).await.unwrap(), 2);
        users::login_succeeded(&db, user).await.unwrap();
        assert_eq!(users::by_name(&db, "ada").await.unwrap().unwrap().failed_logins, 0);
    }
}
