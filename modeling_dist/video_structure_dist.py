# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Damage in the structure of a video file, which FFmpeg passes over: a part that is cut off, bytes that belong to no part.

Containers consist of parts whose headers give their lengths, so that the parts of a sound file fill it exactly. Only headers are
read, without FFmpeg.
"""

import contextlib
import re
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np

from .video_files_dist import VideoFile


# In larger files, only the outermost parts are visited.
LARGE_FILE = 2**28

MP4_PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"}
MP4_FIRST_BOXES = {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"pnot"}

EBML_HEADER, SEGMENT, TRACKS, CLUSTER, SIMPLE_BLOCK = 0x1A45DFA3, 0x18538067, 0x1654AE6B, 0x1F43B675, 0xA3
# SeekHead, Info, Cues, Attachments, Chapters, Tags, Void, CRC-32
SEGMENT_PARTS = {TRACKS, CLUSTER, 0x114D9B74, 0x1549A966, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367, 0xEC, 0xBF}
# Timestamp, BlockGroup, Position, PrevSize, EncryptedBlock, SilentTracks, Void, CRC-32
CLUSTER_PARTS = {SIMPLE_BLOCK, 0xE7, 0xA0, 0xA7, 0xAB, 0xAF, 0x5854, 0xEC, 0xBF}
TS_LENGTHS, TS_PADDING = (188, 192, 204), 0x1FFF
# Transport streams are read in pieces of about this many bytes.
TS_PIECE = 2**24

TRACK_ENTRY, TRACK_NUMBER, CRC = 0xAE, 0xD7, 0xBF


class StructureError(ValueError):
    """Raised for a damaged structure. The message goes on from the name of the file."""


class ImpossibleFileError(ValueError):
    """Raised for a file whose headers declare more than it can hold, which would cost memory without limit."""


def _cut_off(missing: int, part: str) -> StructureError:
    return StructureError(f"it is cut off: {missing:,} bytes of its last {part} are missing")


def _foreign(position: int, part: str) -> StructureError:
    return StructureError(f"it is damaged: byte {position:,} should begin a {part}, and does not")


def _read(file: BinaryIO, position: int, length: int) -> bytes:
    file.seek(position)
    return file.read(length)


def _is_padding(file: BinaryIO, position: int, size: int) -> bool:
    """Whether nothing but zeros follows, which some programs leave behind."""
    return not _read(file, position, min(size - position, 2**16)).strip(b"\0")


def _check_mp4(file: BinaryIO, begin: int, end: int, size: int):
    """MP4, QuickTime and 3GP: boxes within boxes."""
    position = begin
    while position < end:
        header = _read(file, position, 32)
        if begin == 0 and _is_padding(file, position, size):
            return
        if len(header) < 8 or not re.fullmatch(rb"[\w \xa9-]{4}", header[4:8]):
            raise _foreign(position, "box")
        length, kind = struct.unpack(">I4s", header[:8])
        head = 8
        if length == 1 and len(header) >= 16:
            (length,), head = struct.unpack(">Q", header[8:16]), 16
        length = length or end - position  # the last box may leave its length open
        if length < head:
            raise _foreign(position, "box")
        if position + length > end:
            raise _cut_off(position + length - end, f"box, {kind.decode('latin-1')!r},")
        if kind in MP4_PARENTS:
            _check_mp4(file, position + head, position + length, size)
        # FFmpeg makes an entry of each sample that is declared, whether or not the file can hold them.
        declared = 0
        if kind == b"stsz" and len(header) >= 20:
            declared = struct.unpack(">I", header[16:20])[0]
        elif kind == b"trun" and len(header) >= 16:
            declared = struct.unpack(">I", header[12:16])[0]
        if declared > size:
            raise ImpossibleFileError(f"it declares {declared:,} samples, more than its {size:,} bytes can hold")
        position += length


def _read_element(file: BinaryIO, position: int) -> tuple[int, int | None, int]:
    """Return the id of an EBML element, the length of its content, if that is known, and of its header."""
    data = _read(file, position, 12)
    id_length = 9 - data[0].bit_length() if data else 9
    if id_length > 4 or len(data) <= id_length:
        raise _foreign(position, "Matroska element")
    size_length = 9 - data[id_length].bit_length()
    if size_length > 8 or len(data) < id_length + size_length:
        raise _foreign(position, "Matroska element")
    length = int.from_bytes(data[id_length : id_length + size_length], "big") & (1 << 7 * size_length) - 1
    is_open = length == (1 << 7 * size_length) - 1
    return int.from_bytes(data[:id_length], "big"), None if is_open else length, id_length + size_length


def _check_matroska(file: BinaryIO, begin: int, end: int, size: int):
    """Matroska and WebM: the elements of the segment, and of each of its clusters. Live recordings leave lengths open."""
    tracks: set[int] = set()

    def check(begin: int, end: int, parts: set[int] | None, is_open: bool = False):
        position = begin
        while position < end:
            if parts is None and _is_padding(file, position, size):
                return
            kind, length, head = _read_element(file, position)
            if kind not in ({EBML_HEADER, SEGMENT, 0xEC} if parts is None else parts):
                raise _foreign(position, "Matroska element")
            content = position + head
            if length is None:  # up to the next element of its kind
                check(content, end, SEGMENT_PARTS if kind == SEGMENT else CLUSTER_PARTS | SEGMENT_PARTS, is_open=True)
                return
            if content + length > end:
                raise _cut_off(content + length - end, "Matroska element")
            if kind == SEGMENT:
                check(content, content + length, SEGMENT_PARTS)
            elif kind == CLUSTER and size < LARGE_FILE:
                check(content, content + length, CLUSTER_PARTS)
            elif kind == TRACKS:
                tracks.update(_track_numbers(file, content, content + length))
            elif kind == CRC and position == begin and not is_open and size < LARGE_FILE:
                # Of all that follows in the element; FFmpeg writes it for clusters.
                checksum = int.from_bytes(_read(file, content, length), "little")
                if zlib.crc32(_read(file, content + length, end - content - length)) != checksum:
                    raise StructureError(
                        f"it is damaged: the bytes from {begin:,} to {end:,} do not have their checksum"
                    )
            elif kind == SIMPLE_BLOCK and tracks and _read(file, content, 1)[0] & 127 not in tracks:
                raise StructureError(f"it is damaged: byte {content:,} names a track that the file does not declare")
            position = content + length

    check(begin, end, None)


def _track_numbers(file: BinaryIO, begin: int, end: int) -> Iterator[int]:
    """Yield the numbers of the tracks that a Tracks element declares."""
    position = begin
    while position < end:
        kind, length, head = _read_element(file, position)
        if kind == TRACK_ENTRY:
            yield from _track_numbers(file, position + head, position + head + (length or 0))
        elif kind == TRACK_NUMBER:
            yield int.from_bytes(_read(file, position + head, length or 0), "big")
        position += head + (length or 0)


def _check_avi(file: BinaryIO, begin: int, end: int, size: int):
    """AVI: chunks within lists."""
    position = begin
    while position + 8 <= end:
        kind, length = struct.unpack("<4sI", _read(file, position, 8))
        if not kind.strip(b"\0") and begin == 0 and _is_padding(file, position, size):
            return
        if not re.fullmatch(rb"[\w ]{4}", kind):
            raise _foreign(position, "chunk")
        if length in (0, 2**32 - 1) and kind in (b"RIFF", b"LIST"):
            return  # written to a stream, where lengths cannot be filled in afterwards
        if position + 8 + length > end:
            raise _cut_off(position + 8 + length - end, "chunk")
        if (
            kind == b"RIFF"
            or kind == b"LIST"
            and _read(file, position + 8, 4) in (b"movi", b"rec ")
            and size < LARGE_FILE
        ):
            _check_avi(file, position + 12, position + 8 + length, size)
        position += 8 + length + length % 2


def _check_flv(file: BinaryIO, begin: int, end: int, size: int):
    """Flash video: tags, each followed by its length."""
    position = int.from_bytes(_read(file, 5, 4), "big") + 4
    while position < end:
        if _is_padding(file, position, size):
            return
        header = _read(file, position, 11)
        length = 11 + int.from_bytes(header[1:4], "big")
        if position + length + 4 > end:
            raise _cut_off(position + length + 4 - end, "tag")
        if header[0] & 31 not in (8, 9, 18) or int.from_bytes(_read(file, position + length, 4), "big") != length:
            raise _foreign(position, "tag")
        position += length + 4


def _check_ogg(file: BinaryIO, begin: int, end: int, size: int):
    """Ogg: pages."""
    position = 0
    while position < end:
        header = _read(file, position, 27 + 255)
        if header[:4] != b"OggS":
            if _is_padding(file, position, size):
                return
            raise _foreign(position, "page")
        segments = header[26] if len(header) > 26 else 255
        length = 27 + segments + sum(header[27 : 27 + segments])
        if position + length > end:
            raise _cut_off(position + length - end, "page")
        position += length


def _check_mpeg_ts(file: BinaryIO, begin: int, end: int, size: int):
    """MPEG transport streams: packets of one length, which are counted modulo 16 in each of the streams."""
    head = _read(file, 0, 4 * 208)
    length, offset = next((n, _sync_offset(head, n)) for n in TS_LENGTHS if _sync_offset(head, n) is not None)
    if size <= LARGE_FILE:
        _check_ts_packets(file, size, length, offset)
    # Where a time stamp of 4 bytes precedes each packet, the last one ends with its 188 bytes all the same.
    missing = -(size - (0 if length == 192 else offset)) % length
    if missing and not _is_padding(file, size - (length - missing), size):
        raise _cut_off(missing, "packet")


def _check_ts_packets(file: BinaryIO, size: int, length: int, offset: int):
    counters: dict[int, int] = {}  # the last one of each stream
    units: Counter[int] = Counter()  # packets of each stream that begin a unit as those of sound and video begin
    others: dict[int, list[int]] = {}  # and those that do not
    packets_per_piece = TS_PIECE // length
    for first in range(0, (size - offset - 188) // length + 1, packets_per_piece):
        position = offset + first * length
        content = np.frombuffer(_read(file, position, packets_per_piece * length), np.uint8)
        count = (len(content) - 188) // length + 1
        headers = np.lib.stride_tricks.as_strided(content, (count, 6), (length, 1)).astype(np.uint16)
        (wrong,) = (headers[:, 0] != 0x47).nonzero()
        if len(wrong) and not _is_padding(file, position + length * int(wrong[0]), size):
            raise _foreign(position + length * int(wrong[0]), "packet")
        headers = headers[: wrong[0]] if len(wrong) else headers
        (wrong,) = (headers[:, 1] >= 0x80).nonzero()
        if len(wrong):
            raise StructureError(f"packet {first + wrong[0]:,} is marked as damaged in transmission")
        streams = (headers[:, 1] & 0x1F) << 8 | headers[:, 2]
        has_payload, has_field = headers[:, 3] & 0x10 > 0, headers[:, 3] & 0x20 > 0
        may_jump = has_field & (headers[:, 4] > 0) & (headers[:, 5] >= 0x80)
        payloads = 4 + np.where(has_field, headers[:, 4] + 1, 0)
        begins_unit = has_payload & (headers[:, 1] & 0x40 > 0) & (headers[:, 3] < 0x40) & (payloads <= 185)
        for stream in set(np.unique(streams).tolist()) - {TS_PADDING}:
            (begins,) = (begins_unit & (streams == stream)).nonzero()
            starts = content[(begins * length + payloads[begins])[:, None] + np.arange(3)]
            is_unit = (starts == (0, 0, 1)).all(axis=1)
            units[stream] += int(is_unit.sum())
            others.setdefault(stream, []).extend((first + begins[~is_unit]).tolist())
            (places,) = (has_payload & (streams == stream)).nonzero()
            own = (headers[places, 3] & 15).astype(int)
            before = np.concatenate([[counters.get(stream, own[0])], own[:-1]]) if len(own) else own
            # A packet may be repeated. A counter that starts at 0 again is that of another recording, which was appended.
            is_gap = ((own - before) % 16 > 1) & (own > 0) & ~may_jump[places]
            if is_gap.any():
                raise StructureError(f"packets are missing before packet {first + places[is_gap][0]:,}")
            if len(own):
                counters[stream] = int(own[-1])
    for stream, count in units.items():
        if count > len(others[stream]) > 0:  # of sound and video, but not of tables
            raise StructureError(f"packet {others[stream][0]:,} should begin a frame, and does not")


def _sync_offset(head: bytes, length: int) -> int | None:
    """Return where the packets of a transport stream begin, if they have this length."""
    for offset in (0, 4):
        if len(head) > offset + 2 * length and all(head[offset + i * length] == 0x47 for i in range(3)):
            return offset
    return None


def _choose_check(head: bytes) -> Callable[[BinaryIO, int, int, int], None] | None:
    if head[4:8] in MP4_FIRST_BOXES:
        return _check_mp4
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return _check_matroska
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return _check_avi
    if head[:3] == b"FLV":
        return _check_flv
    if head[:4] == b"OggS":
        return _check_ogg
    return _check_mpeg_ts if any(_sync_offset(head, length) is not None for length in TS_LENGTHS) else None


def check_structure(video: VideoFile):
    """
    Check that the parts of a video file fill it, in the formats that this module knows (MP4, Matroska, AVI, FLV, Ogg, MPEG-TS).

    Raises:
        StructureError: If they do not; the message says where.
        ImpossibleFileError: If the file declares more samples than it has bytes.
    """
    content, size = video.open(), video.size
    with open(content, "rb") if isinstance(content, str) else contextlib.nullcontext(content) as file:
        check = _choose_check(_read(file, 0, 4 * 208))
        if check is not None:
            check(file, 0, size, size)
