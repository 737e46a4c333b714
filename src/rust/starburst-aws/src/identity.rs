//! Credentials for requests that do not come from the SDK: fetched when needed, kept until they soon expire.
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError},
};
use starburst_core::clock::UnixMillis;
use std::time::{Duration, UNIX_EPOCH};
use tokio::sync::Mutex;

/// Credentials this close to their end are fetched again.
const EARLY: Duration = Duration::from_secs(120);
/// Credentials that do not say when they expire are fetched again after this.
const KEPT: Duration = Duration::from_secs(900);

/// The credentials in use.
#[derive(Debug)]
pub(crate) struct IdentityCache {
    provider: Option<SharedCredentialsProvider>,
    /// Held while they are fetched, so that calls made at once fetch them once.
    kept: Mutex<Option<(Credentials, UnixMillis)>>,
}

impl IdentityCache {
    pub(crate) fn new(provider: Option<SharedCredentialsProvider>) -> Self {
        Self { provider, kept: Mutex::default() }
    }

    /// Credentials that are valid at `now`, if whoever gave them is right.
    pub(crate) async fn at(&self, now: UnixMillis) -> Result<Credentials, CredentialsError> {
        let mut kept = self.kept.lock().await;
        if let Some((credentials, until)) = kept.as_ref()
            && now < *until
        {
            return Ok(credentials.clone());
        }
        let provider =
            self.provider.as_ref().ok_or_else(|| CredentialsError::not_loaded("no provider"))?;
        let fresh = provider.provide_credentials().await?;
        *kept = Some((fresh.clone(), end(&fresh, now)));
        Ok(fresh)
    }

    /// AWS refused them: the next call fetches new ones.
    pub(crate) async fn forget(&self) {
        *self.kept.lock().await = None;
    }
}

fn end(credentials: &Credentials, now: UnixMillis) -> UnixMillis {
    let expiry = credentials.expiry().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    match expiry {
        Some(at) => UnixMillis(0).plus(at.saturating_sub(EARLY)),
        None => now.plus(KEPT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_credential_types::provider::future::ProvideCredentials as Provided;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Gives credentials that end 1,000 s after the epoch for the first time, then later and later.
    #[derive(Debug, Default)]
    struct Counting(AtomicU64);
    impl ProvideCredentials for Counting {
        fn provide_credentials<'a>(&'a self) -> Provided<'a>
        where
            Self: 'a,
        {
            let count = self.0.fetch_add(1, Ordering::Relaxed) + 1;
            let end = UNIX_EPOCH + Duration::from_secs(1_000 * count);
            let made = Credentials::new(format!("key-{count}"), "s", None, Some(end), "test");
            Provided::ready(Ok(made))
        }
    }

    async fn key_at(cache: &IdentityCache, seconds: u64) -> String {
        cache.at(UnixMillis(seconds * 1_000)).await.unwrap().access_key_id().to_owned()
    }

    #[tokio::test]
    async fn credentials_are_kept_until_shortly_before_they_expire() {
        let provider = SharedCredentialsProvider::new(Counting::default());
        let cache = IdentityCache::new(Some(provider));
        assert_eq!(key_at(&cache, 1).await, "key-1");
        assert_eq!(key_at(&cache, 879).await, "key-1");
        assert_eq!(key_at(&cache, 881).await, "key-2");
        cache.forget().await;
        assert_eq!(key_at(&cache, 881).await, "key-3");
    }
}
