//! How work on the database runs: in a transaction, and again where it collided with another's.

use std::time::Duration;

/// How often a transaction that the server gave up for another's sake is tried again at once.
pub(super) const COLLISIONS: u32 = 10;

/// First pause before that; it doubles each time.
pub(super) const COLLISION_PAUSE: Duration = Duration::from_millis(5);

/// Does work in a transaction, with what is to be recorded of it, and again where it collided. A macro, for no type can say yet that the future of an
/// async closure over a borrowed transaction may move between threads.
macro_rules! write {
    ($self:ident, $doing:literal, |$on:ident| $work:expr) => {{
        let mut pause = $crate::store::postgres::work::COLLISION_PAUSE;
        let mut tries = 0;
        loop {
            let done = async {
                let (mut connection, _permit) = $self.connections.get().await?;
                let $on = $crate::store::postgres::connection::On::write(&mut connection).await?;
                let done = $work.await?;
                $crate::store::postgres::access::record(&$on, &$self.recordings, &done).await?;
                $on.commit().await?;
                Ok(done)
            };
            match done.await {
                Ok(done) => break Ok(done),
                Err(failure) => {
                    let failure: $crate::store::postgres::failure::Failure = failure;
                    tries += 1;
                    if !failure.is_collision() || tries > $crate::store::postgres::work::COLLISIONS
                    {
                        break Err(failure.while_doing($doing));
                    }
                    tracing::debug!(doing = $doing, tries, "a transaction collided; again");
                    tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                    pause *= 2;
                }
            }
        }
    }};
}

/// Answers a question; all its statements see the same state of the database.
macro_rules! read {
    ($self:ident, $doing:literal, |$on:ident| $work:expr) => {{
        let answer = async {
            let (mut connection, _permit) = $self.connections.get().await?;
            let $on = $crate::store::postgres::connection::On::read(&mut connection).await?;
            let answer = $work.await?;
            $on.commit().await?;
            Ok(answer)
        };
        answer
            .await
            .map_err(|failure: $crate::store::postgres::failure::Failure| {
                failure.while_doing($doing)
            })
    }};
}
