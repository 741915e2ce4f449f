"""Who serves in `bench air`: Throng in its kinds, a bare loop of epoll and send, nginx with HLS, Icecast."""

import contextlib
import os
import signal
import socket
import subprocess
import urllib.request
from dataclasses import dataclass

from figures import EXAMPLES, VOICES, certificate, folder, node
from throng import wait_until

PATIENCE_SECONDS = 120


@dataclass
class System:
    """One way to serve."""

    url: str
    processes: list
    via: str = "progressive"
    arrive: str = "vertical"
    flags: tuple = ()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def running(command, **more):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def sound(*output):
    """48 kb/s of AAC in real time, from a voice."""
    source = ["-re", "-stream_loop", "-1", "-i", str(VOICES / "01-ada.flac"), "-ac", "1", "-ar", "48000"]
    return ["ffmpeg", "-nostdin", "-loglevel", "error", *source, "-c:a", "aac", "-b:a", "48k", *output]


@contextlib.contextmanager
def throng(*flags, rung=0):
    """At a rung that is kept: what is measured is its spans."""
    with node("--rung", str(rung), *flags) as serving:
        space = serving.live()
        with space.speak(1, VOICES / "01-ada.flac"):
            wait_until(lambda: any(seat.get("talking") for seat in space.show()["speakers"]), "the talk has begun")
            yield System(space.listen_url, [serving.process])


@contextlib.contextmanager
def throng_over_tls(*crowd_flags):
    with certificate() as flags, node("--rung", "0", *flags) as serving:
        yield System(serving.live().listen_url, [serving.process], flags=("--insecure", *crowd_flags))


@contextlib.contextmanager
def floor(*words):
    """Lets everybody in, or nobody, told to `refuse`."""
    port = free_port()
    with running([EXAMPLES / "floor", f"127.0.0.1:{port}", *words]) as process:
        wait_until(lambda: listens(port), "the floor listens")
        yield System(f"http://127.0.0.1:{port}/live.mp4", [process])


NGINX = """
daemon off; master_process off; worker_rlimit_nofile 20000; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 19000; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_timeout 75; keepalive_requests 1000000;
  open_file_cache max=100 inactive=10s; open_file_cache_valid 1s;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  types {{ application/vnd.apple.mpegurl m3u8; video/mp4 m4s mp4; }}
  server {{ listen 127.0.0.1:{port} backlog=4096; root {folder}; add_header Access-Control-Allow-Origin *; }}
}}
"""


@contextlib.contextmanager
def nginx():
    port = free_port()
    with folder() as place:
        (place / "nginx.conf").write_text(NGINX.format(folder=place, port=port))
        hls = ["-f", "hls", "-hls_time", "2", "-hls_list_size", "8", "-hls_flags", "delete_segments"]
        hls += ["-hls_segment_type", "fmp4", "-hls_segment_filename", str(place / "%d.m4s"), str(place / "live.m3u8")]
        with running(sound(*hls)), running(["nginx", "-c", place / "nginx.conf", "-p", place]) as process:
            wait_until((place / "3.m4s").exists, "some segments are there", PATIENCE_SECONDS)
            yield System(f"http://127.0.0.1:{port}/live.m3u8", [process], via="hls")


ICECAST = """<icecast>
  <limits><clients>19000</clients><sources>2</sources><queue-size>524288</queue-size>
    <burst-on-connect>0</burst-on-connect><burst-size>0</burst-size></limits>
  <authentication><source-password>bench</source-password><admin-password>bench</admin-password></authentication>
  <hostname>127.0.0.1</hostname><listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address></listen-socket>
  <paths><logdir>{folder}</logdir><webroot>/usr/share/icecast2/web</webroot><adminroot>/usr/share/icecast2/admin</adminroot></paths>
  <logging><errorlog>error.log</errorlog><loglevel>1</loglevel></logging>
  <security><changeowner><user>nobody</user><group>nogroup</group></changeowner></security>
</icecast>
"""


@contextlib.contextmanager
def icecast():
    port = free_port()
    with folder() as place:
        os.chmod(place, 0o777)
        (place / "icecast.xml").write_text(ICECAST.format(folder=place, port=port))
        with running(["icecast2", "-c", place / "icecast.xml"]) as process:
            wait_until(lambda: listens(port), "Icecast listens")
            mount = f"icecast://source:bench@127.0.0.1:{port}/live.aac"
            with running(sound("-f", "adts", "-content_type", "audio/aac", mount)):
                url = f"http://127.0.0.1:{port}/live.aac"
                wait_until(lambda: sounds(url), "Icecast has sound")
                yield System(url, [process], via="plain", arrive="ramp:40s")


def sounds(url):
    """Whether an endless answer has begun."""
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1) as answer:
        return bool(answer.read(1))
    return False
