// The microphone: permission, choice of device, level. What is sent is a clone of the track, so that
// the meter still moves while muted and can say "you are talking, but muted".
import { Problem } from './api.js';

const FLOOR_DB = -100;

export class Microphone {
  #stream; #samples; #analyser; #context;
  sent; // the track that goes to the stage
  muted = false;

  get isOpen() { return Boolean(this.sent); }
  /** Whether it is open and gives nothing: unplugged, or muted by the system. */
  get isLost() { return this.isOpen && [this.sent, this.#stream.getAudioTracks()[0]].some(track => track.readyState === 'ended' || track.muted); }
  /** What the microphone itself gives, muted or not. */
  get stream() { return this.#stream; }
  get label() { return this.#stream?.getAudioTracks()[0]?.label ?? ''; }
  get deviceId() { return this.#stream?.getAudioTracks()[0]?.getSettings().deviceId; }

  /** Asks for the microphone; `clean` lets the browser cancel echo and noise and even the level, which leaves one channel of it. */
  async open(deviceId, clean, stereo = false) {
    if (!navigator.mediaDevices) {
      throw new Problem(0, 'The microphone needs a secure page', 'Open this link with https, or on the machine itself at 127.0.0.1.');
    }
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: {
        deviceId: deviceId ? { exact: deviceId } : undefined,
        echoCancellation: clean, noiseSuppression: clean, autoGainControl: clean, channelCount: stereo && !clean ? 2 : 1,
      } });
    } catch (error) { throw microphoneProblem(error); }
    this.close(); // whatever was open before, or was opened meanwhile
    this.#stream = stream;
    this.sent = stream.getAudioTracks()[0].clone();
    this.sent.enabled = !this.muted;
    this.#watchLevel();
    return this.sent;
  }

  setMuted(muted) {
    this.muted = muted;
    if (this.sent) this.sent.enabled = !muted;
  }

  close() {
    this.sent?.stop();
    this.#stream?.getTracks().forEach(track => track.stop());
    this.#context?.close();
    this.sent = this.#stream = this.#context = this.#analyser = undefined;
  }

  /** Loudness of the last 40 ms in dBFS, and whether the device is still there. */
  get levelDb() {
    if (!this.#analyser) return FLOOR_DB;
    this.#context.resume(); // some browsers start it suspended until a click
    this.#analyser.getFloatTimeDomainData(this.#samples);
    const power = this.#samples.reduce((sum, x) => sum + x * x, 0) / this.#samples.length;
    return power > 0 ? Math.max(FLOOR_DB, 10 * Math.log10(power)) : FLOOR_DB;
  }

  /** The highest sample of what `levelDb` has looked at last. */
  get peak() { return this.#samples?.reduce((highest, x) => Math.max(highest, Math.abs(x)), 0) ?? 0; }

  onLost(act) { this.#stream?.getAudioTracks()[0].addEventListener('ended', act, { once: true }); }

  #watchLevel() {
    this.#context = new AudioContext();
    this.#analyser = new AnalyserNode(this.#context, { fftSize: 2048 });
    this.#samples = new Float32Array(this.#analyser.fftSize);
    this.#context.createMediaStreamSource(this.#stream).connect(this.#analyser);
  }
}

export async function microphones() {
  const all = await navigator.mediaDevices?.enumerateDevices() ?? [];
  return all.filter(device => device.kind === 'audioinput' && device.label);
}

export async function isAlreadyAllowed() {
  try { return (await navigator.permissions.query({ name: 'microphone' })).state === 'granted'; } catch { return false; }
}

function microphoneProblem(error) {
  const known = {
    NotAllowedError: ['The microphone is blocked', 'Allow it for this page: the icon beside the address, then press Join again.'],
    NotFoundError: ['No microphone was found', 'Plug one in or switch it on, then press Join again.'],
    NotReadableError: ['The microphone is busy', 'Another program holds it. Close that program, then press Join again.'],
    OverconstrainedError: ['That microphone is gone', 'Choose another one from the list.'],
  }[error.name] ?? ['The microphone did not open', error.message];
  return new Problem(0, ...known);
}
