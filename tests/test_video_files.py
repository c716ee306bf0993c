# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""A video is content, never a program, and costs no more than its limits allow."""

import os
import socket
import struct
import tempfile
import threading
import time
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from PIL import Image

from modeling_dist import VideoDecodingError
from modeling_dist.testing import moving_square, write_video
from modeling_dist.video_decoding_dist import VideoLimits, decode_video


SCRIPTS = {
    "an SDP session description": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "a concat script of FFmpeg": b"ffconcat version 1.0\nfile square.mp4\n",
    "an HLS playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nsquare.mp4\n#EXT-X-ENDLIST\n",
    "an XML file, such as a DASH or SMIL playlist": b'<?xml version="1.0"?><MPD><BaseURL>square.mp4</BaseURL></MPD>',
    "a text file, such as a playlist or a script": b"square.mp4\nsquare.mp4\n",
    "a web page": b"<!DOCTYPE html><html><body>404</body></html>",
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
}


@pytest.fixture
def square(tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    return write_video(tmp_path / "square.mp4", moving_square())


def decode(video, **options):
    return decode_video(video, lambda total_num_frames, fps: [0], **options)


@pytest.mark.parametrize("kind", SCRIPTS)
@pytest.mark.parametrize("name", [None, "script.mp4", "script.m3u8", "script.sdp", "script.ffconcat"])
def test_a_script_is_refused_by_name(square, tmp_path, kind, name):
    video = SCRIPTS[kind]
    if name is not None:
        Path(name).write_bytes(SCRIPTS[kind])
        video = name
    with pytest.raises(VideoDecodingError, match=f"it is {kind}"):
        decode(video)


def test_a_script_is_read_if_its_format_is_named(square):
    Path("script.txt").write_bytes(SCRIPTS["a concat script of FFmpeg"])
    assert decode("script.txt", container_format="concat").total_num_frames == len(moving_square())


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_picture_is_no_video(tmp_path, suffix):
    Image.fromarray(moving_square()[0]).save(tmp_path / f"frame_%03d.{suffix}")
    with pytest.raises(VideoDecodingError, match="it is a (PNG|JPEG) picture"):
        decode(tmp_path / f"frame_%03d.{suffix}")


@pytest.mark.parametrize(
    "name", ["12:30 clip.mp4", "http:clip.mp4", "concat:a|b.mp4", "%03d.mp4", "-i.mp4", "file:x.mp4"]
)
def test_a_name_is_a_name_whatever_it_looks_like(square, name):
    Path(square).rename(name)
    assert decode(name).total_num_frames == decode(os.path.abspath(name)).total_num_frames == len(moving_square())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_pipes_and_devices_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    for path in (tmp_path / "pipe.mp4", "/dev/zero"):
        with pytest.raises(VideoDecodingError, match="is a pipe or a device"):
            decode(path)


@pytest.mark.parametrize("video", ["nowhere.mp4", "a\0b.mp4", "file:///etc/passwd", "x" * 5000])
def test_what_cannot_be_there_is_named(video):
    with pytest.raises(VideoDecodingError, match="does not exist|cannot be read"):
        decode(video)


# ---- limits


def test_large_frames_are_refused_before_they_are_decoded(square):
    height, width = moving_square().shape[1:3]
    with pytest.raises(VideoDecodingError, match=f"{width} x {height} pixels exceeds the limit.*frame_pixels"):
        decode(square, limits=VideoLimits(frame_pixels=height * width - 1))
    decode(square, limits=VideoLimits(frame_pixels=height * width))


@pytest.mark.parametrize("suffix", ["mp4", "avi"])
def test_the_number_of_frames_is_limited(tmp_path, suffix):
    path = write_video(tmp_path / f"square.{suffix}", moving_square(30))
    with pytest.raises(VideoDecodingError, match="more than 29 frames"):
        decode(path, limits=VideoLimits(num_frames=29))
    decode(path, limits=VideoLimits(num_frames=30))


def test_a_file_that_declares_more_frames_than_bytes_is_refused(square):
    content = bytearray(Path(square).read_bytes())
    place = content.index(b"stsz")
    content[place + 8 : place + 16] = struct.pack(">II", 1, 20_000_000)
    with pytest.raises(VideoDecodingError, match="declares 20,000,000 samples"):
        decode(bytes(content), damaged="ignore")


def test_time_is_limited(square):
    with pytest.raises(VideoDecodingError, match="square.mp4.*longer than 1e-09 s"):
        decode(square, limits=VideoLimits(seconds=1e-9))


@pytest.mark.parametrize("name", ["seconds", "download_bytes", "frame_pixels", "num_frames"])
def test_limits_must_be_positive(name):
    with pytest.raises(ValueError, match=f"`{name}` must be greater than 0"):
        VideoLimits(**{name: 0})


# ---- addresses


@pytest.fixture
def serve(monkeypatch):
    """Answer each connection with a function of its socket, and return the address."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    huggingface_hub.close_session()
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def start(answer) -> str:
        def run():
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=handle, args=(connection,), daemon=True).start()

        def handle(connection):
            with connection:
                try:
                    connection.recv(65536)
                    answer(connection, stop)
                except OSError:
                    pass  # the client has gone

        threading.Thread(target=run, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/clip.mp4"

    yield start
    stop.set()
    listener.close()
    huggingface_hub.close_session()


HEADER = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n"


def say_nothing(connection, stop):
    stop.wait(30)


def trickle(connection, stop):
    connection.sendall(HEADER + b"Content-Length: 1000000\r\n\r\n")
    while not stop.wait(0.05):
        connection.sendall(b"x")


def trickle_the_header(connection, stop):
    while not stop.wait(0.05):
        connection.sendall(b"H")


def never_end(connection, stop):
    connection.sendall(HEADER + b"\r\n")
    while not stop.is_set():
        connection.sendall(bytes(65536))


def end_early(connection, stop):
    connection.sendall(HEADER + b"Content-Length: 1000000\r\n\r\n" + bytes(1000))


def redirect_to_a_file(connection, stop):
    connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n")


def redirect_in_a_circle(connection, stop):
    connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /clip.mp4\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (say_nothing, "longer than 1 s"),
        (trickle, "longer than 1 s"),
        (trickle_the_header, "longer than 1 s"),
        (never_end, "more than 1,000,000 bytes"),
        (end_early, "without sending complete message body|incomplete"),
        (redirect_to_a_file, "redirects to file:///etc/passwd"),
        (redirect_in_a_circle, "redirects more than 10 times"),
    ],
)
def test_a_server_cannot_hold_up_or_flood(serve, tmp_path, monkeypatch, answer, reason):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    url, began = serve(answer), time.monotonic()
    with pytest.raises(VideoDecodingError, match=f"(?s){url} cannot be downloaded: .*({reason})"):
        decode(url, limits=VideoLimits(seconds=1, download_bytes=10**6))
    assert time.monotonic() - began < 20  # not for ever
    assert not list(tmp_path.iterdir())


def test_a_download_is_decoded_and_removed(serve, square, tmp_path, monkeypatch):
    content = Path(square).read_bytes()
    (tmp_path / "downloads").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "downloads"))

    def send(connection, stop):
        connection.sendall(HEADER + f"Content-Length: {len(content)}\r\n\r\n".encode() + content)

    frames = decode(serve(send)).frames
    np.testing.assert_array_equal(frames, decode(square).frames)
    assert not list((tmp_path / "downloads").iterdir())
