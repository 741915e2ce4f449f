//! The thread's own: a renderer and a file for each seat that was heard.

use std::collections::BTreeMap;

use bytes::Bytes;
use throng_archive::{ArchiveError, TrackFile, tracks_kept};
use throng_core::timeline::{FRAMES_PER_PART, PartIndex};
use throng_media::WideFrame;
use throng_media::mixer::{MAX_SPEAKERS, SeatId};
use throng_media::rendering::{TRACK_RENDITION, Track};

use super::Keeping;

/// Seats that can have a track: all of a stage. A seat has one for ever, so no more are ever made.
const TRACKS_MAX: usize = MAX_SPEAKERS;

pub(super) struct Keeper {
    keeping: Keeping,
    /// Empty until the first frame.
    tracks: BTreeMap<SeatId, Kept>,
    /// Those of an earlier process, which go on.
    earlier: Vec<u32>,
    failing: bool,
}

/// One seat's track.
struct Kept {
    renderer: Track,
    /// The frame that comes next, counted from go-live.
    next_frame: u64,
    /// Once the disk has let us.
    file: Option<TrackFile>,
}

impl Keeper {
    pub(super) fn new(keeping: Keeping) -> Self {
        let earlier = tracks_kept(&keeping.folder);
        keeping.kept.add(earlier.iter().copied());
        Self {
            keeping,
            tracks: BTreeMap::new(),
            earlier,
            failing: false,
        }
    }

    /// Takes a frame, counted from go-live, after those that were silent.
    pub(super) fn take(&mut self, frame: u64, sounds: &[(SeatId, Box<WideFrame>)]) {
        let earlier = std::mem::take(&mut self.earlier);
        let heard = sounds.iter().map(|(seat, _)| *seat);
        for seat in earlier.into_iter().map(SeatId).chain(heard) {
            self.begin(seat, frame);
        }
        let seats: Vec<_> = self.tracks.keys().copied().collect();
        for seat in seats {
            self.render_until(seat, frame);
            let mut sound = WideFrame::SILENCE;
            for (_, sent) in sounds.iter().filter(|(sender, _)| *sender == seat) {
                sound.add(sent);
            }
            self.render(seat, &sound);
        }
    }

    /// Writes what is left, and silence up to the end of the recording, if that is its end.
    pub(super) fn finish(mut self, end: Option<PartIndex>) {
        if let Some(end) = end {
            let frames = end.0.saturating_sub(self.keeping.live.0) * FRAMES_PER_PART;
            if frames > 0 {
                self.end_at(frames);
            }
        }
        for kept in self.tracks.values_mut() {
            if let Some(Err(error)) = kept.file.as_mut().map(TrackFile::sync) {
                tracing::error!(%error, "the end of a track may not be on the disk");
            }
        }
    }

    fn end_at(&mut self, frames: u64) {
        for seat in std::mem::take(&mut self.earlier) {
            self.begin(SeatId(seat), frames - 1);
        }
        let seats: Vec<_> = self.tracks.keys().copied().collect();
        for seat in seats {
            self.render_until(seat, frames);
            let Some(mut kept) = self.tracks.remove(&seat) else {
                continue;
            };
            let place = kept.renderer.next();
            if let Some(chunk) = kept.renderer.finish(&self.keeping.silence) {
                let written = write(&self.keeping, seat, &mut kept.file, place, &chunk);
                self.report(written);
            }
            if let Some(Err(error)) = kept.file.as_mut().map(TrackFile::sync) {
                self.report(Err(error));
            }
        }
    }

    /// A track that is heard from a frame on; its renderer begins with the part of that frame, and what is missing before is
    /// silence, which the file is given when it is open.
    fn begin(&mut self, seat: SeatId, frame: u64) {
        if self.tracks.contains_key(&seat) || self.tracks.len() >= TRACKS_MAX {
            return;
        }
        let part = frame / FRAMES_PER_PART;
        let kept = Kept {
            renderer: Track::new(self.keeping.channels, PartIndex(part)),
            next_frame: part * FRAMES_PER_PART,
            file: None,
        };
        self.tracks.insert(seat, kept);
    }

    fn render_until(&mut self, seat: SeatId, frame: u64) {
        while self
            .tracks
            .get(&seat)
            .is_some_and(|kept| kept.next_frame < frame)
        {
            self.render(seat, &WideFrame::SILENCE);
        }
    }

    fn render(&mut self, seat: SeatId, sound: &WideFrame) {
        let Some(kept) = self.tracks.get_mut(&seat) else {
            return;
        };
        kept.next_frame += 1;
        let place = kept.renderer.next();
        if let Some(chunk) = kept.renderer.push(sound, &self.keeping.silence) {
            let written = write(&self.keeping, seat, &mut kept.file, place, &chunk);
            self.report(written);
        }
    }

    fn report(&mut self, written: Result<(), ArchiveError>) {
        match written {
            Ok(()) => self.failing = false,
            Err(error) => {
                metrics::counter!("throng_track_errors_total").increment(1);
                if !self.failing {
                    self.failing = true;
                    tracing::error!(%error, "a speaker's track cannot be written; the programme and its recording go on");
                }
            }
        }
    }
}

/// Appends a chunk, and silence before it for what is missing. What was there already, from before a restart, stays.
fn write(
    keeping: &Keeping,
    seat: SeatId,
    file: &mut Option<TrackFile>,
    place: PartIndex,
    chunk: &Bytes,
) -> Result<(), ArchiveError> {
    let track = if let Some(track) = file {
        track
    } else {
        let opened = TrackFile::open(&keeping.folder, seat.0, &keeping.init)?;
        if let Some(spoilt) = opened.set_aside() {
            tracing::error!(seat = seat.0, path = %spoilt.display(), "the disk has spoilt a speaker's track; it was set aside, and another begun");
        }
        keeping.kept.add([seat.0]);
        file.insert(opened)
    };
    while track.next() < place {
        let silent = keeping.silence.chunk(TRACK_RENDITION, track.next());
        track.append(&silent)?;
    }
    if track.next() == place {
        track.append(chunk)?;
    }
    Ok(())
}
