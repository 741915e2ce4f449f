//! Why a space was not made or not changed, as problems.

use axum::http::StatusCode;
use throng_core::space::Refusal;

use crate::api::capitalised;
use crate::api::problem::Problem;
use crate::origin::{ActError, CreateError};

pub(super) fn create_problem(error: CreateError) -> Problem {
    match error {
        CreateError::Refused(refusal) => refused(&refusal),
        CreateError::Store(error) => Problem::store(&error),
        CreateError::Pipeline(error) => Problem::programme(&error),
        CreateError::Full => Problem::new(
            StatusCode::CONFLICT,
            "full",
            "There is no room for another space",
            error.to_string(),
        ),
    }
}

pub(super) fn act_problem(error: ActError) -> Problem {
    match error {
        ActError::Refused(refusal) => refused(&refusal),
        ActError::Store(error) => Problem::store(&error),
        ActError::Pipeline(error) => Problem::programme(&error),
        ActError::Closed => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "closing",
            "The node is closing",
            "Try again in a moment.",
        )
        .retry_after(2),
    }
}

pub(super) fn refused(refusal: &Refusal) -> Problem {
    let detail = capitalised(&refusal.to_string());
    match refusal {
        Refusal::DoesNotFollow { state, .. } => Problem::new(
            StatusCode::CONFLICT,
            "does-not-follow",
            "This step does not follow",
            detail,
        )
        .in_state(state.name()),
        Refusal::UnknownChapter { .. } => Problem::new(
            StatusCode::NOT_FOUND,
            "unknown-chapter",
            "There is no such chapter",
            detail,
        ),
        Refusal::NotForCohosts { .. } => Problem::new(
            StatusCode::FORBIDDEN,
            "not-allowed",
            "Your link does not allow this",
            detail,
        ),
        _ => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "refused",
            "This is not possible",
            detail,
        ),
    }
}
