"""Many readers of one stream, each at about a kilobyte a second: `slow_readers.py HOST PORT PATH COUNT`.

Says `ready` when all are connected, and reads on until its standard input is closed.
"""

import select
import socket
import sys
import time

BYTES_A_SECOND = 1000
# Little is on its way while it is not read.
RECEIVE_BUFFER_BYTES = 4096


def connected(host, port, path):
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    reader.connect((host, port))
    reader.sendall(f"GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
    reader.setblocking(False)
    return reader


def read_a_little(readers):
    """Those who are still served, after a kilobyte more."""
    served = []
    for reader in readers:
        try:
            if reader.recv(BYTES_A_SECOND):
                served.append(reader)
        except BlockingIOError:
            served.append(reader)
        except OSError:
            pass
    return served


def main(host, port, path, count):
    readers = [connected(host, int(port), path) for _ in range(int(count))]
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        since = time.monotonic()
        readers = read_a_little(readers)
        select.select([sys.stdin], [], [], max(0, since + 1 - time.monotonic()))
    print(len(readers), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
