// Redundant audio (RFC 2198): each packet of speech carries copies of two earlier ones, so that most of what a network loses
// is there before it could be asked for. Browsers copy the last packet alone.

// How many packets before its own: of three lost in a row the next brings the first and the last, the one after it the second.
const DISTANCES = [3, 1];
const KEPT_MAX = 3;
const PACKET_SAMPLES = 960;     // 20 ms; longer ones go where a link bears no copies
const SOUND_BYTES_MAX = 1_100;  // below the smallest common path MTU
const COPY_BYTES_MAX = 1_023;   // its header has ten bits for the length

/** One line of speech. */
export class Line {
  #kept = []; // { timestamp, sound }, oldest first

  /** A packet as a browser made it, with the copies that are worth most; as it is, if it is no such packet. */
  repeat(timestamp, packet) {
    const own = ownSound(packet);
    if (!own) return packet;
    const copies = [];
    let room = SOUND_BYTES_MAX - own.sound.length;
    for (const distance of DISTANCES) {
      const offset = distance * PACKET_SAMPLES;
      const { sound } = this.#kept.find(kept => (timestamp - kept.timestamp) >>> 0 === offset) ?? {};
      if (!sound || sound.length > Math.min(room, COPY_BYTES_MAX)) continue;
      copies.push({ offset, sound });
      room -= sound.length;
    }
    this.#kept.push({ timestamp, sound: own.sound });
    if (this.#kept.length > KEPT_MAX) this.#kept.shift();
    return packed(own, copies);
  }
}

/** What a packet carries besides copies; undefined where its headers do not add up. */
function ownSound(packet) {
  let at = 0, copied = 0;
  for (; packet[at] & 0x80; at += 4) copied += (packet[at + 2] & 3) << 8 | packet[at + 3];
  const sound = packet.slice(at + 1 + copied);
  return sound.length ? { type: packet[at], sound } : undefined;
}

/** RFC 2198, section 3: a header for each copy and one for the packet's own sound, then all sound in that order. */
function packed({ type, sound }, copies) {
  const headers = copies.map(({ offset, sound: { length } }) => [0x80 | type, offset >> 6, (offset & 63) << 2 | length >> 8, length & 255]);
  const parts = [...headers, [type], ...copies.map(copy => copy.sound), sound];
  const packet = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (packet.set(part, at), at + part.length), 0);
  return packet;
}
