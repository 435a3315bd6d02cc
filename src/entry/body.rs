//! Reading bodies of strangers into bounded memory.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use tokio::sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit};

/// GitHub does not send payloads above 25 MB.
pub const LIMIT: usize = 25 * 1024 * 1024;
/// Longer than any body takes that arrives at all; GitHub itself gives up after 10 s.
const TIME: Duration = Duration::from_secs(15);
/// Bodies up to this size, nearly all there are, never wait for larger ones.
const SMALL: usize = 256 * 1024;

/// How much memory the bodies that are read at the same time may take together.
pub struct Room {
    /// In KB.
    small: Semaphore,
    /// The one buffer for large bodies. It is kept: given back and taken anew it would grow in every thread's heap.
    large: Mutex<Vec<u8>>,
}

/// A body in memory, and the room that it takes until it is dropped.
pub enum Held<'a> {
    Small(Vec<u8>, SemaphorePermit<'a>),
    Large(MutexGuard<'a, Vec<u8>>),
}

impl Held<'_> {
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Small(bytes, _) => bytes,
            Self::Large(bytes) => bytes,
        }
    }
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    #[error("the body is larger than 25 MB")]
    TooLarge,
    #[error("the body broke off")]
    BrokenOff,
    #[error("the body took too long")]
    TooSlow,
}

impl Default for Room {
    /// 8 MB for small bodies, and one of the largest.
    fn default() -> Self {
        Self { small: Semaphore::new(8 * 1024), large: Mutex::default() }
    }
}

impl Room {
    /// Reads a body, of the announced length if there is one, as soon as there is room.
    ///
    /// # Errors
    /// Says why it was not read. What was read of it is gone.
    pub async fn read(&self, body: Body, announced: Option<usize>) -> Result<Held<'_>, Unread> {
        let most = announced.unwrap_or(LIMIT);
        if most > LIMIT {
            return Err(Unread::TooLarge);
        }
        tokio::time::timeout(TIME, self.held(body, most)).await.unwrap_or(Err(Unread::TooSlow))
    }

    async fn held(&self, body: Body, most: usize) -> Result<Held<'_>, Unread> {
        if most > SMALL {
            let mut bytes = self.large.lock().await;
            collect(body, most, &mut bytes).await?;
            return Ok(Held::Large(bytes));
        }
        let kilobytes = u32::try_from(most.div_ceil(1024)).unwrap_or(u32::MAX);
        let room = self.small.acquire_many(kilobytes).await.map_err(|_| Unread::TooSlow)?;
        let mut bytes = Vec::new();
        collect(body, most, &mut bytes).await?;
        Ok(Held::Small(bytes, room))
    }
}

async fn collect(body: Body, most: usize, bytes: &mut Vec<u8>) -> Result<(), Unread> {
    let mut body = pin!(body);
    bytes.clear();
    // Memory that is only reserved costs nothing until bytes arrive.
    bytes.reserve_exact(most);
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        let Ok(data) = frame.map_err(|_| Unread::BrokenOff)?.into_data() else { continue };
        if bytes.len() + data.len() > most {
            return Err(Unread::TooLarge);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_is_read_whole_and_a_larger_one_than_announced_is_not() {
        let room = Room::default();
        assert_eq!(room.read(Body::from("abc"), Some(3)).await.map(|held| held.bytes().to_vec()), Ok(b"abc".to_vec()));
        assert_eq!(room.read(Body::from("abc"), None).await.map(|held| held.bytes().to_vec()), Ok(b"abc".to_vec()));
        assert_eq!(room.read(Body::from("abcd"), Some(3)).await.err(), Some(Unread::TooLarge));
        assert_eq!(room.read(Body::empty(), Some(LIMIT + 1)).await.err(), Some(Unread::TooLarge));
        assert_eq!(room.read(Body::from(vec![0; LIMIT + 1]), None).await.err(), Some(Unread::TooLarge));
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_body_waits_for_another_one_and_small_ones_do_not() {
        let room = Room::default();
        let first = room.read(Body::from(vec![0; LIMIT]), None).await.unwrap();
        assert_eq!(room.read(Body::from(vec![0; LIMIT]), None).await.err(), Some(Unread::TooSlow));
        assert!(room.read(Body::from("small"), Some(5)).await.is_ok());
        drop(first);
        assert!(room.read(Body::from(vec![0; LIMIT]), None).await.is_ok());
    }
}
