//! Segments that were fetched from the upstream: each once, however many ask, and kept for who asks next.
//!
//! Only what is immutable is kept, so that nothing here can be out of date.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;
use bytes::Bytes;
use tokio::sync::OnceCell;

/// Bytes kept, over two hours of one rendition. When it is full, what was fetched first goes.
const SHELF_MAX_BYTES: usize = 64 << 20;
/// Segments kept or on their way; they are 30 KB, so that the bytes end first.
const SEGMENTS_MAX: usize = 8_192;

/// A segment as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) headers: HeaderMap,
    pub(super) bytes: Bytes,
}

/// The segments by their path.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    rows: Mutex<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    segments: BTreeMap<String, Arc<OnceCell<Segment>>>,
    /// The paths, the first fetched first.
    order: VecDeque<String>,
    bytes: usize,
}

impl Shelf {
    /// The segment of a path. Whoever comes first fetches it, the others wait for him; what cannot be had is not kept.
    pub(super) async fn take<E>(
        &self,
        path: &str,
        fetch: impl Future<Output = Result<Segment, E>>,
    ) -> Result<Segment, E> {
        let place = self.place(path);
        let mut fetched = false;
        let taken = place
            .get_or_try_init(|| async {
                let segment = fetch.await?;
                fetched = true;
                Ok(segment)
            })
            .await
            .cloned();
        match &taken {
            Ok(segment) if fetched => self.weigh(path, &place, segment.bytes.len()),
            Ok(_) => {}
            Err(_) => self.give_up(path, &place),
        }
        taken
    }

    fn place(&self, path: &str) -> Arc<OnceCell<Segment>> {
        let mut rows = self.lock();
        if let Some(place) = rows.segments.get(path) {
            return Arc::clone(place);
        }
        while rows.order.len() >= SEGMENTS_MAX {
            rows.drop_first();
        }
        let place = Arc::new(OnceCell::new());
        rows.segments.insert(path.to_owned(), Arc::clone(&place));
        rows.order.push_back(path.to_owned());
        place
    }

    /// Counts what was fetched, unless its place has gone meanwhile.
    fn weigh(&self, path: &str, place: &Arc<OnceCell<Segment>>, bytes: usize) {
        let mut rows = self.lock();
        if !rows.has(path, place) {
            return;
        }
        rows.bytes += bytes;
        while rows.bytes > SHELF_MAX_BYTES && rows.order.len() > 1 {
            rows.drop_first();
        }
    }

    /// Forgets a path that nobody has filled meanwhile.
    fn give_up(&self, path: &str, place: &Arc<OnceCell<Segment>>) {
        let mut rows = self.lock();
        if rows.has(path, place) && !place.initialized() {
            rows.segments.remove(path);
            rows.order.retain(|present| present != path);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        // A panic in another thread left the rows whole enough to go on.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    fn has(&self, path: &str, place: &Arc<OnceCell<Segment>>) -> bool {
        let present = self.segments.get(path);
        present.is_some_and(|present| Arc::ptr_eq(present, place))
    }

    /// What is dropped while it is fetched weighs nothing yet, and never will.
    fn drop_first(&mut self) {
        let Some(path) = self.order.pop_front() else {
            return;
        };
        let gone = self.segments.remove(&path);
        let bytes = gone.and_then(|place| place.get().map(|segment| segment.bytes.len()));
        self.bytes = self.bytes.saturating_sub(bytes.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::task::yield_now;

    use super::*;

    fn sound(bytes: impl Into<Bytes>) -> Segment {
        Segment {
            headers: HeaderMap::new(),
            bytes: bytes.into(),
        }
    }

    async fn fetched(fetches: &AtomicU32, segment: Result<Segment, ()>) -> Result<Segment, ()> {
        yield_now().await;
        fetches.fetch_add(1, Ordering::Relaxed);
        segment
    }

    #[tokio::test]
    async fn many_who_ask_at_once_are_one_fetch_and_so_are_those_after_them() {
        let (shelf, fetches) = (Shelf::default(), AtomicU32::new(0));
        let ask = || shelf.take("a", fetched(&fetches, Ok(sound("sound"))));
        let (one, two, three) = tokio::join!(ask(), ask(), ask());
        for taken in [one, two, three, ask().await] {
            assert_eq!(taken, Ok(sound("sound")));
        }
        assert_eq!(fetches.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn what_could_not_be_had_is_asked_for_again() {
        let (shelf, fetches) = (Shelf::default(), AtomicU32::new(0));
        assert!(shelf.take("a", fetched(&fetches, Err(()))).await.is_err());
        assert!(shelf.lock().segments.is_empty() && shelf.lock().order.is_empty());
        let again = shelf.take("a", fetched(&fetches, Ok(sound("sound"))));
        assert_eq!(again.await, Ok(sound("sound")));
    }

    #[tokio::test]
    async fn the_shelf_is_bounded_in_bytes_and_in_segments() {
        let (shelf, fetches) = (Shelf::default(), AtomicU32::new(0));
        let heavy = sound(vec![0; SHELF_MAX_BYTES / 2]);
        for path in ["a", "b", "c"] {
            let fetch = fetched(&fetches, Ok(heavy.clone()));
            shelf.take(path, fetch).await.unwrap();
        }
        assert_eq!(shelf.lock().order, ["b", "c"]);
        assert_eq!(shelf.lock().bytes, SHELF_MAX_BYTES);
        for number in 0..=SEGMENTS_MAX {
            let fetch = fetched(&fetches, Ok(sound("")));
            shelf.take(&number.to_string(), fetch).await.unwrap();
        }
        assert_eq!(shelf.lock().segments.len(), SEGMENTS_MAX);
        assert_eq!(shelf.lock().bytes, 0, "the heavy ones went first");
    }
}
