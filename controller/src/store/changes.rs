//! The feed of changes: one row per change, read in an order that no later commit can slip into.
//!
//! Row ids alone would not do: they are given at the insert and seen at the commit, so a reader that has passed 7 may
//! find that 6 appears afterwards. A cursor therefore is the writing transaction and the row, and only rows of
//! transactions older than every one still running are read.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use crate::store::StoreError;

/// A place in the feed; its text (`4711.12`) is what a client sends to go on from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Cursor {
    pub transaction: i64,
    pub id: i64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.transaction, self.id)
    }
}

impl FromStr for Cursor {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (transaction, id) = text.split_once('.').unwrap_or((text, ""));
        Ok(Self { transaction: transaction.parse()?, id: id.parse()? })
    }
}

/// One change: something about this object is different now.
#[derive(Debug, Clone)]
pub struct Change {
    pub id: i64,
    pub transaction: i64,
    pub at: DateTime<Utc>,
    /// `node`, `workflow`, `bulk`, `image`.
    pub topic: String,
    pub object_id: String,
}

impl Change {
    /// The place right after this change.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor { transaction: self.transaction, id: self.id }
    }
}

/// Changes after a place, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn after(db: impl PgExecutor<'_>, cursor: Cursor, limit: i64) -> Result<Vec<Change>, StoreError> {
    Ok(sqlx::query_as!(
        Change,
        "select id, transaction, at, topic, object_id from changes
         where (transaction, id) > ($1, $2) and transaction < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
         order by transaction, id limit $3",
        cursor.transaction,
        cursor.id,
        limit
    )
    .fetch_all(db)
    .await?)
}

/// The end of the feed, and whether there are rows beyond it that cannot be read yet.
///
/// # Errors
/// When the database fails.
pub async fn head(db: impl PgExecutor<'_>) -> Result<(Cursor, bool), StoreError> {
    let row = sqlx::query!(
        "with safe as (select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as oldest)
         select
             (select transaction from changes, safe where transaction < oldest order by transaction desc, id desc limit 1),
             (select id from changes, safe where transaction < oldest order by transaction desc, id desc limit 1),
             exists (select from changes, safe where transaction >= oldest) as \"more!\""
    )
    .fetch_one(db)
    .await?;
    Ok((Cursor { transaction: row.transaction.unwrap_or_default(), id: row.id.unwrap_or_default() }, row.more))
}

/// Whether the feed still holds everything after a place; when not, the client must read anew. The beginning of the feed
/// (a head is told as that while no row can be read yet) is reached as long as the first row was not dropped.
///
/// # Errors
/// When the database fails.
pub async fn reaches_back_to(db: impl PgExecutor<'_>, cursor: Cursor) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        "select exists (select from changes where (transaction, id) <= ($1, $2))
             or ($1 = 0 and exists (select from changes where id = 1)) as \"reaches!\"",
        cursor.transaction,
        cursor.id
    )
    .fetch_one(db)
    .await?)
}

/// Drops changes older than `before`; says how many. The newest row stays, so that the end of the feed is known.
///
/// # Errors
/// When the database fails.
pub async fn prune(db: impl PgExecutor<'_>, before: DateTime<Utc>) -> Result<u64, StoreError> {
    Ok(sqlx::query!(
        "delete from changes where at < $1 and (transaction, id) < (select transaction, id from changes
             order by transaction desc, id desc limit 1)",
        before
    )
    .execute(db)
    .await?
    .rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn change(db: impl PgExecutor<'_>, object: &str) {
        sqlx::query("insert into changes (topic, object_id) values ('node', $1)")
            .bind(object)
            .execute(db)
            .await
            .unwrap();
    }

    fn objects(changes: &[Change]) -> Vec<&str> {
        changes.iter().map(|change| change.object_id.as_str()).collect()
    }

    /// Waits until no transaction of the whole server, other tests' included, holds the feed back.
    async fn readable(db: &sqlx::PgPool, count: usize) -> Vec<Change> {
        loop {
            let changes = after(db, Cursor::default(), 10).await.unwrap();
            if changes.len() == count {
                return changes;
            }
            tokio::task::yield_now().await;
        }
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn a_change_that_commits_late_is_not_passed_over(db: sqlx::PgPool) {
        let mut slow = db.begin().await.unwrap();
        change(&mut *slow, "slow").await;
        change(&db, "quick").await;
        // The slow one has the smaller id and is not to be seen yet, so nothing after it is read either.
        assert_eq!(objects(&after(&db, Cursor::default(), 10).await.unwrap()), [""; 0]);
        assert_eq!(head(&db).await.unwrap(), (Cursor::default(), true));
        slow.commit().await.unwrap();
        let changes = readable(&db, 2).await;
        assert_eq!(objects(&changes), ["slow", "quick"]);
        assert_eq!(head(&db).await.unwrap(), (changes[1].cursor(), false));
        assert_eq!(objects(&after(&db, changes[0].cursor(), 10).await.unwrap()), ["quick"]);
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn old_changes_go_and_a_cursor_from_before_is_told(db: sqlx::PgPool) {
        change(&db, "one").await;
        let first = readable(&db, 1).await[0].cursor();
        change(&db, "two").await;
        assert!(reaches_back_to(&db, first).await.unwrap());
        assert_eq!(prune(&db, Utc::now() + chrono::TimeDelta::hours(1)).await.unwrap(), 1);
        assert!(!reaches_back_to(&db, first).await.unwrap());
        assert_eq!(objects(&readable(&db, 1).await), ["two"]);
    }

    #[test]
    fn a_cursor_reads_back_from_its_text() {
        let cursor = Cursor { transaction: 4711, id: 12 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        assert!("4711".parse::<Cursor>().is_err());
        assert!("".parse::<Cursor>().is_err());
    }
}
