// The host's microphone to the stage, off air: heard while the key is held, by those whom it is for.
import { isWriting } from './keys.js';
import { Microphone } from './microphone.js';
import { $, make, showProblem, text } from './words.js';
import { Whip } from './whip.js';

const IDLE_MS = 60_000; // the microphone is given back so long after the last word

export class Talkback {
  #url; #key; #line; #microphone = new Microphone(); #held = false; #opening; #idle;

  constructor(url, key) {
    this.#url = url;
    this.#key = key;
    this.#takeButton($('talk'));
    document.addEventListener('keydown', event => {
      if (!isKey(event)) return;
      event.preventDefault();
      if (!event.repeat) this.#hold(true);
    });
    document.addEventListener('keyup', event => {
      if (isPress(event)) event.preventDefault(); // else it is a click, too
      if (isPress(event) || event.code === 'KeyT') this.#hold(false);
    });
    addEventListener('blur', () => this.#hold(false));
    addEventListener('pagehide', () => this.close());
    $('talk-to').addEventListener('change', () => {
      this.#hangUp();
      if (this.#held && this.#microphone.isOpen) this.#call();
    });
  }

  /** Held by a pointer. A click that nobody's finger made, as voice control and screen readers make it, cannot be held: the next
      one ends it. */
  #takeButton(button) {
    let pointed = false;
    button.addEventListener('pointerdown', event => {
      if (event.button !== 0) return;
      pointed = true;
      button.setPointerCapture(event.pointerId);
      this.#hold(true);
    });
    for (const end of ['pointerup', 'pointercancel', 'blur']) button.addEventListener(end, () => this.#hold(false));
    button.addEventListener('pointercancel', () => { pointed = false; });
    button.addEventListener('click', event => {
      if (!pointed || !event.detail) this.#hold(!this.#held);
      pointed = false;
    });
  }

  /** Offers the seats of the stage. */
  draw(speakers = []) {
    const to = $('talk-to'), known = to.options.length - 1;
    if (known !== speakers.length) to.replaceChildren(make('option', { value: 'all' }, 'Everybody'), ...speakers.map(({ seat }) => make('option', { value: seat }, `Speaker ${seat}`)));
  }

  close() {
    this.#held = false;
    this.#hangUp();
    this.#microphone.close();
    this.#microphone = new Microphone(); // one that is still being opened is not this one
    this.#opening = undefined;
    this.#tell();
  }

  async #hold(held) {
    if (held === this.#held || (held && $('talk-box').hidden)) return;
    this.#held = held;
    clearTimeout(this.#idle);
    this.#microphone.setMuted(!held);
    this.#tell();
    if (!held) { this.#idle = setTimeout(() => this.close(), IDLE_MS); return; }
    const opening = this.#opening ??= this.#open();
    await opening;
    if (this.#opening === opening) this.#opening = undefined;
  }

  /** Microphone and line, once, however often the key goes down meanwhile: of two microphones, one would be sent and the other
      heard. */
  async #open() {
    const microphone = this.#microphone;
    try {
      if (!microphone.isOpen) {
        await microphone.open(undefined, true);
        microphone.onLost(() => this.#lose(microphone, { title: 'Your microphone is gone', detail: 'Plug it in or choose another one, then hold the button again.' }));
      }
      if (microphone !== this.#microphone) microphone.close(); // hung up meanwhile
      else if (!this.#line) this.#call();
    } catch (problem) { this.#lose(microphone, problem); }
  }

  #lose(microphone, problem) {
    if (microphone !== this.#microphone) return;
    this.close();
    showProblem($('problem'), problem);
  }

  #call() {
    const line = this.#line = new Whip(`${this.#url}?to=${$('talk-to').value}`, this.#key);
    line.addEventListener('state', () => { if (line === this.#line && line.state !== 'idle') this.#tell(); });
    line.addEventListener('problem', event => showProblem($('problem'), event.detail));
    line.join(this.#microphone.sent);
  }

  #hangUp() {
    const line = this.#line;
    this.#line = undefined;
    line?.leave();
  }

  #tell() {
    const isUp = this.#line?.state === 'connected';
    $('talk').setAttribute('aria-pressed', this.#held && isUp);
    document.documentElement.dataset.talkback = !this.#line ? 'off' : isUp ? (this.#held ? 'talks' : 'up') : 'opening';
    text('talk-word', !this.#held ? 'Hold it, or hold T. Only they hear it: never listeners, never the recording.'
      : isUp ? 'They hear you. You are off air.' : 'Opening your microphone…');
  }
}

/** T, without anything else, and not where somebody writes; or the button, pressed by a key. */
function isKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return false;
  return isPress(event) || (event.code === 'KeyT' && !isWriting(event.target));
}

const isPress = event => event.target === $('talk') && (event.key === ' ' || event.key === 'Enter');
