# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""What a Hub keeps: repositories with their commits and files, and the users who may change them."""

import hashlib
import json
from dataclasses import dataclass, field


# Files that the Hub's default .gitattributes sends to LFS, and the size from which every file goes there.
LFS_SUFFIXES = (
    ".arrow",
    ".avi",
    ".bin",
    ".h5",
    ".mkv",
    ".mp4",
    ".npy",
    ".npz",
    ".onnx",
    ".parquet",
    ".pt",
    ".pth",
    ".safetensors",
    ".webm",
    ".zip",
)
LFS_SIZE = 10 * 2**20


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass(frozen=True)
class File:
    """One version of a file."""

    content: bytes = field(repr=False)
    is_lfs: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def pointer(self) -> bytes:
        """What git keeps instead of a file that is in LFS."""
        return b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n" % (
            self.sha256.encode(),
            len(self.content),
        )

    @property
    def blob_id(self) -> str:
        return git_oid(self.pointer if self.is_lfs else self.content)

    @property
    def etag(self) -> str:
        return self.sha256 if self.is_lfs else self.blob_id

    def describe(self, path: str) -> dict:
        """Return the entry of a tree listing."""
        entry = {"type": "file", "path": path, "size": len(self.content), "oid": self.blob_id}
        if self.is_lfs:
            entry["lfs"] = {"oid": self.sha256, "size": len(self.content), "pointerSize": len(self.pointer)}
        return entry


@dataclass(frozen=True)
class Commit:
    """A state of all files, and its place in the history."""

    oid: str
    parent: str | None
    title: str
    message: str
    author: str
    files: dict[str, File] = field(repr=False)


@dataclass
class Repository:
    """Commits, and references to some of them: branches by name, tags as `refs/tags/…`, pull requests as `refs/pr/…`."""

    repo_id: str
    repo_type: str
    private: bool
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    lfs_objects: set[str] = field(default_factory=set)

    def resolve(self, revision: str) -> Commit | None:
        revision = revision.removeprefix("refs/heads/")
        oid = self.refs.get(revision) or self.refs.get(f"refs/tags/{revision}") or revision
        return self.commits.get(oid)

    def history(self, revision: str) -> list[Commit]:
        commit, commits = self.resolve(revision), []
        while commit is not None:
            commits.append(commit)
            commit = self.commits.get(commit.parent)
        return commits

    def add_commit(
        self, ref: str, parent: str | None, files: dict[str, File], title: str, message="", author=""
    ) -> str:
        """Make a new commit, and point `ref` to it."""
        listing = json.dumps([[path, file.blob_id] for path, file in sorted(files.items())])
        serial = len(self.commits)
        oid = hashlib.sha1(f"{self.repo_type}{self.repo_id}{serial}{parent}{title}{listing}".encode()).hexdigest()
        self.commits[oid] = Commit(oid, parent, title, message, author, files)
        self.refs[ref] = oid
        return oid


@dataclass(frozen=True)
class User:
    name: str
    organizations: tuple[str, ...]
    can_write: bool


@dataclass(frozen=True)
class Upload:
    """Content that a client has sent, through LFS or within a commit (then with `path` and `repo_id`)."""

    via: str
    size: int
    sha256: str
    repo_id: str | None = None
    path: str | None = None


def goes_to_lfs(path: str, size: int) -> bool:
    return size > 0 and (path.endswith(LFS_SUFFIXES) or size > LFS_SIZE)
