// Whether a link is too narrow for what we send: it loses packets, and those that arrive come later and later.
// Loss alone is no reason to send less: copies fill it. Where a queue has filled as well, we are the cause.

const LOST_MIN = 0.1;         // less is filled by copies
const QUEUE_MIN_SECONDS = 0.2; // beyond the jitter of most networks
const BAD_MAX = 2;            // reports in a row; one comes each second
const LEAN_MS = 60_000;       // then we try the usual again; each time that was too early, twice as long, up to half an hour
const TRIES_MAX = 5;
const LEAN_BITS = 12_000;     // with its headers 37 kbit/s

export class Narrow {
  #least = Infinity; #bad = 0; #leanUntil = 0; #tries = 0; #told;
  isLean = false;

  /** Takes what the stage reports of our packets (`remote-inbound-rtp`); the same report may come again. */
  look({ timestamp, fractionLost, roundTripTime } = {}) {
    if (timestamp === undefined || roundTripTime === undefined || timestamp === this.#told) return;
    this.#told = timestamp;
    this.#least = Math.min(this.#least, roundTripTime);
    if (this.isLean && performance.now() < this.#leanUntil) return;
    if (this.isLean) this.#bad = 0;
    const isBad = fractionLost >= LOST_MIN && roundTripTime >= this.#least + QUEUE_MIN_SECONDS;
    this.#bad = isBad ? this.#bad + 1 : 0;
    this.isLean = this.#bad >= BAD_MAX;
    if (this.isLean) this.#leanUntil = performance.now() + LEAN_MS * 2 ** Math.min(TRIES_MAX, this.#tries++);
  }
}

/** Makes a sender send lean, or as usual. A browser that cannot leave the copies out sends them smaller. */
export async function suit(sender, isLean) {
  for (const chosen of [true, false]) {
    const parameters = sender.getParameters();
    const [encoding] = parameters.encodings;
    delete encoding.codec;
    delete encoding.maxBitrate;
    if (isLean) encoding.maxBitrate = LEAN_BITS;
    const opus = parameters.codecs.find(codec => codec.mimeType.toLowerCase() === 'audio/opus');
    if (isLean && chosen && opus) encoding.codec = opus;
    try { return await sender.setParameters(parameters); } catch { /* once more without choosing a codec */ }
  }
  return undefined;
}
