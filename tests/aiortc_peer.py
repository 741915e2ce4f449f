"""aiortc as a speaker (WHIP) or a listener (WHEP), for as long as standard input is open.

    aiortc_peer.py URL [--key KEY] [--say FILE] [--keep FILE.raw]

`--say` makes it a speaker; what comes back is kept as raw 16-bit mono at 48 kHz.
"""

import argparse
import asyncio
import contextlib
import sys
import urllib.parse
import urllib.request

import av
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaPlayer
from aiortc.mediastreams import MediaStreamError

SDP = "application/sdp"


async def main(asked):
    peer = RTCPeerConnection()
    keeping = []
    peer.on("track", lambda track: keeping.append(asyncio.ensure_future(keep(track, asked.keep))))
    if asked.say:
        peer.addTrack(MediaPlayer(asked.say, loop=True).audio)
    else:
        peer.addTransceiver("audio", direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    headers = {"Content-Type": SDP} | ({"Authorization": f"Bearer {asked.key}"} if asked.key else {})
    answer = await asyncio.to_thread(post, asked.url, peer.localDescription.sdp, headers)
    await peer.setRemoteDescription(RTCSessionDescription(sdp=answer["sdp"], type="answer"))
    await asyncio.to_thread(sys.stdin.read)
    await asyncio.to_thread(leave, answer["resource"], headers)
    await peer.close()


def post(url, offer, headers):
    asked = urllib.request.Request(url, data=offer.encode(), method="POST", headers=headers)
    with urllib.request.urlopen(asked, timeout=30) as answer:
        assert answer.status == 201, answer.status
        return {"sdp": answer.read().decode(), "resource": urllib.parse.urljoin(url, answer.headers["Location"])}


def leave(resource, headers):
    urllib.request.urlopen(urllib.request.Request(resource, method="DELETE", headers=headers), timeout=30).close()


async def keep(track, path):
    """Writes what comes, as it comes."""
    shape = av.AudioResampler(format="s16", layout="mono", rate=48_000)
    with open(path, "wb", buffering=0) if path else open("/dev/null", "wb") as out:
        with contextlib.suppress(MediaStreamError):
            while True:
                for frame in shape.resample(await track.recv()):
                    out.write(bytes(frame.planes[0])[: frame.samples * 2])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--key")
    parser.add_argument("--say")
    parser.add_argument("--keep")
    asyncio.run(main(parser.parse_args()))
