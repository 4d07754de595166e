//! Live parts of pages: a stream of server-sent events, each one the part as it is now.
//!
//! The same functions draw the part for the page itself, so that script and page never differ.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{Query, State},
    response::sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, StreamExt as _, stream};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, broadcast};

use super::{
    Context,
    failure::Failure,
    filters::Filters,
    pages::{overview, wall},
};
use crate::{
    access::{self, Who},
    store::SchoolDay,
};

/// How long changes are gathered before the part is drawn again.
const GATHER: Duration = Duration::from_millis(700);

/// How often it is drawn without a change: terminals fall quiet without saying so.
const TICK: Duration = Duration::from_secs(15);

/// Which part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum View {
    /// What the county's terminals do now.
    Now,
    /// The wall screen.
    Wall,
}

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    view: View,
    #[serde(default)]
    county: String,
}

/// How long one stream lasts.
const LONGEST: Duration = Duration::from_mins(10);

struct Watching {
    context: Context,
    filters: Filters,
    view: View,
    changes: broadcast::Receiver<SchoolDay>,
    /// Who watches.
    who: Who,
    /// What was sent last.
    sent: String,
    /// Gives its place back when the browser has gone.
    _place: OwnedSemaphorePermit,
}

/// The stream of a live part; ends with the service.
pub(super) async fn stream(
    State(context): State<Context>,
    Query(asked): Query<Asked>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Failure> {
    let place = context.live.clone().try_acquire_owned();
    let place = place.map_err(|_full| Failure::TooMany)?;
    let filters = Filters {
        county: asked.county,
        ..Filters::default()
    };
    let mut watching = Watching {
        changes: context.parts.changes.subscribe(),
        view: asked.view,
        sent: String::new(),
        // Streams are read when nobody acts any more.
        who: access::current().ok_or(Failure::NotLoggedIn)?,
        _place: place,
        filters,
        context,
    };
    let drain = watching.context.parts.drain.clone();
    // A question without an answer is told as such, not as an empty stream.
    let first = watching.draw().await?;
    watching.sent.clone_from(&first);
    let later = stream::unfold(watching, |mut watching| async move {
        let part = watching.next().await;
        Some((part, watching))
    });
    let all = stream::once(std::future::ready(first)).chain(later);
    let events = all.map(|part| Ok(Event::default().data(part.replace(['\r', '\n'], " "))));
    let keep = KeepAlive::new().interval(Duration::from_secs(20));
    // A browser comes again by itself, and is let in only where its session still holds.
    let end = async move {
        tokio::select! {
            () = drain.cancelled_owned() => {}
            () = tokio::time::sleep(LONGEST) => {}
        }
    };
    Ok(Sse::new(events.take_until(Box::pin(end))).keep_alive(keep))
}

impl Watching {
    async fn draw(&self) -> Result<String, Failure> {
        let part = async {
            match self.view {
                View::Now => overview::now_part(&self.context, &self.filters).await,
                View::Wall => wall::part(&self.context, &self.filters).await,
            }
        };
        Ok(access::acting(self.who.clone(), part).await?.into_string())
    }

    /// The part as soon as it differs from what was sent.
    async fn next(&mut self) -> String {
        loop {
            tokio::select! {
                changed = self.changes.recv() => {
                    if matches!(changed, Err(broadcast::error::RecvError::Closed)) {
                        tokio::time::sleep(TICK).await;
                    }
                    tokio::time::sleep(GATHER).await;
                    self.changes = self.changes.resubscribe();
                }
                () = tokio::time::sleep(TICK) => {}
            }
            match self.draw().await {
                Ok(part) if part != self.sent => {
                    self.sent.clone_from(&part);
                    return part;
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "a live part could not be drawn"),
            }
        }
    }
}
