// The host's microphone to the stage, off air: heard while the key is held, by those whom it is for.
import { Microphone } from './microphone.js';
import { $, make, showProblem, text } from './words.js';
import { Whip } from './whip.js';

const IDLE_MS = 60_000; // the microphone is given back so long after the last word

export class Talkback {
  #url; #key; #line; #microphone = new Microphone(); #held = false; #idle;

  constructor(url, key) {
    this.#url = url;
    this.#key = key;
    const button = $('talk');
    button.addEventListener('pointerdown', event => { if (event.button === 0) { button.setPointerCapture(event.pointerId); this.#hold(true); } });
    for (const end of ['pointerup', 'pointercancel', 'blur']) button.addEventListener(end, () => this.#hold(false));
    document.addEventListener('keydown', event => { if (isKey(event) && !event.repeat) this.#hold(true); });
    document.addEventListener('keyup', event => { if (isKey(event) || event.code === 'KeyT') this.#hold(false); });
    addEventListener('blur', () => this.#hold(false));
    addEventListener('pagehide', () => this.close());
    $('talk-to').addEventListener('change', () => this.#hangUp());
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
    this.#tell();
  }

  async #hold(held) {
    if (held === this.#held || (held && $('talk-box').hidden)) return;
    this.#held = held;
    clearTimeout(this.#idle);
    this.#microphone.setMuted(!held);
    this.#tell();
    if (!held) { this.#idle = setTimeout(() => this.close(), IDLE_MS); return; }
    try {
      if (!this.#microphone.isOpen) await this.#microphone.open(undefined, true);
      if (!this.#line) this.#call();
    } catch (problem) {
      this.close();
      showProblem($('problem'), problem);
    }
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

/** T, without anything else, and not where somebody writes. */
function isKey(event) {
  return event.code === 'KeyT' && !event.ctrlKey && !event.metaKey && !event.altKey && !event.shiftKey && !event.target.closest?.('input, textarea, select');
}
