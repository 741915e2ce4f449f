// The key of this page. It arrives in the link's fragment (which no server ever sees), is taken out of
// the address bar (hosts share their screens), lives in sessionStorage and leaves as a bearer only.

const nameFor = path => `throng.key:${path}`;

function remember(name, value) {
  try { sessionStorage.setItem(name, value); } catch { /* storage refused: the key lasts as long as the page */ }
}

function recall(name) {
  try { return sessionStorage.getItem(name); } catch { return null; }
}

/** The key for this path, else the one held for `fallbackPath`, else null. */
export function takeKey(fallbackPath) {
  const here = location.pathname;
  const given = new URLSearchParams(location.hash.slice(1)).get('key');
  if (given) {
    remember(nameFor(here), given);
    history.replaceState(null, '', here + location.search);
    return given;
  }
  return recall(nameFor(here)) ?? (fallbackPath ? recall(nameFor(fallbackPath)) : null);
}

/** A new link pasted over this page starts it afresh with the new key. */
export function reloadOnNewKey() {
  addEventListener('hashchange', () => { if (location.hash.includes('key=')) location.reload(); });
}

/** Links are told once, when a space is created; this tab keeps them. */
export function keepLinks(slug, links) { remember(`throng.links:${slug}`, JSON.stringify(links)); }

export function keptLinks(slug) {
  try { return JSON.parse(recall(`throng.links:${slug}`)) ?? {}; } catch { return {}; }
}
