// The server's clock, as far as a page can know it: a countdown runs in step on every page, whatever their own clocks show.

const FORGET_MS = 5; // with each answer, so that a clock that is set, or runs away, is followed in the end

export class ServerTime {
  #aheadMs = 0; #doubtMs = Infinity;

  /** Takes the `now` of an answer that was asked for at one moment of our clock and came at another, in ms: it was made in between. */
  take(now, asked, came) {
    const doubt = (came - asked) / 2;
    this.#doubtMs += FORGET_MS;
    if (!now || doubt < 0 || doubt > this.#doubtMs) return; // less than nothing: our clock was set meanwhile
    this.#doubtMs = doubt;
    this.#aheadMs = Date.parse(now) + doubt - came;
  }

  /** Seconds until a time of the server; NaN without one. */
  secondsUntil(time) { return (Date.parse(time) - Date.now() - this.#aheadMs) / 1000; }
}

/** The one that all of a page counts by: two clocks on one page say two things. */
export const server = new ServerTime();
