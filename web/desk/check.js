// The sound check: how loud one is, in words, and a recording that only this page hears. No server is asked.
import { text } from './words.js';

const RECORD_SECONDS = 4;   // a sentence
const LOOKED_AT_MS = 3_000; // the loudest of these tells how somebody speaks; pauses between words do not
const SILENT_DB = -70;      // less than the noise of any open microphone
const VOICE_DB = -52;       // less is a room in which nobody speaks
const SOFT_DB = -38;
const LOUD_DB = -9;
const CLIPPED = 0.985;      // of full scale
const CLIPPED_LOOKS = 3;    // one click is no clipping

const ADVICE = {
  wait: 'Say something, as loud as you will speak.',
  silent: 'Nothing comes from this microphone. Is it muted, or is another one meant? Choose it in the settings below.',
  soft: 'Too soft. Come closer, or turn the microphone up.',
  good: 'Good. Speak like this.',
  loud: 'Too loud: it distorts. Move away, or turn the microphone down.',
};

/** What to tell somebody of his level: `wait`, `silent`, `soft`, `good` or `loud`. */
export class Advice {
  #looks = [];

  /** One look at a time in ms: loudness in dBFS, and the highest sample. */
  hear(now, db, peak) {
    this.#looks.push({ now, db, peak });
    while (this.#looks[0].now < now - LOOKED_AT_MS) this.#looks.shift();
    const loudest = Math.max(...this.#looks.map(look => look.db));
    if (loudest > LOUD_DB || this.#looks.filter(look => look.peak >= CLIPPED).length >= CLIPPED_LOOKS) return 'loud';
    if (loudest >= SOFT_DB) return 'good';
    if (loudest >= VOICE_DB) return 'soft';
    return loudest < SILENT_DB && now - this.#looks[0].now > LOOKED_AT_MS * 0.9 ? 'silent' : 'wait';
  }
}

/** The button that records and plays back, and the line of advice. */
export class SoundCheck {
  #button; #line; #microphone; #open; #advice = new Advice(); #run = 0; #playing;

  /** `open` opens the microphone and says whether that went well. */
  constructor(button, line, microphone, open) {
    this.#button = button;
    this.#line = line;
    this.#microphone = microphone;
    this.#open = open;
    button.addEventListener('click', () => this.#check());
  }

  /** Looks at the microphone, while it is open and one is not on stage. */
  look(now) {
    if (!this.#microphone.isOpen || this.#playing) return;
    const kind = this.#advice.hear(now, this.#microphone.levelDb, this.#microphone.peak);
    if (this.#line.dataset.advice === kind) return;
    this.#line.dataset.advice = kind;
    text(this.#line, ADVICE[kind]);
  }

  /** One goes on stage, or away: nothing is recorded or played any more. */
  stop() {
    this.#run++;
    this.#playing?.close();
    this.#playing = undefined;
    this.#say('Check my sound', false);
  }

  async #check() {
    const run = ++this.#run;
    this.#say('Recording: say something…', true);
    try {
      if (!this.#microphone.isOpen && !await this.#open()) return this.stop();
      const sound = await recorded(this.#microphone.stream);
      if (run === this.#run) await this.#play(sound, run);
    } catch {
      text(this.#line, 'This browser cannot record. Join, and ask the others how you sound.');
    }
    if (run === this.#run) this.stop();
  }

  async #play(sound, run) {
    const context = this.#playing = new AudioContext();
    const source = new AudioBufferSourceNode(context, { buffer: await context.decodeAudioData(sound) });
    if (run !== this.#run) return;
    this.#say('Playing: this is how you sound…', true);
    delete this.#line.dataset.advice;
    text(this.#line, 'From loudspeakers? Then the others hear themselves through your microphone: put on headphones.');
    source.connect(context.destination);
    const over = new Promise(done => source.addEventListener('ended', done));
    source.start();
    await over;
    this.#button.dataset.played = source.buffer.duration.toFixed(1);
  }

  #say(words, isBusy) {
    text(this.#button, words);
    this.#button.disabled = isBusy;
  }
}

/** Some seconds of a stream, as a file. */
async function recorded(stream) {
  const recorder = new MediaRecorder(stream);
  const pieces = [];
  recorder.addEventListener('dataavailable', event => pieces.push(event.data));
  const over = new Promise((done, fail) => {
    recorder.addEventListener('stop', done);
    recorder.addEventListener('error', event => fail(event.error));
  });
  recorder.start();
  setTimeout(() => { if (recorder.state !== 'inactive') recorder.stop(); }, RECORD_SECONDS * 1_000);
  await over; // or its microphone was closed
  return new Blob(pieces, { type: recorder.mimeType }).arrayBuffer();
}
