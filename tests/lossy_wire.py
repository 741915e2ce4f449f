"""A wire between a browser and the stage that loses packets, as a bad network does."""

import random
import re
import select
import socket
import threading

from throng import prefer


class LossyWire:
    """Carries datagrams between whoever sends to it and the stage; of the media towards the stage it loses a share."""

    def __init__(self, loss, seed):
        self.loss = loss
        self.chance = random.Random(seed)
        self.lost = 0
        self.far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.far.bind(("127.0.0.1", 0))
        self.near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.near.bind(("127.0.0.1", 0))
        self.stage = self.browser = None
        self.closing = threading.Event()
        self.carrier = threading.Thread(target=self.carry, daemon=True)
        self.carrier.start()

    def through(self, answer):
        """The SDP answer with our address in place of the stage's; TCP is left out."""
        udp = re.search(r"a=candidate:\S+ 1 udp \d+ (\S+) (\d+) ", answer, re.IGNORECASE)
        self.stage = (udp[1], int(udp[2]))
        host, port = self.near.getsockname()
        lines = [line for line in answer.splitlines() if not re.match(r"a=candidate:\S+ 1 tcp ", line, re.IGNORECASE)]
        return "".join(f"{line}\r\n" for line in lines).replace(f"{udp[1]} {udp[2]} ", f"{host} {port} ")

    def carry(self):
        # A wire does not wait for its turn on a busy machine.
        prefer(threading.get_native_id(), -15)
        while not self.closing.is_set():
            for ready in select.select([self.near, self.far], [], [], 0.1)[0]:
                datagram, source = ready.recvfrom(2048)
                if ready is self.far:
                    self.near.sendto(datagram, self.browser)
                    continue
                self.browser = source
                if is_rtp(datagram) and self.chance.random() < self.loss:
                    self.lost += 1
                else:
                    self.far.sendto(datagram, self.stage)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closing.set()
        self.carrier.join()
        self.near.close()
        self.far.close()


def is_rtp(datagram):
    """RTP, and neither STUN, DTLS nor RTCP (RFC 7983 section 7, RFC 5761 section 4)."""
    return len(datagram) > 12 and 128 <= datagram[0] <= 191 and not 192 <= datagram[1] <= 223
