//! Accounts, tokens and the log: [`Access`](crate::access::Access) keeps the former on the store itself, with its
//! entries, so that here the log is read and added to, and nothing else is done.

use async_trait::async_trait;

use super::Guarded;
use crate::{
    domain::ids::Login,
    store::{
        AccessStore, Account, AuditFilter, Digest, Entry, Head, Link, NewToken, Put, PutAccount,
        Recorded, Session, StoreError, Token,
    },
};

fn elsewhere<T>() -> Result<T, StoreError> {
    Err(super::out_of_reach("accounts", &""))
}

#[async_trait]
impl AccessStore for Guarded {
    async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        elsewhere()
    }

    async fn account(&self, _: &Login) -> Result<Option<Account>, StoreError> {
        elsewhere()
    }

    async fn add_account(&self, _: &Account) -> Result<(), StoreError> {
        elsewhere()
    }

    async fn add_first(&self, _: &Account, _: Digest) -> Result<bool, StoreError> {
        elsewhere()
    }

    async fn put_account(&self, _: &PutAccount) -> Result<Put, StoreError> {
        elsewhere()
    }

    async fn session(&self, _: Digest) -> Result<Option<(Session, Account)>, StoreError> {
        elsewhere()
    }

    async fn touch_session(&self, _: Digest, _: i64) -> Result<(), StoreError> {
        elsewhere()
    }

    async fn end_session(&self, _: Digest) -> Result<(), StoreError> {
        elsewhere()
    }

    async fn add_token(&self, _: &NewToken) -> Result<Token, StoreError> {
        elsewhere()
    }

    async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        elsewhere()
    }

    async fn token(&self, _: Digest) -> Result<Option<Token>, StoreError> {
        elsewhere()
    }

    async fn touch_token(&self, _: i64, _: i64) -> Result<(), StoreError> {
        elsewhere()
    }

    async fn revoke_token(&self, _: i64) -> Result<Token, StoreError> {
        elsewhere()
    }

    async fn put_link(&self, _: &Link) -> Result<(), StoreError> {
        elsewhere()
    }

    async fn link(&self, _: Digest) -> Result<Option<Link>, StoreError> {
        elsewhere()
    }

    async fn record(&self, entry: &Entry) -> Result<Recorded, StoreError> {
        self.inner.record(entry).await
    }

    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<Recorded>, StoreError> {
        self.sight()?.whole("audit log")?;
        self.inner.audit(filter).await
    }

    async fn audit_after(&self, number: i64) -> Result<Vec<Recorded>, StoreError> {
        self.sight()?.whole("audit log")?;
        self.inner.audit_after(number).await
    }

    async fn audit_head(&self) -> Result<Head, StoreError> {
        self.sight()?.whole("audit log")?;
        self.inner.audit_head().await
    }
}
