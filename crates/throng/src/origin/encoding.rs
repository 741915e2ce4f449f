//! The encoder's thread: programme frames in, parts and WebRTC packets out, so that the mixer never waits for a codec.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::{io, thread};

use bytes::Bytes;
use throng_core::rendition::Channels;
use throng_core::timeline::{FRAMES_PER_PART, PartIndex};
use throng_core::window::Part;
use throng_media::rendering::Renderer;
use throng_media::{Frame, WideFrame};

/// Frames that wait for the encoders, 4 s: more than the scheduler of a busy machine withholds.
const QUEUE_FRAMES: usize = 200;

enum Input {
    Frame { number: u64, frame: Box<WideFrame> },
    End(PartIndex),
}

/// Where the encoded programme goes; called on the encoder's thread. What takes longer than a part lasts delays the
/// programme.
pub(crate) trait Outputs: Send + 'static {
    /// A part is complete.
    fn part(&mut self, part: Arc<Part>);
    /// A frame is encoded in the default rendition.
    fn packet(&mut self, frame: u64, packet: Bytes);
    /// The last part is out.
    fn ended(self);
}

/// The mixer's door to the encoder's thread.
pub(crate) struct Encoding {
    inputs: SyncSender<Input>,
}

impl Encoding {
    /// Starts the thread: the first frame it is given belongs to the beginning of `first`, and `preroll` is what
    /// sounded just before.
    pub(crate) fn start(
        channels: Channels,
        first: PartIndex,
        preroll: Vec<Frame>,
        outputs: impl Outputs,
    ) -> io::Result<Self> {
        let (inputs, queue) = sync_channel(QUEUE_FRAMES);
        thread::Builder::new()
            .name("encoder".to_owned())
            .spawn(move || {
                let renderer = Renderer::new(channels, first, &preroll);
                Encoder {
                    renderer,
                    next: first.0 * FRAMES_PER_PART,
                    outputs,
                }
                .run(&queue);
            })?;
        Ok(Self { inputs })
    }

    /// Hands a frame over; drops it where the encoders are 4 s behind (silence takes its place).
    pub(crate) fn push(&self, number: u64, frame: WideFrame) {
        if let Err(TrySendError::Full(_)) = self.inputs.try_send(Input::Frame {
            number,
            frame: Box::new(frame),
        }) {
            metrics::counter!("throng_encoder_dropped_frames_total").increment(1);
        }
    }

    /// The programme ends before a part; what was pushed is still encoded.
    pub(crate) fn end(self, end: PartIndex) {
        // Waiting here delays nobody: the mixer has nothing left to put out.
        let _ = self.inputs.send(Input::End(end));
    }
}

struct Encoder<O> {
    renderer: Renderer,
    next: u64,
    outputs: O,
}

impl<O: Outputs> Encoder<O> {
    /// Runs until the end, or until the mixer is gone: what was encoded by then is still written.
    fn run(mut self, queue: &Receiver<Input>) {
        while let Ok(input) = queue.recv() {
            match input {
                Input::Frame { number, frame } => {
                    self.fill_until(number);
                    if number == self.next {
                        self.push(&frame);
                    }
                }
                Input::End(end) => {
                    self.fill_until(end.0 * FRAMES_PER_PART);
                    if let Some(part) = self.renderer.finish() {
                        self.outputs.part(Arc::new(part));
                    }
                    break;
                }
            }
        }
        self.outputs.ended();
    }

    /// Silence for the frames that did not come, so that the timeline has no hole.
    fn fill_until(&mut self, number: u64) {
        while self.next < number {
            self.push(&WideFrame::SILENCE);
        }
    }

    fn push(&mut self, frame: &WideFrame) {
        self.next += 1;
        let rendered = self.renderer.push(frame);
        if let Some((number, packet)) = rendered.o48_packet {
            self.outputs.packet(number, packet);
        }
        if let Some(part) = rendered.part {
            self.outputs.part(Arc::new(part));
        }
    }
}
