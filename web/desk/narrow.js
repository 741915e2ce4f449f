// Whether a link is too narrow for what we send: it loses packets, and those that arrive come later and later.
// Loss alone is no reason to send less: copies fill it. Where a queue has filled as well, or stands, we are part of the cause.
// The stage answers alike: who sends packets of 60 ms hears such packets.

const LOST_MIN = 0.2;         // of what a report tells of; less is filled by copies, or was a hiccup
const QUEUE_MIN_SECONDS = 0.2; // beyond the jitter of most networks; two reports in a row say that it stands
const LEAN_MS = 45_000;       // then we try the usual again; each time that was too early, twice as long, up to 24 minutes
const TRIES_MAX = 5;
const QUEUE_MAX_MS = 500;     // as much as routers hold; what is longer is both ways, or an outage
const LEAN_BITS = 16_000;     // with all headers 24 kbit/s
const LEAN_MS_A_PACKET = 60;

export class Narrow {
  #least = Infinity; #wasLate = false; #leanUntil = 0; #tries = 0; #told;
  isLean = false;
  queueMs = 0; // how much waited on the way when we became lean: for so long nothing should be sent, so that it is gone

  /** Takes what the stage reports of our packets (`remote-inbound-rtp`) at a time in ms; the same report may come again. */
  look(now, { timestamp, fractionLost, roundTripTime } = {}) {
    if (timestamp === undefined || roundTripTime === undefined || timestamp === this.#told) return;
    this.#told = timestamp;
    this.#least = Math.min(this.#least, roundTripTime);
    if (this.isLean) {
      if (now < this.#leanUntil) return;
      // A report tells of the time before it: this one is not one of the usual. What is still long is the way.
      this.isLean = this.#wasLate = false;
      this.#least = roundTripTime;
      return;
    }
    const isLate = roundTripTime >= this.#least + QUEUE_MIN_SECONDS;
    this.isLean = isLate && (this.#wasLate || fractionLost >= LOST_MIN);
    this.#wasLate = isLate;
    if (!this.isLean) return;
    this.#leanUntil = now + LEAN_MS * 2 ** Math.min(TRIES_MAX, this.#tries++);
    this.queueMs = Math.min(QUEUE_MAX_MS, 1_000 * (roundTripTime - this.#least));
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
