//! An object that one holds at a time: taken and renewed by compare-and-swap. Whoever has seen it unchanged for a lease,
//! on its own clock, may take it, as with the tasks of a silent worker.
//!
//! Two may believe to hold it at once for a moment: what a holder does must bear that.
use crate::{
    clock::{Clock, Monotonic},
    error::Error,
    ids::Ids,
    key::Key,
    store::{ETag, Store},
    update::{self, Record, Versioned},
};
use std::time::Duration;

/// A record that says who holds it. Each renewal changes its writer's mark.
pub trait Held: Record {
    /// Who may hold it.
    type Holder: Clone + PartialEq + Sync;
    /// As it is before anybody held it.
    fn vacant() -> Self;
    /// Who holds it; nobody when it was laid down.
    fn holder(&self) -> Option<&Self::Holder>;
    /// Gives it to somebody, or to nobody.
    fn set_holder(&mut self, holder: Option<Self::Holder>);
}

/// Where the object is, and by what time it is judged.
#[derive(Debug, Clone)]
pub struct Ground<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// The object.
    pub key: Key,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Randomness.
    pub ids: &'a dyn Ids,
    /// Whoever has not renewed it for so long may lose it.
    pub lease: Duration,
}

/// What one candidate has seen of the object.
#[derive(Debug, Default)]
pub struct Sightings(Option<Sighting>);

#[derive(Debug)]
struct Sighting {
    etag: Option<ETag>,
    since: Monotonic,
    looked: Monotonic,
}

impl Sightings {
    /// Takes the object, or renews it; `change` is what its holder writes besides. Returns whether that was done, and the
    /// record as it is then; `None` when another holds it, as far as can be seen.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn take<T: Held>(
        &mut self,
        on: &Ground<'_>,
        me: &T::Holder,
        change: impl Fn(&mut T) + Send,
    ) -> Result<Option<(bool, T)>, Error> {
        let found = update::read::<T>(on.store, &on.key).await?;
        if let Some(record) = &found
            && record.value.holder().is_some_and(|holder| holder != me)
            && !self.is_stale(record, on)
        {
            return Ok(None);
        }
        let before = found.as_ref().map_or(T::vacant().write(), |record| record.value.write());
        let take = |record: &mut T| {
            // Whoever changed it meanwhile was faster.
            (record.write() == before).then(|| {
                record.set_holder(Some(me.clone()));
                change(record);
            })
        };
        let missing = || Some(T::vacant());
        let (taken, record) =
            update::update(on.store, on.ids, &on.key, found, missing, take).await?;
        self.0 = None;
        Ok(Some((taken.is_some(), record.value)))
    }

    /// Whether it has stood still for the lease, as this candidate saw it.
    fn is_stale<T>(&mut self, record: &Versioned<T>, on: &Ground<'_>) -> bool {
        let now = on.clock.now();
        match &mut self.0 {
            Some(seen) if seen.etag == record.etag => {
                // After a gap in looking its silence is counted anew: its holder may have been cut off too.
                if now.since(seen.looked) > on.lease / 2 {
                    seen.since = now;
                }
                seen.looked = now;
                now.since(seen.since) >= on.lease
            }
            Some(_) | None => {
                self.0 = Some(Sighting { etag: record.etag.clone(), since: now, looked: now });
                false
            }
        }
    }
}

/// Shows that the holder lives. `false` when another has taken the object.
///
/// # Errors
/// A failure of the store; that there is no such object.
pub async fn renew<T: Held>(
    on: &Ground<'_>,
    me: &T::Holder,
    change: impl Fn(&mut T) + Send,
) -> Result<bool, Error> {
    let renew = |record: &mut T| (record.holder() == Some(me)).then(|| change(record));
    let (renewed, _) = update::update(on.store, on.ids, &on.key, None, || None, renew).await?;
    Ok(renewed.is_some())
}

/// Lays the object down, so that another can take it at once. Where that fails it ends with its lease.
pub async fn lay_down<T: Held>(on: &Ground<'_>, me: &T::Holder, change: impl Fn(&mut T) + Send) {
    let drop = |record: &mut T| {
        (record.holder() == Some(me)).then(|| {
            record.set_holder(None);
            change(record);
        })
    };
    let _ = update::update(on.store, on.ids, &on.key, None, || None, drop).await;
}
