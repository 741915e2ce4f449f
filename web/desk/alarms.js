// What is wrong stands in sight, however far the page is scrolled, and in the tab, for who looks at another.
import { $ } from './words.js';

let name = '';

/** Names the tab, with a mark while something is wrong. */
export function nameTab(words = name) {
  name = words;
  const isWrong = [...$('alarms').children].some(one => !one.hidden);
  const title = `${isWrong ? '⚠ ' : ''}${name}`;
  if (name && document.title !== title) document.title = title;
}

new MutationObserver(() => nameTab()).observe($('alarms'), { subtree: true, attributeFilter: ['hidden'] });
// Whatever gets the focus is scrolled to where they do not cover it.
new ResizeObserver(() => document.documentElement.style.setProperty('--alarms', `${$('alarms').offsetHeight}px`)).observe($('alarms'));
