// Starting over while it is live: the segments that everybody else heard, from go-live on, by `event.m3u8`. The page's own
// player plays them, by the same clock; a browser without MediaSource plays the list by itself.

const SEGMENT_S = 3.84;
const AHEAD_S = 24;       // so much is kept ready
const BEHIND_S = 60;      // and so much of what was heard, for who goes back a little
const LOOK_MS = 6000;     // from look to look what there is more; who looks counts as a listener
const ANSWER_MS = 8000;
const NOW_S = 8;          // so near to the live moment it is the live moment
const SLOW = .9;          // a segment that took so much of its length: the next is leaner
const ABSENT = 'absent';
const ABSENT_MAX = 2;     // a segment that is not there is asked for again so often, and then left out
const AGAIN_MAX_MS = 8000;

export default page => ({ begin: paused => begin(page, paused) });

/** Goes to the beginning. Words, where that may not be or does not work; then the live sound has gone on. */
async function begin(page, paused) {
  const list = new List(page, paused);
  const why = await list.look().catch(() => 'Starting over did not work: the server does not answer.');
  if (why) return why;
  const bar = await page.more('replay');
  if (!bar) return 'Starting over did not work: a part of the page did not come.';
  const tape = new Tape(page, list);
  page.leave();
  page.tape = tape;
  await tape.open();
  if (page.tape !== tape) return '';
  bar.transport(tape);
  page.show();
  page.more('chapters');
  return '';
}

/** What `event.m3u8` has told: which segments there are. */
class List {
  first = 0; next = 0; end = 0; looked = 0;

  constructor(page, paused) { Object.assign(this, { page, paused }); }

  /** Looks; words where that is refused. Who has it already asks for what is new alone. */
  async look() {
    const { base, me, rendition, playable } = this.page;
    const name = playable() ? rendition() : 'a32';
    const answer = await fetch(`${base}hls/${name}/event.m3u8?l=${me}${this.next ? '&_HLS_skip=YES' : ''}`, { signal: AbortSignal.timeout?.(ANSWER_MS) });
    if (!answer.ok) return answer.json().then(({ reason }) => `${reason}.`.replace(/\.\.$/, '.'), () => answer.status === 503 ? this.paused : 'There is nothing to start over yet.');
    const text = await answer.text();
    const number = pattern => +(pattern.exec(text)?.[1] ?? 0);
    const lengths = [...text.matchAll(/#EXTINF:([\d.]+)/g)].map(([, seconds]) => +seconds);
    this.first = number(/#EXT-X-MEDIA-SEQUENCE:(\d+)/);
    this.next = this.first + number(/SKIPPED-SEGMENTS=(\d+)/) + lengths.length;
    this.end = this.next * SEGMENT_S - (lengths.length ? SEGMENT_S - lengths.at(-1) : 0);
    this.looked = Date.now();
    return this.next > this.first ? '' : 'There is nothing to start over yet.';
  }
}

/** The talk from its beginning, as a place in the programme. */
class Tape {
  grows = true;

  constructor(page, list) {
    const { epoch, started_at: started } = page.state();
    const beginning = list.first * SEGMENT_S, live = (Date.parse(started) - Date.parse(epoch)) / 1000;
    Object.assign(this, { page, list, audio: page.audio, base: `${page.base}hls/` });
    // Go-live lies within the first segment, as far as clocks agree.
    this.start = Math.min(Math.max(beginning, live || 0), beginning + SEGMENT_S - .1);
    this.zero = page.playable() ? this.start : this.start - beginning; // the browser's own player counts from its first segment
    this.changed = () => this.follow();
  }

  isOn() { return this.page.tape === this; }
  position = () => Math.max(0, this.audio.currentTime - this.zero);
  /** It grows from look to look, too. */
  length = () => Math.max(0, this.list.end + Math.min(2 * LOOK_MS, Date.now() - this.list.looked) / 1000 - this.start);

  words() {
    return this.audio.paused ? 'Paused. Listen goes on where you are; “Jump to now” is the live moment.'
      : 'You hear it from the start. The talk is still live: “Jump to now” brings you there.';
  }

  seek(seconds) {
    if (seconds > this.length() - NOW_S) return this.now();
    this.audio.currentTime = this.zero + Math.max(0, seconds);
    this.asking?.abort();
  }

  now() {
    this.page.stop();
    this.page.listen();
  }

  async open() {
    const { page, audio } = this;
    page.hooks.add(this.changed);
    this.timer = setInterval(() => this.look(), LOOK_MS);
    audio.addEventListener('timeupdate', this.caughtUp = () => this.isOn() && audio.playbackRate > 1 && this.position() > this.length() - NOW_S && this.now());
    // What the browser cannot play it shall not stand still at.
    audio.addEventListener('error', this.broken = () => this.isOn() && this.now());
    if (!page.playable()) {
      page.root.via = 'hls';
      audio.src = `${this.base}${page.wished() ? 'a32' : 'a64'}/event.m3u8?l=${page.me}`;
      return page.play();
    }
    page.root.via = 'event';
    this.media = await page.attach();
    this.fill();
  }

  /** Keeps so much ready as is wanted, for as long as this plays. */
  async fill() {
    const { page, audio } = this;
    for (let tries = 0, absent = 0, isFirst = true; this.isOn();) {
      const n = this.wanted();
      if (n === null) { await page.sleep(250); continue; }
      const wrong = await this.take(n).then(() => this.wanted() === n && ABSENT, why => why);
      if (!this.isOn()) return;
      if (!wrong) {
        if (isFirst) audio.currentTime = this.start;
        tries = absent = 0; isFirst = false;
      } else if (wrong === ABSENT && ++absent > ABSENT_MAX) {
        audio.currentTime = (n + 1) * SEGMENT_S;
        absent = 0;
      } else if (wrong.name !== 'AbortError') {
        if (tries++) page.say('The connection was lost. Trying again by itself.', true);
        await page.sleep(Math.min(AGAIN_MAX_MS, 500 * 2 ** tries));
      }
    }
  }

  /** The segment that comes next, if it is time and there is one. */
  wanted() {
    const { audio, list } = this, { buffered } = audio;
    const t = Math.max(audio.currentTime, list.first * SEGMENT_S);
    let end = t;
    for (let i = 0; i < buffered.length; i++) if (buffered.start(i) <= t + .1 && buffered.end(i) > t) end = buffered.end(i);
    const n = Math.floor((end + .02) / SEGMENT_S);
    return end - t > AHEAD_S || n >= list.next ? null : n;
  }

  /** Fetches a segment and appends it. */
  async take(n) {
    const { page, media: { source, buffer } } = this, rendition = page.rendition(), began = Date.now();
    this.asking = new AbortController();
    if (rendition !== this.rendition) await this.append(await this.bytes(`${rendition}/init.mp4`));
    this.rendition = rendition;
    const bytes = await this.bytes(`${rendition}/${n}.m4s`);
    if (Date.now() - began > SLOW * SEGMENT_S * 1000 && rendition !== 'o16') page.slower(1);
    const keepFrom = this.audio.currentTime - BEHIND_S;
    if (buffer.buffered.length && buffer.buffered.start(0) < keepFrom) await this.change(() => buffer.remove(0, keepFrom));
    await this.append(bytes);
    // The browser lets nobody seek behind what it takes for the end.
    if (source.readyState === 'open' && !(source.duration > this.list.end && Number.isFinite(source.duration))) source.duration = this.list.end + .1;
  }

  async bytes(name) {
    const timer = setTimeout(() => this.asking.abort(new Error('late')), ANSWER_MS * 2);
    const answer = await fetch(this.base + name, { signal: this.asking.signal });
    if (answer.status === 404) throw ABSENT;
    if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
    return answer.arrayBuffer().finally(() => clearTimeout(timer));
  }

  append(bytes) { return this.change(() => this.media.buffer.appendBuffer(bytes)); }

  async change(does) {
    if (!this.isOn()) throw new Error('over');
    does();
    if (await this.page.once(this.media.buffer, 'updateend', 'error') === 'error') throw new Error('not playable');
  }

  look() {
    if (this.isOn() && !this.audio.paused) this.list.look().catch(() => {});
  }

  /** It has ended, and the replay goes on here; or somebody went back to now. */
  follow() {
    const { page } = this, { state, recording } = page.state();
    if (this.isOn() && state === 'ended' && recording?.seconds > 0) {
      page.handed = { at: this.position(), on: !this.audio.paused };
      page.stop();
      return page.show();
    }
    if (this.isOn() || this.isOver) return;
    this.isOver = true;
    clearInterval(this.timer);
    this.asking?.abort();
    page.hooks.delete(this.changed);
    this.audio.removeEventListener('timeupdate', this.caughtUp);
    this.audio.removeEventListener('error', this.broken);
    const bar = page.$('tape');
    if (bar.contains(document.activeElement)) page.$('listen').focus();
    if (!page.tape) bar.replaceChildren();
  }
}
