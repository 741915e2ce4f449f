// Whether our browser adds a coarse copy of each packet to the next (Opus in-band FEC, RFC 6716 section 2.1.7). It takes the
// bits of that packet for it, and that is heard: beside copies of two packets (red.js) it is worth it where much is lost.

const HEAVY = 0.18, LIGHT = 0.1; // shares of packets; between them all stays as it is
const WEIGHT = 0.1;              // of a report, of which four come in a second: what is past counts for some seconds

export class Losses {
  #share = 0; #told;
  isHeavy = false;

  /** Takes what the stage reports of our packets (`remote-inbound-rtp`); the same report may come again. */
  look({ timestamp, fractionLost } = {}) {
    if (timestamp === undefined || fractionLost === undefined || timestamp === this.#told) return;
    this.#told = timestamp;
    this.#share += WEIGHT * (fractionLost - this.#share);
    this.isHeavy = this.#share >= (this.isHeavy ? LIGHT : HEAVY);
  }
}

/** Whether an answer agrees on copies of whole packets (RFC 2198). */
export const hasCopies = answer => /^a=rtpmap:\d+ red\/48000/im.test(answer);

/** An answer after which our browser adds no coarse ones. */
export const withoutFec = answer => answer.replace(/^(a=fmtp:\d+ .*)useinbandfec=1/m, '$1useinbandfec=0');
