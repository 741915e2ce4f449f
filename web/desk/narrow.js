// Whether a link is too narrow for what we send: it loses packets, and those that arrive come later and later.
// Loss alone is no reason to send less: copies fill it. Where a queue has filled as well, we are the cause.

const LOST_MIN = 0.2;         // of a second; less is filled by copies, or was a hiccup
const QUEUE_MIN_SECONDS = 0.2; // beyond the jitter of most networks
const LEAN_MS = 60_000;       // then we try the usual again; each time that was too early, twice as long, up to half an hour
const TRIES_MAX = 5;
const LEAN_BITS = 16_000;     // with all headers 24 kbit/s
const LEAN_MS_A_PACKET = 60;

export class Narrow {
  #least = Infinity; #leanUntil = 0; #tries = 0; #told;
  isLean = false;

  /** Takes what the stage reports of our packets (`remote-inbound-rtp`); the same report may come again. */
  look({ timestamp, fractionLost, roundTripTime } = {}) {
    if (timestamp === undefined || roundTripTime === undefined || timestamp === this.#told) return;
    this.#told = timestamp;
    this.#least = Math.min(this.#least, roundTripTime);
    if (this.isLean) { // a report tells of the second before it: the first after a lean time is not one of the usual
      this.isLean = performance.now() < this.#leanUntil;
      return;
    }
    this.isLean = fractionLost >= LOST_MIN && roundTripTime >= this.#least + QUEUE_MIN_SECONDS;
    if (this.isLean) this.#leanUntil = performance.now() + LEAN_MS * 2 ** Math.min(TRIES_MAX, this.#tries++);
  }
}

/** An answer after which our browser sends lean: Opus without copies, in packets of 60 ms, as most of a small one is headers. */
export function leaned(answer) {
  const [, opus] = /^a=rtpmap:(\d+) opus\/48000/im.exec(answer) ?? [];
  if (!opus) return answer;
  return answer
    .replace(/^(m=audio \d+ \S+) (.*)$/m, (line, begin, types) => [begin, opus, ...types.trim().split(' ').filter(type => type !== opus)].join(' '))
    .replace(new RegExp(`^a=fmtp:${opus} .*?(?=\r?$)`, 'm'), `$&;maxaveragebitrate=${LEAN_BITS}`)
    .replace(/^a=rtpmap:/m, `a=ptime:${LEAN_MS_A_PACKET}\r\na=maxptime:${LEAN_MS_A_PACKET}\r\n$&`);
}
