// A worker between a browser's encoder and its network: speech goes out with copies of what went before.
import { Line } from './red.js';

addEventListener('rtctransform', ({ transformer: { readable, writable } }) => {
  const line = new Line();
  const repeating = new TransformStream({
    transform(frame, out) {
      const { mimeType, rtpTimestamp } = frame.getMetadata();
      // On a narrow link the browser sends plain Opus.
      if (mimeType === 'audio/red') frame.data = line.repeat(rtpTimestamp, new Uint8Array(frame.data)).buffer;
      out.enqueue(frame);
    },
  });
  readable.pipeThrough(repeating).pipeTo(writable).catch(() => {}); // the connection is closed
});
postMessage('here');
