"""Fragmented MP4 as it comes (ISO/IEC 14496-12): chunk by chunk, with the number of each."""

import struct


def chunks(stream):
    """The whole chunks of a fragmented MP4 with the number that each gives itself (ISO/IEC 14496-12, `mfhd`)."""
    while box := read_box(stream):
        if box[4:8] == b"moof" and (sound := read_box(stream)):
            yield struct.unpack_from(">I", box, box.index(b"mfhd") + 8)[0] - 1, box + sound


def read_box(stream):
    head = stream.read(8)
    if len(head) < 8:
        return None
    rest = struct.unpack_from(">I", head)[0] - 8
    body = stream.read(rest)
    return head + body if len(body) == rest else None
