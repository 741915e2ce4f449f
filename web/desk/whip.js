// One speaker's WebRTC connection by WHIP (RFC 9725), sendrecv: our microphone out, everybody else back.
// It keeps itself connected until leave(): the same key takes the same seat again, unless somebody else with it did, or the
// host has ended it.
import { Problem, problemOf } from './api.js';
import { hasCopies, Losses, withoutFec } from './fec.js';
import { Narrow, leaned } from './narrow.js';

const ANSWER_MS = 10_000;  // POST to answer
const CONNECT_MS = 15_000; // answer to connected
const COPIER_MS = 1_000;   // by then the worker runs, or we go on without it
const LOOK_MS = 100;       // between two looks whether packets still come
const ASK_LOOKS = 3;       // the stage sends 50 packets a second, of silence too: after 0.3 s without any we ask whether it is there,
const LOST_LOOKS = 6;      // and after 0.6 s it is lost, if it is
const GRACE_LOOKS = 2;     // where the network has just come back, the next packet comes about as soon as the answer
const ASKING_MAX = 3;      // a question on a connection whose address is gone hangs: the next goes by another
const ASK_MS = 1_000;      // no answer by then: the network is away, and what we have goes on when it is back
const FIRST_RETRY_MS = 300;
const LAST_RETRY_MS = 5_000;

const GONE = 410;
const REMOVED = 'urn:throng:problem:removed';
const unreachable = () => new Problem(0, 'The server cannot be reached', 'Check your connection. This page keeps trying.');
const sleep = ms => new Promise(done => setTimeout(done, ms));

/** What puts more copies into each packet than browsers do; undefined where they know no copies or let nobody, or it does not
    start. */
const copier = startCopier().catch(() => undefined);

async function startCopier() {
  const knowsCopies = RTCRtpSender.getCapabilities('audio').codecs.some(codec => codec.mimeType === 'audio/red');
  if (!knowsCopies || !('RTCRtpScriptTransform' in globalThis)) return undefined;
  const worker = new Worker(new URL('copies.js', import.meta.url), { type: 'module' });
  return new Promise(done => {
    worker.addEventListener('message', () => done(worker), { once: true });
    worker.addEventListener('error', () => done());
    setTimeout(done, COPIER_MS);
  });
}

/** Offers to send a packet again that got lost: browsers can, and offer it for video alone. */
const resending = sdp => sdp.replace(/^a=rtpmap:(\d+) opus\/48000\/2\r\n/im, '$&a=rtcp-fb:$1 nack\r\n');

/** Offers to send two channels (RFC 7587 section 6.1). Whether they are sent, the answer says. */
function inStereo(sdp) {
  const [, opus] = /^a=rtpmap:(\d+) opus\/48000/im.exec(sdp) ?? [];
  return sdp.replace(new RegExp(`^a=fmtp:${opus} (?!.*sprop-stereo).*`, 'm'), '$&;sprop-stereo=1');
}

export class Whip extends EventTarget {
  #url; #key; #track; #stereo = false; #link;
  #run = 0; // every join has a number; whatever belongs to an older one stops
  isLean = false; // whether the link bears little
  state = 'idle'; // idle, connecting, connected, reconnecting, replaced, removed

  constructor(url, key) {
    super();
    this.#url = url;
    this.#key = key;
  }

  /** Joins and stays joined; `stereo` where the stage takes two channels. 'state', 'heard' (a MediaStream) and 'problem' events
      tell the rest. */
  async join(track, stereo = false) {
    const run = ++this.#run;
    this.#track = track;
    this.#stereo = stereo;
    this.#tell('connecting');
    let lost; // the session that we had, until the server has said what became of it
    for (let tries = 0; run === this.#run;) {
      try {
        if (lost) await this.#giveBack(lost);
        lost = undefined;
        const link = await this.#connect();
        if (run !== this.#run) return;
        tries = 0;
        this.#tell('connected');
        await this.#untilLost(link);
        lost = link.resource;
        link.resource = undefined;
        if (run !== this.#run) return;
        this.#close(link);
        this.#tell('reconnecting');
        continue;
      } catch (problem) {
        if (run !== this.#run) return;
        if (problem.status === GONE) return this.#stop(problem.type === REMOVED ? 'removed' : 'replaced');
        this.dispatchEvent(new CustomEvent('problem', { detail: problem }));
        if (problem.isRefusal) return this.leave();
        if (lost) tries = 0; // who is away loses nothing by being asked often, and is found the sooner
      }
      if (run !== this.#run) return;
      this.#close(this.#link);
      this.#tell('reconnecting');
      await sleep(Math.random() * Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** tries++));
    }
  }

  /** Swaps the microphone without a new connection. */
  async replaceTrack(track) {
    this.#track = track;
    await this.#link?.pc.getSenders()[0]?.replaceTrack(track);
  }

  leave() { this.#stop('idle'); }

  #stop(state) {
    this.#run++;
    this.#close(this.#link);
    this.#tell(state);
  }

  async #connect() {
    const run = this.#run;
    const [frame, worker] = await Promise.all([freshFrame(), copier]);
    if (run !== this.#run) return frame.remove();
    const link = this.#link = { frame, pc: new frame.contentWindow.RTCPeerConnection({ bundlePolicy: 'max-bundle' }) };
    link.over = new Promise(over => { link.end = over; });
    link.pc.addEventListener('track', event => {
      const detail = event.streams[0] ?? new MediaStream([event.track]);
      this.dispatchEvent(new CustomEvent('heard', { detail }));
    });
    const { sender } = link.pc.addTransceiver(this.#track, { direction: 'sendrecv' });
    if (worker) sender.transform = new RTCRtpScriptTransform(worker); // at once: later, Chromium goes without
    await offers(link.pc, this.#stereo);
    const answer = await this.#offer(link);
    link.answers = { heavy: answer, light: worker && hasCopies(answer) ? withoutFec(answer) : answer, lean: leaned(answer) };
    if (this.#link !== link) this.#close(link); // left meanwhile: give the seat back
    else await link.pc.setRemoteDescription({ type: 'answer', sdp: link.answers.light });
    await settled(link);
    return link;
  }

  /** POSTs our offer, without our addresses: the stage answers whoever asks with the right words (ICE lite, RFC 8445), and
      need not wait until they are gathered. The answer is the other side's, its Location is what we DELETE in the end. */
  async #offer(link) {
    const response = await fetch(this.#url, {
      method: 'POST',
      headers: { Authorization: `Bearer ${this.#key}`, 'Content-Type': 'application/sdp' },
      body: link.pc.localDescription.sdp,
      signal: AbortSignal.timeout(ANSWER_MS),
    }).catch(() => { throw unreachable(); });
    if (!response.ok) throw await problemOf(response);
    const location = response.headers.get('Location');
    link.resource = location && new URL(location, response.url).href;
    return response.text().catch(() => { throw unreachable(); });
  }

  /** Looks at what arrives: that tells sooner than the connection state, which waits for ICE. While the server does not
      answer either, the network is away: what we have goes on when it is back, and nobody has to come in anew. */
  async #untilLost({ pc, answers }) {
    const narrow = new Narrow(), losses = new Losses();
    this.isLean = false;
    let received = 0, silent = 0, asking = 0, answered = 0; // silent looks until now, and until the answer
    while (!['failed', 'closed'].includes(pc.connectionState)) {
      const before = received, wasLean = narrow.isLean, wasHeavy = losses.isHeavy, told = await stats(pc);
      received = told('inbound-rtp')?.packetsReceived ?? 0;
      narrow.look(performance.now(), told('remote-inbound-rtp'));
      losses.look(told('remote-inbound-rtp'));
      const usual = losses.isHeavy ? answers.heavy : answers.light;
      if (narrow.isLean !== wasLean) await this.#suit(pc, narrow.isLean ? answers.lean : usual, narrow);
      else if (losses.isHeavy !== wasHeavy && !narrow.isLean) await agree(pc, this.#stereo, usual).catch(() => {}); // as good as before
      silent = received > before ? 0 : silent + 1;
      if (!silent) answered = 0;
      if (silent && silent % ASK_LOOKS === 0 && asking < ASKING_MAX && !answered) {
        asking++;
        this.#isThere().then(there => { asking--; if (there) answered ||= silent; });
      }
      if (silent >= LOST_LOOKS && answered && silent > answered + GRACE_LOOKS) return;
      const seen = silent >= LOST_LOOKS ? 'reconnecting' : silent ? this.state : 'connected';
      if (this.#link?.pc === pc && seen !== this.state) this.#tell(seen);
      await sleep(LOOK_MS);
    }
  }

  /** Sends lean, once what waits on the way is gone, or the usual again. */
  async #suit(pc, answer, { isLean, queueMs }) {
    this.isLean = isLean;
    const [sender] = pc.getSenders();
    try {
      if (isLean) await sender.replaceTrack(null);
      await agree(pc, this.#stereo, answer);
      if (isLean) await sleep(queueMs);
    } catch { /* better too much than nothing */ }
    if (isLean) await sender.replaceTrack(this.#track).catch(() => {}); // closed by us
  }

  /** Whether the server answers, be it what it may. */
  #isThere() {
    const ask = fetch(this.#url, { method: 'OPTIONS', cache: 'no-store', signal: AbortSignal.timeout(ASK_MS) });
    return ask.then(() => true, () => false);
  }

  /** Ends a lost session. GONE says that somebody took the seat meanwhile, or that the host has ended it; any other refusal, that it is unknown. */
  async #giveBack(resource) {
    const response = await fetch(resource, {
      method: 'DELETE',
      headers: { Authorization: `Bearer ${this.#key}` },
      signal: AbortSignal.timeout(ASK_MS),
    }).catch(() => { throw unreachable(); });
    if (response.status === GONE || response.status >= 500) throw await problemOf(response);
  }

  #close(link) {
    if (!link) return;
    link.pc.close();
    link.frame.remove();
    link.end();
    if (this.#link === link) this.#link = undefined;
    if (!link.resource) return;
    fetch(link.resource, { method: 'DELETE', headers: { Authorization: `Bearer ${this.#key}` }, keepalive: true }).catch(() => {});
    link.resource = undefined;
  }

  #tell(state) {
    this.state = state;
    this.dispatchEvent(new Event('state'));
  }
}

/** A frame of this page, empty and unseen. What is opened in a new one asks which addresses the machine has; where something is
    open already, Chromium tells of new ones two seconds late, when it takes a change of networks to be over. */
function freshFrame() {
  const frame = document.createElement('iframe');
  frame.hidden = true;
  return new Promise(done => {
    frame.addEventListener('load', () => done(frame), { once: true });
    document.body.append(frame);
  });
}

async function offers(pc, stereo) {
  const { sdp } = await pc.createOffer();
  await pc.setLocalDescription({ type: 'offer', sdp: resending(stereo ? inStereo(sdp) : sdp) });
}

/** Goes on with another answer than the stage gave: it is told nothing, as it takes whatever was agreed on first. */
async function agree(pc, stereo, answer) {
  await offers(pc, stereo);
  await pc.setRemoteDescription({ type: 'answer', sdp: answer });
}

function settled({ pc, over }) {
  const noPath = new Problem(0, 'No way through to the stage', 'A firewall may block the sound. Try another network. This page keeps trying.');
  return new Promise((done, fail) => {
    const look = () => {
      if (pc.connectionState === 'connected') done();
      if (pc.connectionState === 'failed') fail(noPath);
    };
    pc.addEventListener('connectionstatechange', look);
    setTimeout(() => fail(noPath), CONNECT_MS);
    over.then(done); // closed by us: nothing to report
    look();
  });
}

/** The first of a connection's statistics, by type. */
async function stats(pc) {
  const all = [...(await pc.getStats()).values()];
  return type => all.find(one => one.type === type);
}
