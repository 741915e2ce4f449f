//! What a host may ask of the recording: chapters, and to take it away.

use super::desk::{HOST, HOST_ALONE, api};
use super::operation::{Operation, json_of};
use super::refused;
use crate::api::spaces::chapters::{ChapterBody, MarkBody, MarkedJson};
use crate::chapters::ChapterJson;

pub(super) fn operations() -> Vec<Operation> {
    let chapter = "/api/spaces/{slug}/chapters/{chapter}";
    vec![
        refused(
            api(
                "post",
                "/api/spaces/{slug}/chapters",
                "markChapter",
                "A chapter begins",
                HOST,
            )
            .says("At a second of the recording; where none is said, now. At most 200.")
            .reads(json_of::<MarkBody>())
            .answers(201, "It.", &[json_of::<ChapterJson>()]),
            &[403, 409, 413, 422],
        ),
        refused(
            api(
                "post",
                "/api/spaces/{slug}/chapters/from-turns",
                "markSpeeches",
                "A chapter begins wherever somebody takes the word",
                HOST,
            )
            .says("Whoever talks for half a minute or more, while others say a word at most, has it. Where a chapter begins already, none does.")
            .answers(200, "Those that were marked.", &[json_of::<MarkedJson>()]),
            &[403, 409],
        ),
        refused(
            api(
                "patch",
                chapter,
                "editChapter",
                "Moves or renames a chapter",
                HOST,
            )
            .reads(json_of::<ChapterBody>())
            .answers(200, "It, changed.", &[json_of::<ChapterJson>()]),
            &[403, 409, 413, 422],
        ),
        refused(
            api(
                "delete",
                chapter,
                "removeChapter",
                "Removes a chapter",
                HOST,
            )
            .answers(204, "Gone.", &[]),
            &[403, 409],
        ),
        refused(
            api(
                "delete",
                "/api/spaces/{slug}/recording",
                "deleteRecording",
                "Deletes the recording of a space that has ended",
                HOST_ALONE,
            )
            .says("For good. The space, its link and its numbers stay, and say that it is gone.")
            .answers(204, "Gone.", &[]),
            &[403, 409],
        ),
    ]
}
