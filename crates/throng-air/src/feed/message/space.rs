//! A space, field by field. What breaks the rules of a space does not read as one.

use std::num::NonZeroU32;

use bytes::BufMut;
use throng_core::dates::{CORRECTIONS_MAX, Correction, Corrections};
use throng_core::rendition::Channels;
use throng_core::space::{
    Chapters, DeletedBy, Deletion, ProgrammeSetting, SoundSetting, Space, StageSetting, State,
};
use throng_core::time::UnixMillis;

use super::super::TEXT_MAX_BYTES;
use super::super::wire::{Malformed, Reader, put_bytes, put_flag, put_list, put_option};
use super::down::{index, put_slug, slug};

pub(super) fn put_space(out: &mut Vec<u8>, space: &Space) {
    put_bytes(out, space.id.as_bytes());
    put_slug(out, &space.slug);
    put_bytes(out, space.title.as_bytes());
    out.put_i64(space.created_at.0);
    put_bytes(out, space.state.name().as_bytes());
    for part in [space.doors_part, space.live_part, space.end_part] {
        put_option(out, part, |out, part| out.put_u64(part.0));
    }
    for time in [space.scheduled_at, space.started_at, space.ended_at] {
        put_option(out, time, |out, time| out.put_i64(time.0));
    }
    put_option(out, space.delay_reason.as_ref(), |out, reason| {
        put_bytes(out, reason.as_bytes());
    });
    put_option(out, space.programme.message.as_ref(), |out, message| {
        put_bytes(out, message.as_bytes());
    });
    out.put_u32(space.speakers);
    put_flag(out, space.sound.channels.is_stereo());
    let corrections: Vec<_> = space.corrections.iter().collect();
    put_list(out, &corrections, |out, correction| {
        out.put_u64(correction.segment);
        out.put_i64(correction.by_ms);
    });
    put_option(out, space.keep_recording_days, |out, days| {
        out.put_u32(days.get());
    });
    put_option(out, space.recording_deleted, |out, deletion| {
        out.put_i64(deletion.at.0);
        put_bytes(out, deletion.by.name().as_bytes());
    });
}

pub(super) fn space(reader: &mut Reader) -> Result<Space, Malformed> {
    let space = Space {
        id: reader.text(TEXT_MAX_BYTES)?,
        slug: slug(reader)?,
        title: reader.text(TEXT_MAX_BYTES)?,
        created_at: time(reader)?,
        state: State::parse(&reader.text(TEXT_MAX_BYTES)?)
            .ok_or(Malformed("a state that no space has"))?,
        doors_part: reader.option(index)?,
        live_part: reader.option(index)?,
        end_part: reader.option(index)?,
        scheduled_at: reader.option(time)?,
        started_at: reader.option(time)?,
        ended_at: reader.option(time)?,
        delay_reason: reader.option(|reader| reader.text(TEXT_MAX_BYTES))?,
        programme: ProgrammeSetting {
            message: reader.option(|reader| reader.text(TEXT_MAX_BYTES))?,
            // It is in the sound already.
            delay_seconds: 0,
        },
        speakers: reader.u32()?,
        // The rest of its sound is the host's own affair, like what follows: it is not told.
        sound: SoundSetting {
            channels: Channels::of(reader.flag()?),
            ..SoundSetting::default()
        },
        corrections: corrections(reader)?,
        keep_recording_days: reader.option(days)?,
        recording_deleted: reader.option(deletion)?,
        // The host's own affairs: they are not told.
        expected_listeners: None,
        stage: StageSetting::default(),
        // They are told as the document that listeners get.
        chapters: Chapters::default(),
    };
    space.check_invariants().map_err(Malformed)?;
    Ok(space)
}

fn corrections(reader: &mut Reader) -> Result<Corrections, Malformed> {
    let corrections = reader.list(CORRECTIONS_MAX, |reader| {
        Ok(Correction {
            segment: reader.u64()?,
            by_ms: reader.u64()?.cast_signed(),
        })
    })?;
    Corrections::new(corrections).ok_or(Malformed("dates that do not follow one another"))
}

fn days(reader: &mut Reader) -> Result<NonZeroU32, Malformed> {
    NonZeroU32::new(reader.u32()?).ok_or(Malformed("a recording that is kept for no day"))
}

fn deletion(reader: &mut Reader) -> Result<Deletion, Malformed> {
    Ok(Deletion {
        at: time(reader)?,
        by: DeletedBy::parse(&reader.text(TEXT_MAX_BYTES)?)
            .ok_or(Malformed("a recording that nobody has deleted"))?,
    })
}

fn time(reader: &mut Reader) -> Result<UnixMillis, Malformed> {
    Ok(UnixMillis(reader.u64()?.cast_signed()))
}
