// What listeners hear now. The stream is fetched only while the host listens: a silent monitor would count as a listener.
import { $, text } from './words.js';

const SILENT_MS = 10_000; // longer than a network takes to change
const PLAIN = 'Use headphones. You count as one listener.';
const root = document.documentElement.dataset;
let streamUrl, timer;

/** Makes the button work; `listenUrl()` is the link of the listeners. */
export function takeMonitor(listenUrl) {
  const audio = $('monitor-audio');
  // Safari plays no Opus in WebM.
  const file = audio.canPlayType('audio/webm; codecs="opus"') ? 'live.webm' : 'live.aac';
  streamUrl = () => `${listenUrl()}/${file}`;
  $('monitor').addEventListener('click', () => setMonitor(audio.muted));
  audio.addEventListener('playing', () => {
    root.monitor = 'playing';
    clearTimeout(timer);
    if (!audio.muted) text('monitor-word', PLAIN);
  });
  audio.addEventListener('emptied', () => { root.monitor = 'off'; });
  audio.addEventListener('waiting', () => root.monitor === 'playing' && expectSound('Nothing comes. Waiting for it…'));
  audio.addEventListener('pause', () => !audio.ended && stop('It was paused. Press to hear it again.')); // headphones pulled, a call
  audio.addEventListener('ended', () => stop('The stream has ended. Press to hear it again.'));
  audio.addEventListener('error', () => stop('The stream broke off. Press to hear it again.'));
}

export function setMonitor(on) {
  const audio = $('monitor-audio');
  if (on === !audio.muted) return;
  audio.muted = !on;
  clearTimeout(timer);
  $('monitor').setAttribute('aria-pressed', on);
  text('monitor', on ? 'Stop' : 'Hear it');
  text('monitor-word', PLAIN);
  if (on) {
    audio.src = streamUrl();
    expectSound(PLAIN);
    // What else keeps it from starting, its error tells.
    audio.play().catch(problem => problem.name === 'NotAllowedError' && stop('The browser did not let it play. Press again.'));
  } else {
    audio.removeAttribute('src');
    audio.load();
  }
}

/** Sound comes in time, or the host is told that none does. */
function expectSound(words) {
  if ($('monitor-audio').muted) return;
  text('monitor-word', words);
  clearTimeout(timer);
  timer = setTimeout(() => stop('No sound comes. Press to try again.'), SILENT_MS);
}

function stop(words) {
  if ($('monitor-audio').muted) return;
  setMonitor(false);
  text('monitor-word', words);
}
