# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Videos as people give them (files, URLs, bytes), checked and bounded before a decoder opens them.

A video is content, never a program: only formats that hold their pictures themselves are opened, so that no file makes the
process read another file or open a connection.
"""

import contextlib
import io
import os
import stat
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit

from huggingface_hub import get_session


# How a file begins that is text or a picture, for an error message that names it.
_SIGNATURES = {
    b"ffconcat": "a concat script of FFmpeg",
    b"#EXTM3U": "an HLS playlist",
    b"v=0": "an SDP session description",
    b"<?xml": "an XML file, such as a DASH or SMIL playlist",
    b"<MPD": "a DASH playlist",
    b"[playlist]": "a playlist",
    b"<!DOCTYPE": "a web page",
    b"<html": "a web page",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"ID3": "an MP3 file, which is sound",
    b"fLaC": "a FLAC file, which is sound",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"version https://git-lfs": "a Git LFS pointer, not the file that it stands for",
}


class VideoDecodingError(OSError):
    """Raised for a video that cannot be read: missing, empty, damaged, or not a video. The message names it."""


@dataclass(frozen=True)
class VideoLimits:
    """
    Bounds on what one video may cost. Exceeding one is a [`VideoDecodingError`] that names the video.

    Args:
        seconds (`float`, defaults to 300):
            Time for downloading, and again for decoding a video.
        download_bytes (`int`, defaults to 4 GiB):
            Size of a download, which is kept in a temporary file while the video is decoded.
        frame_pixels (`int`, defaults to 2**26):
            Width times height of a frame; twice that of 8K.
        num_frames (`int`, defaults to 10,000,000):
            Frames of a video.
    """

    seconds: float = 300.0
    download_bytes: int = 2**32
    frame_pixels: int = 2**26
    num_frames: int = 10_000_000

    def __post_init__(self):
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"`{name}` must be greater than 0, got {value}.")


class Deadline:
    """The moment at which reading a video has taken too long."""

    def __init__(self, seconds: float):
        self.seconds = seconds
        self.end = time.monotonic() + seconds

    def check(self):
        if time.monotonic() > self.end:
            raise TimeoutError(f"it takes longer than {self.seconds:g} s")


# What the file of a video can be given as.
Video = str | os.PathLike | bytes | bytearray | memoryview | io.BufferedIOBase


@dataclass
class VideoFile:
    """A video that can be opened: a regular file by its absolute path, or its content in memory, and its name in messages."""

    name: str
    content: str | io.BytesIO

    def open(self) -> str | io.BytesIO:
        """Return what decoders open: the path, or the content from its start."""
        if isinstance(self.content, io.BytesIO):
            self.content.seek(0)
        return self.content

    @property
    def size(self) -> int:
        """Size in bytes."""
        return (
            self.content.getbuffer().nbytes if isinstance(self.content, io.BytesIO) else os.path.getsize(self.content)
        )

    def describe_content(self) -> str | None:
        """Name what the file is instead of a video, if its first bytes tell."""
        source = self.open()
        if isinstance(source, io.BytesIO):
            head = source.read(512)
        else:
            with open(source, "rb") as file:
                head = file.read(512)
        text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
        for signature, kind in _SIGNATURES.items():
            if text[: len(signature)].lower() == signature.lower():
                return kind
        is_text = head and all(byte >= 32 or byte in b"\t\r\n" for byte in head)
        return "a text file, such as a playlist or a script" if is_text else None


@contextlib.contextmanager
def open_video_file(video: Video, limits: VideoLimits) -> Iterator[VideoFile]:
    """
    Check a video given as a path, an http(s) URL, content or an open file, and download it if need be. A download is removed
    at the end of the context.

    Raises:
        VideoDecodingError: If it is missing, empty, or not a regular file, or cannot be downloaded within the limits.
    """
    if isinstance(video, io.BytesIO):
        video = video.getvalue()
    elif hasattr(video, "read"):
        video = _read_open_file(video, limits)
    if isinstance(video, (bytes, bytearray, memoryview)):
        file = VideoFile(f"of {len(video)} bytes in memory", io.BytesIO(video))
    else:
        name = os.fspath(video)
        if name.lower().startswith(("http://", "https://")):
            with tempfile.TemporaryDirectory(prefix="video-") as folder:
                path = os.path.join(folder, "video")
                try:
                    with open(path, "wb") as content:
                        copy_within_limits(_download(name), content, limits)
                except Exception as error:
                    raise VideoDecodingError(
                        f"The video {name} cannot be downloaded: {error or repr(error)}"
                    ) from error
                yield _check_size(VideoFile(name, path))
            return
        # Absolute, because FFmpeg takes what precedes a colon in a relative path for a protocol.
        file = VideoFile(name, os.path.abspath(name))
        try:
            mode = os.stat(name).st_mode
        except (OSError, ValueError) as error:  # ValueError: a null character
            missing = isinstance(error, FileNotFoundError)
            reason = "does not exist" if missing else f"cannot be read: {error}"
            raise VideoDecodingError(f"The video {name} {reason}.") from error
        if stat.S_ISDIR(mode):
            raise VideoDecodingError(f"The video {name} is a folder. Give the files in it.")
        if not stat.S_ISREG(mode):
            raise VideoDecodingError(f"The video {name} is a pipe or a device, not a file.")
        if not os.access(name, os.R_OK):
            raise VideoDecodingError(f"The video {name} cannot be read: permission denied.")
    yield _check_size(file)


def _read_open_file(file: io.IOBase, limits: VideoLimits) -> bytes:
    name = getattr(file, "name", "in an open file")
    content, is_text = io.BytesIO(), False
    try:
        is_text = isinstance(file.read(0), str)
        if not is_text:
            if file.seekable():
                file.seek(0)
            copy_within_limits(iter(lambda: file.read(2**20), b""), content, limits)
    except (OSError, ValueError) as error:
        raise VideoDecodingError(f"The video {name} cannot be read: {error}") from error
    if is_text:
        raise VideoDecodingError(f'The video {name} is open as text. Open it with the mode "rb".')
    return content.getvalue()


def _check_size(file: VideoFile) -> VideoFile:
    if file.size == 0:
        raise VideoDecodingError(f"The video {file.name} is empty (0 bytes).")
    return file


def copy_within_limits(pieces: Iterable[bytes], file: BinaryIO, limits: VideoLimits):
    """
    Write the pieces of a video to a file, in a thread of its own, because nothing else ends a read that waits for ever, such
    as one of a pipe, or for the name or the first byte of a server.

    Raises:
        TimeoutError, ValueError: If the video exceeds the time or the size of a download.
    """
    errors, is_late = [], threading.Event()

    def copy():
        size = 0
        try:
            for data in pieces:
                size += len(data)
                if size > limits.download_bytes:
                    raise ValueError(
                        f"it has more than {limits.download_bytes:,} bytes, the limit of a download (`download_bytes`)"
                    )
                if is_late.is_set():
                    return
                file.write(data)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    thread.join(limits.seconds)
    is_late.set()
    if thread.is_alive():
        raise TimeoutError(f"it takes longer than {limits.seconds:g} s")
    if errors:
        raise errors[0]


def _download(url: str) -> Iterator[bytes]:
    """Yield the content of a URL, piece by piece."""
    for _ in range(10):
        # 30 s without any data end a connection.
        with get_session().stream("GET", url, follow_redirects=False, timeout=30.0) as response:
            if response.has_redirect_location:
                target = urljoin(url, response.headers["location"])
                if urlsplit(target).scheme not in {"https", urlsplit(url).scheme}:
                    raise ValueError(f"the server redirects to {target}, which is not followed")
                url = target
                continue
            response.raise_for_status()
            yield from response.iter_bytes()
            return
    raise ValueError("the server redirects more than 10 times")
