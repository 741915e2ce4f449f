// How the desk says numbers, times and states, and small ways to put them on the page.
import { server } from './time.js';

export const $ = id => document.getElementById(id);
const READ_MS = 30_000; // by then the reason for a failed act has been read
export const MARKS = { announced: 'Announced', doors: 'Doors open', live: '● Live', ended: 'Ended', cancelled: 'Cancelled' };

const pad = n => String(n).padStart(2, '0');

export function clock(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const minutes = `${s >= 3600 ? pad(Math.floor(s / 60) % 60) : Math.floor(s / 60)}:${pad(s % 60)}`;
  return s >= 3600 ? `${Math.floor(s / 3600)}:${minutes}` : minutes;
}

export const count = n => new Intl.NumberFormat().format(n ?? 0);

export function moment(time) {
  return new Date(time).toLocaleString([], { weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });
}

/** "+3 dB", with a true minus. */
export const decibels = db => `${db > 0 ? '+' : db < 0 ? '\u2212' : ''}${Math.abs(db)} dB`;

/** "2026-12-01T20:00" in the reader's zone, as <input type=datetime-local> wants it. */
export function localInput(time) {
  if (!time) return '';
  const t = new Date(time);
  return `${t.getFullYear()}-${pad(t.getMonth() + 1)}-${pad(t.getDate())}T${pad(t.getHours())}:${pad(t.getMinutes())}`;
}

/** Over, and played out: the end of a delayed programme is heard some seconds after it was said. */
export const isOut = space => isOver(space) && !(server.secondsUntil(space.ended_at) > 0);
export const isOver = space => space.state === 'ended' || space.state === 'cancelled';

export function text(id, words) {
  const element = typeof id === 'string' ? $(id) : id;
  if (element.textContent !== words) element.textContent = words;
}

/** An element with attributes and children; children that are strings become text. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** What to warn a host of who expects more people than the server has shown that it carries. */
export function tooMany({ expected_listeners: expected, capacity = {} }) {
  const { slots, rehearsed } = capacity;
  if (!expected) return undefined;
  const title = `You expect ${count(expected)} listeners.`;
  if (slots && slots < expected) return { title, detail: `This server lets in ${count(slots)} at once; more are told to come again. Ask its operator for more room.` };
  if (!rehearsed) return { title, detail: 'Nobody has rehearsed this server with so many. Ask its operator to, before you announce it.' };
  return undefined;
}

/** What the server says is in trouble now, and since when. */
export function alarmOf({ alarms = [] }, kind) {
  const alarm = alarms.find(alarm => alarm.kind === kind);
  return alarm && { title: alarm.title, detail: `${alarm.detail} (Since ${new Date(alarm.since).toLocaleTimeString()}.)` };
}

/** A problem in words. What has none is a fault of this page. */
export function saidOf(problem) {
  return problem.title ? problem : { title: 'This page made a mistake', detail: `Load it again. It says: ${problem.message}` };
}

/** Shows what went wrong in `box`; with no problem, hides it. What is shown already is not said again. */
export function showProblem(box, problem) {
  box.hidden = !problem;
  box.until = performance.now() + READ_MS;
  if (!problem) return;
  const { title, detail = '' } = saidOf(problem);
  if (box.textContent !== `${title} ${detail}`) box.replaceChildren(make('b', {}, title), ` ${detail}`);
}

/** The same for what a page looks up by itself. That this went well takes away no reason why an act failed: that stands until
    the next act, or until it has been read. */
export function showLook(box, problem) {
  if (!problem && performance.now() < box.until) return;
  showProblem(box, problem);
  box.until = 0;
}
