// What a speaker must know at a glance: who hears him now, and when that changes.
import { clock, isOver } from './words.js';

const NO_MICROPHONE = 'Nobody hears you: your microphone is gone, or muted by your system. Choose another one in the settings.';

/** What the lamp shows: `kind` is off, soon, on or muted; `time` counts down or up. `here` is what this page knows of itself:
    isJoined, isCutOff while its connection is lost, and of its microphone isMuted, and isLost where nothing comes from it. */
export function lampOf(space, here, server) {
  if (isOver(space)) {
    return space.state === 'ended'
      ? lamp('off', 'It is over', 'Nobody hears you any more. Thank you!')
      : lamp('off', 'Cancelled', 'This space will not take place.');
  }
  const mine = space.speakers?.[space.seat - 1];
  const isWaiting = mine?.place === 'green_room';
  const left = startsIn(space, server);
  if (left !== undefined) return soon(clock(Math.ceil(left)), here, mine, isWaiting);
  return space.state === 'live' ? live(space, here, mine, isWaiting, server) : before(space, here, isWaiting, server);
}

/** Seconds until the stage is on air, once that is certain: by the host's countdown, or because the cut is made ahead. */
export function startsIn(space, server) {
  if (space.cue) return Math.max(0, server.secondsUntil(space.cue.at));
  const left = space.state === 'live' ? server.secondsUntil(space.started_at) : 0;
  return left > 0 ? left : undefined;
}

function soon(time, here, mine, isWaiting) {
  if (isWaiting) return lamp('off', 'OFF AIR', 'The stage goes on air without you: you are in the green room.', `Live in ${time}`);
  if (!here.isJoined) return lamp('off', 'OFF AIR', 'Join the stage now to be heard.', `Live in ${time}`);
  const words = mine?.muted_by_host ? 'The host has muted you.' : here.isLost ? NO_MICROPHONE : here.isMuted ? 'You are muted.' : 'Get ready.';
  return lamp('soon', 'ON AIR IN', words, time);
}

function live(space, here, mine, isWaiting, server) {
  const time = space.started_at ? clock(-server.secondsUntil(space.started_at)) : '';
  if (isWaiting && here.isJoined) return lamp('off', 'OFF AIR', here.isLost ? NO_MICROPHONE : 'You hear the stage. Nobody hears you until the host brings you on.', time);
  if (!here.isJoined) {
    const words = here.isCutOff ? 'Your connection is lost: nobody hears you until it is back.'
      : isWaiting ? 'The space is live. Join, and wait in the green room until the host brings you on.'
        : 'The space is live. Join the stage to be heard.';
    return lamp('off', 'OFF AIR', words, time);
  }
  if (mine?.muted_by_host) return lamp('muted', 'MUTED', 'The host has muted you: nobody hears you.', time);
  if (here.isLost) return lamp('muted', 'NO MICROPHONE', NO_MICROPHONE, time);
  if (here.isMuted) return lamp('muted', 'MUTED', 'Nobody hears you.', time);
  return lamp('on', 'ON AIR', 'Everybody hears you.', time);
}

function before(space, here, isWaiting, server) {
  const left = server.secondsUntil(space.scheduled_at);
  const time = left > 0 ? `Starts in ${clock(left)}` : '';
  const words = !here.isJoined ? 'Listeners hear hold music.'
    : here.isLost ? NO_MICROPHONE
    : isWaiting ? 'You are in the green room: you hear the stage, and nobody hears you.'
      : 'Listeners hear hold music, not you. Talk with the others, if you like.';
  return lamp('off', 'OFF AIR', words, time);
}

const lamp = (kind, title, words, time = '') => ({ kind, title, words, time });
