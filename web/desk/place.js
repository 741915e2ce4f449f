// Who is on stage and who waits in the green room: a button for each seat, and one for newcomers.
import { $, make, text } from './words.js';

/** Draws into the lines that drawHand made; `act.place(seat, place)` moves somebody. */
export function drawPlaces(list, space, act) {
  for (const [i, speaker] of (space.speakers ?? []).entries()) {
    const hand = list.children[i].querySelector('.hand');
    const button = hand.querySelector('[data-place]') ?? newButton(hand, speaker.seat, act);
    const isWaiting = speaker.place === 'green_room';
    button.dataset.place = speaker.place;
    text(button, isWaiting ? 'Bring on stage' : 'To the green room');
    const isHidden = !isWaiting && !space.green_room && !speaker.connected;
    if (isHidden && button === document.activeElement) hand.firstElementChild.focus();
    button.hidden = isHidden;
  }
  $('green-room').setAttribute('aria-pressed', space.green_room);
  text('green-word', space.green_room ? 'Newcomers wait in the green room: they hear the stage, and nobody hears them until you bring them on.' : '');
}

function newButton(hand, seat, act) {
  const button = make('button', { type: 'button', 'data-place': '', 'data-seat': seat, 'aria-describedby': `who-${seat}` });
  button.addEventListener('click', () => act.place(seat, button.dataset.place === 'green_room' ? 'stage' : 'green_room'));
  hand.append(button);
  return button;
}
