//! What other programs are told: events of a space as they happen, and webhooks.

use serde_json::json;

use super::desk::{HOST, OPERATOR, api};
use super::operation::{Body, Operation, json_of};
use super::refused;
use crate::api::webhooks::{HookBody, HookCreatedJson, HooksJson, PingJson};

pub(super) fn operations() -> Vec<Operation> {
    let hook = "/api/webhooks/{webhook}";
    vec![
        events(),
        api(
            "get",
            "/api/webhooks",
            "listWebhooks",
            "Whom the operator wants to be told",
            OPERATOR,
        )
        .answers(200, "They.", &[json_of::<HooksJson>()]),
        refused(
            api(
                "post",
                "/api/webhooks",
                "createWebhook",
                "A new webhook",
                OPERATOR,
            )
            .says("Messages are signed after Standard Webhooks. At most 16.")
            .reads(json_of::<HookBody>())
            .answers(
                201,
                "It, with its secret: the only time that it is shown.",
                &[json_of::<HookCreatedJson>()],
            )
            .answers(409, "There are 16 already.", &[Body::Problem]),
            &[400, 413, 422],
        ),
        api(
            "delete",
            hook,
            "deleteWebhook",
            "Tells it nothing any more",
            OPERATOR,
        )
        .answers(204, "Gone, with what was still to be told.", &[]),
        api(
            "post",
            "/api/webhooks/{webhook}/ping",
            "pingWebhook",
            "A message as a test",
            OPERATOR,
        )
        .says("It is sent at once, and once.")
        .answers(200, "What came of it.", &[json_of::<PingJson>()]),
    ]
}

fn events() -> Operation {
    let path = "/api/spaces/{slug}/events";
    let operation = api("get", path, "spaceEvents", "What happens in a space, as it happens", HOST)
        .says(
            "Server-sent events without an end. `reset` is the whole space; `space`, `seats`, `alarms`, `chapters` and \
             `counts` are those of its fields that may have changed. A stream that was cut goes on after `Last-Event-ID`, or \
             begins with `reset`.",
        )
        .with(
            "header",
            "Last-Event-ID",
            "the last event that was read",
            &json!({ "type": "string" }),
        )
        .answers(200, "They.", &[Body::Media("text/event-stream")]);
    refused(operation, &[403]).carries(503, &["Retry-After"])
}
