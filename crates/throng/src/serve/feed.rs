//! The feed at the origin's addresses: at the internal one as it is, at the desk behind its key.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use throng_air::air::Air;
pub(super) use throng_air::feed::routes::routes;
use throng_core::key::KeyDigest;

use crate::api::{self, Desk};
use crate::config::Config;

/// What workers and edges fetch when their audience asks for what they do not have. Its requests are counted where the
/// audience is.
pub(super) fn house(air: &Arc<Air>, desk: &Arc<Desk>) -> Router {
    air.uncounted_routes()
        .merge(api::audience_routes(Arc::clone(desk)))
}

/// The same for the workers of this node, who serve the desk as well where it shares their port.
pub(super) fn house_of_workers(air: &Arc<Air>, desk: &Arc<Desk>, config: &Config) -> Router {
    let house = house(air, desk);
    if config.shares_desk() {
        house.merge(api::routes(Arc::clone(desk)))
    } else {
        house
    }
}

/// The feed for who has its key.
pub(crate) fn feed_behind_key(fed: Router, key: KeyDigest) -> Router {
    fed.layer(from_fn_with_state(key, with_key))
}

async fn with_key(State(digest): State<KeyDigest>, request: Request, next: Next) -> Response {
    match api::bearer(request.headers()) {
        Ok(key) if key.digest() == digest => next.run(request).await,
        Ok(_) => {
            api::bad_key("This is not the key of the feed. It lies in feed.key in the data folder.")
                .into_response()
        }
        Err(problem) => problem.into_response(),
    }
}
