# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""A small Hub on loopback, for the real huggingface_hub client: repositories with a history, LFS, rights, and faults.

It keeps everything in memory and speaks the part of the Hub's protocol that creating repositories, committing to them and
downloading from them need. The client reads its endpoint when it is imported, so tests run it in processes of their own, with
the environment that [`LoopbackHub.environment`] gives, or by [`HubClient`]:

    with LoopbackHub() as hub, HubClient(hub, home) as client:
        hub.add_user("me", token="secret", organizations=["org"])
        hub.add_folder("org/tiny-clip", folder)
        hub.fail(r"POST .*/commit/", status=500)
        result = client.run("from huggingface_hub import HfApi; HfApi().upload_file(...)", token="secret")
        result.returncode, result.stderr
        hub.uploads  # what has arrived, and how
"""

import base64
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

import yaml


DATE = "2026-01-01T00:00:00.000Z"
REPO_TYPES = ("model", "dataset", "space")
URL_PREFIXES = {"model": "", "dataset": "datasets/", "space": "spaces/"}
# What the Hub's default .gitattributes sends to LFS, and what is large enough for it whatever it is called.
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

# What the Hub takes in the metadata of a card: ids of repositories, and one of its identifiers of licenses.
CARD_REPO_ID = re.compile(r"(?:\w[\w.-]*/)?\w(?:[\w.-]*\w)?")
LICENSES = {
    *("afl-3.0", "agpl-3.0", "apache-2.0", "artistic-2.0", "bsd", "bsd-2-clause", "bsd-3-clause", "bsl-1.0", "cc"),
    *("cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-4.0"),
    *("cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0", "epl-2.0", "eupl-1.2", "gpl"),
    *("gpl-2.0", "gpl-3.0", "isc", "lgpl", "lgpl-2.1", "lgpl-3.0", "mit", "mpl-2.0", "openrail", "other", "unknown"),
    *("unlicense", "wtfpl", "zlib"),
}


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
        """As tree listings have it."""
        entry = {"type": "file", "path": path, "size": len(self.content), "oid": self.blob_id}
        if self.is_lfs:
            entry["lfs"] = {"oid": self.sha256, "size": len(self.content), "pointerSize": len(self.pointer)}
        return entry


@dataclass(frozen=True)
class Commit:
    """A state of all files, and how it came about."""

    oid: str
    parent: str | None
    title: str
    message: str
    author: str
    files: dict[str, File] = field(repr=False)


@dataclass
class Repository:
    """Commits, and the names of some: branches by name, tags as `refs/tags/…`, pull requests as `refs/pr/…`."""

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
        """Puts `ref` on a new commit."""
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
    """Content that a client has sent: through LFS or within a commit (where `path` and `repo_id` are known)."""

    via: str
    size: int
    sha256: str
    repo_id: str | None = None
    path: str | None = None


@dataclass
class Fault:
    """What goes wrong with the next `times` requests of that kind."""

    pattern: re.Pattern
    status: int | None
    drop: str | None
    times: int | None


class Refusal(Exception):
    """An answer that is an error, with the headers by which the client tells one from another."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str):
        super().__init__(message)
        self.status, self.message = status, message
        self.headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **headers}


@dataclass
class Request:
    """What a route gets to see."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    user: User | None

    @property
    def json(self) -> dict:
        return json.loads(self.body or b"{}")


@dataclass
class Answer:
    status: int = 200
    json: object = None
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        return json.dumps(self.json).encode() if self.content is None else self.content


ROUTES: list[tuple[str, re.Pattern, Callable]] = []


def route(method: str, pattern: str):
    """Registers a method of [`LoopbackHub`]; `{repo}` stands for a repository's path, `{revision}` for one segment."""
    pattern = pattern.replace("{repo}", r"(?P<repo_id>[\w.-]+/[\w.-]+)")
    pattern = pattern.replace("{types}", r"(?P<repo_type>model|dataset|space)s")
    pattern = pattern.replace("{prefix}", r"(?P<prefix>datasets/|spaces/|)")
    pattern = pattern.replace("{revision}", r"(?P<revision>[^/]+)")

    def register(function: Callable) -> Callable:
        ROUTES.append((method, re.compile(pattern), function))
        return function

    return register


class LoopbackHub:
    """
    The server; a context manager that serves between entering and leaving.

    Args:
        shared_names (`bool`, defaults to `False`):
            Whether a name that one type of repository has is taken for the other types too.

    Attributes:
        url (`str`): Its address.
        uploads (`list[Upload]`): All content that clients have sent, in order.
        requests (`list[str]`): All requests, as `"GET /api/models/org/name"`, in order.
        repositories (`dict[tuple[str, str], Repository]`): By type and id.
        pages (`dict[str, bytes]`): Plain content by path, for instance videos: `hub.pages["/video.mp4"] = …`.
    """

    def __init__(self, shared_names: bool = False):
        self.shared_names = shared_names
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.users: dict[str, User] = {}
        self.objects: dict[str, bytes] = {}  # LFS, by checksum
        self.pages: dict[str, bytes] = {}
        self.uploads: list[Upload] = []
        self.requests: list[str] = []
        self.downloads: dict[str, int] = defaultdict(int)  # bytes, by repository and path
        self._faults: list[Fault] = []
        self._lock = threading.RLock()
        self._server = _Server(("127.0.0.1", 0), self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def storage_url(self) -> str:
        """The address that large files are downloaded from: another host, to which the client sends no token."""
        return f"http://localhost:{self._server.server_address[1]}"

    def __enter__(self) -> "LoopbackHub":
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # What tests arrange and look at

    def environment(self, home: str | Path, token: str | None = None) -> dict[str, str]:
        """The environment in which a process's client talks to this server alone, with its cache in `home`."""
        environment = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_TOKEN": token or "",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }
        return environment

    def add_user(self, name: str, token: str, organizations: Iterable[str] = (), can_write: bool = True):
        """A user who may write to repositories of `name` and of `organizations`, unless the token is for reading."""
        self.users[token] = User(name, tuple(organizations), can_write)

    def add_repository(self, repo_id: str, repo_type: str = "model", private: bool = False) -> Repository:
        repository = Repository(repo_id, repo_type, private)
        attributes = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES)
        repository.add_commit("main", None, {".gitattributes": File(attributes.encode(), False)}, "initial commit")
        self.repositories[repo_type, repo_id] = repository
        return repository

    def add_files(
        self, repo_id: str, files: dict[str, bytes], repo_type: str = "model", revision: str = "main", private=False
    ) -> str:
        """Commits files as if their owner had pushed them, and returns the commit; makes the repository if need be."""
        with self._lock:
            repository = self.repositories.get((repo_type, repo_id))
            if repository is None:
                repository = self.add_repository(repo_id, repo_type, private)
            parent = repository.resolve(revision) or repository.resolve("main")
            new = {path: File(content, _goes_to_lfs(path, len(content))) for path, content in files.items()}
            for file in new.values():
                if file.is_lfs:
                    self.objects[file.sha256] = file.content
                    repository.lfs_objects.add(file.sha256)
            return repository.add_commit(revision, parent.oid, {**parent.files, **new}, "Add files")

    def add_folder(self, repo_id: str, folder: str | Path, **kwargs) -> str:
        """As [`~LoopbackHub.add_files`], the files of a folder."""
        paths = [path for path in sorted(Path(folder).rglob("*")) if path.is_file()]
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        return self.add_files(repo_id, files, **kwargs)

    def files(self, repo_id: str, revision: str = "main", repo_type: str = "model") -> dict[str, bytes]:
        """What the repository holds there, without the .gitattributes that the Hub adds."""
        commit = self.repositories[repo_type, repo_id].resolve(revision)
        return {path: file.content for path, file in commit.files.items() if path != ".gitattributes"}

    def commits(self, repo_id: str, revision: str = "main", repo_type: str = "model") -> list[Commit]:
        """From the latest to the first."""
        return self.repositories[repo_type, repo_id].history(revision)

    def fail(self, pattern: str, status: int | None = None, drop: str | None = None, times: int | None = 1):
        """
        Lets the next requests go wrong.

        Args:
            pattern (`str`):
                Regular expression, searched for in `"METHOD /path"`.
            status (`int`, *optional*):
                Answer with this and do nothing.
            drop (`str`, *optional*):
                Close the connection: `"request"` before the content has been read, `"reply"` in the middle of the
                answer, `"lost"` instead of the answer, after doing what was asked.
            times (`int`, *optional*, defaults to 1):
                How often; `None` for always, until [`~LoopbackHub.heal`].
        """
        self._faults.append(Fault(re.compile(pattern), status, drop, times))

    def heal(self):
        """Takes all faults back."""
        self._faults.clear()

    def next_fault(self, line: str) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.pattern.search(line) and fault.times != 0:
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None

    # Answering

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        parts = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        try:
            user = self._authenticate(headers)
            for route_method, pattern, function in ROUTES:
                match = pattern.fullmatch(parts.path)
                if match and route_method == ("GET" if method == "HEAD" else method):
                    request = Request(method, parts.path, query, headers, body, user)
                    with self._lock:
                        return function(self, request, **match.groupdict())
            raise Refusal(404, f"Not found: {method} {parts.path}")
        except Refusal as refusal:
            return Answer(refusal.status, {"error": refusal.message, **_error_body(refusal)}, headers=refusal.headers)

    def _authenticate(self, headers: dict[str, str]) -> User | None:
        authorization = headers.get("authorization", "")
        if not authorization.startswith("Bearer "):
            return None
        user = self.users.get(authorization.removeprefix("Bearer "))
        if user is None:
            raise Refusal(401, "Invalid credentials in Authorization header")
        return user

    def _may_write(self, user: User | None, repo_id: str) -> bool:
        return user is not None and user.can_write and repo_id.split("/")[0] in (user.name, *user.organizations)

    def _check_write(self, user: User | None, repo_id: str):
        if user is None:
            raise Refusal(401, "Invalid username or password.")
        if not self._may_write(user, repo_id):
            raise Refusal(
                403,
                "Forbidden: pass `create_pr=1` as a query parameter to create a Pull Request"
                if user.can_write
                else "Forbidden: you must use a write token to upload to a repository",
            )

    def _find(self, user: User | None, repo_type: str, repo_id: str) -> Repository:
        repository = self.repositories.get((repo_type, repo_id))
        owners = () if user is None else (user.name, *user.organizations)
        if repository is None or (repository.private and repo_id.split("/")[0] not in owners):
            # To others a private repository is as one that does not exist.
            message = "Invalid username or password." if user is None else "Repository not found"
            raise Refusal(401 if user is None else 404, message, "RepoNotFound")
        return repository

    def _find_commit(self, repository: Repository, revision: str) -> Commit:
        commit = repository.resolve(unquote(revision))
        if commit is None:
            raise Refusal(404, f"Invalid rev id: {unquote(revision)}", "RevisionNotFound")
        return commit

    def _repository_url(self, repository: Repository) -> str:
        return f"{self.url}/{URL_PREFIXES[repository.repo_type]}{repository.repo_id}"

    # Accounts and repositories

    @route("GET", "/api/whoami-v2")
    def whoami(self, request: Request) -> Answer:
        if request.user is None:
            raise Refusal(401, "Invalid credentials in Authorization header")
        user = request.user
        return Answer(
            json={
                "type": "user",
                "name": user.name,
                "orgs": [{"type": "org", "name": name, "roleInOrg": "write"} for name in user.organizations],
                "auth": {
                    "accessToken": {"displayName": "token", "role": "write" if user.can_write else "read"},
                    "type": "access_token",
                },
            }
        )

    @route("POST", "/api/repos/create")
    def create_repository(self, request: Request) -> Answer:
        options = request.json
        repo_type = options.get("type", "model")
        if request.user is None:
            raise Refusal(401, "Invalid username or password.")
        repo_id = f"{options.get('organization') or request.user.name}/{options['name']}"
        if not self._may_write(request.user, repo_id):
            raise Refusal(403, f'You don\'t have the rights to create a {repo_type} under the namespace "{repo_id}"')
        types = REPO_TYPES if self.shared_names else (repo_type,)
        taken = [self.repositories[key] for key in ((kind, repo_id) for kind in types) if key in self.repositories]
        if taken:
            message = f"You already created this {taken[0].repo_type} repo"
            return Answer(
                409,
                {"error": message, "url": self._repository_url(taken[0])},
                headers={"X-Error-Message": message},
            )
        private = options.get("visibility") == "private" or bool(options.get("private"))
        repository = self.add_repository(repo_id, repo_type, private)
        return Answer(json={"url": self._repository_url(repository), "name": repo_id, "id": repo_id})

    @route("DELETE", "/api/repos/delete")
    def delete_repository(self, request: Request) -> Answer:
        options = request.json
        repo_type = options.get("type") or "model"
        owner = options.get("organization") or (request.user.name if request.user else "")
        repo_id = f"{owner}/{options['name']}"
        self._find(request.user, repo_type, repo_id)
        self._check_write(request.user, repo_id)
        del self.repositories[repo_type, repo_id]
        return Answer(json={})

    @route("GET", "/api/{types}/{repo}(/revision/{revision})?")
    def info(self, request: Request, repo_type: str, repo_id: str, revision: str | None) -> Answer:
        repository = self._find(request.user, repo_type, repo_id)
        commit = self._find_commit(repository, revision or "main")
        siblings = []
        for path, file in sorted(commit.files.items()):
            sibling = {"rfilename": path}
            if request.query.get("blobs") in ("true", "True", "1"):
                entry = file.describe(path)
                sibling |= {"size": entry["size"], "blobId": entry["oid"]}
                if file.is_lfs:
                    sibling["lfs"] = {
                        "size": entry["size"],
                        "sha256": file.sha256,
                        "pointerSize": entry["lfs"]["pointerSize"],
                    }
            siblings.append(sibling)
        card = commit.files.get("README.md")
        header = re.match(rb"---\n(.*?)\n---", card.content, re.DOTALL) if card else None
        return Answer(
            json={
                "_id": repo_id,
                "id": repo_id,
                "modelId": repo_id,
                "author": repo_id.split("/")[0],
                "sha": commit.oid,
                "private": repository.private,
                "gated": False,
                "disabled": False,
                "downloads": 0,
                "likes": 0,
                "tags": [],
                "createdAt": DATE,
                "lastModified": DATE,
                "siblings": siblings,
                "cardData": yaml.safe_load(header[1]) if header else None,
            }
        )

    @route("GET", "/api/{types}/{repo}/auth-check")
    def check_access(self, request: Request, repo_type: str, repo_id: str) -> Answer:
        self._find(request.user, repo_type, repo_id)
        return Answer(json={})

    # History

    @route("GET", "/api/{types}/{repo}/refs")
    def list_refs(self, request: Request, repo_type: str, repo_id: str) -> Answer:
        refs = self._find(request.user, repo_type, repo_id).refs
        kinds = {"branches": "refs/heads/", "tags": "refs/tags/", "pullRequests": "refs/pr/"}
        listing = {kind: [] for kind in kinds}
        for name, oid in refs.items():
            full_name = name if name.startswith("refs/") else f"refs/heads/{name}"
            kind = next(kind for kind, prefix in kinds.items() if full_name.startswith(prefix))
            listing[kind].append({"name": full_name.removeprefix(kinds[kind]), "ref": full_name, "targetCommit": oid})
        return Answer(json={**listing, "converts": []})

    @route("GET", "/api/{types}/{repo}/commits/{revision}")
    def list_commits(self, request: Request, repo_type: str, repo_id: str, revision: str) -> Answer:
        repository = self._find(request.user, repo_type, repo_id)
        self._find_commit(repository, revision)
        return Answer(
            json=[
                {
                    "id": commit.oid,
                    "title": commit.title,
                    "message": commit.message,
                    "authors": [{"user": commit.author}],
                    "date": DATE,
                }
                for commit in repository.history(unquote(revision))
            ]
        )

    @route("POST", "/api/{types}/{repo}/(?P<kind>branch|tag)/{revision}")
    def create_ref(self, request: Request, repo_type: str, repo_id: str, kind: str, revision: str) -> Answer:
        repository = self._find(request.user, repo_type, repo_id)
        self._check_write(request.user, repo_id)
        if kind == "branch":
            name, start = unquote(revision), request.json.get("startingPoint", "main")
        else:
            name, start = f"refs/tags/{request.json['tag']}", unquote(revision)
        if name.startswith("refs/") and kind == "branch":
            raise Refusal(400, f"Invalid reference for a branch: {name}")
        if name in repository.refs:
            raise Refusal(409, f"Reference already exists: {name}")
        repository.refs[name] = self._find_commit(repository, start).oid
        return Answer(json={})

    @route("DELETE", "/api/{types}/{repo}/(?P<kind>branch|tag)/{revision}")
    def delete_ref(self, request: Request, repo_type: str, repo_id: str, kind: str, revision: str) -> Answer:
        repository = self._find(request.user, repo_type, repo_id)
        self._check_write(request.user, repo_id)
        name = unquote(revision) if kind == "branch" else f"refs/tags/{unquote(revision)}"
        if repository.refs.pop(name, None) is None:
            raise Refusal(404, f"Reference does not exist: {name}", "RevisionNotFound")
        return Answer(json={})

    # Reading

    @route("GET", "/api/{types}/{repo}/tree/{revision}(/(?P<folder>.*))?")
    def list_tree(self, request: Request, repo_type: str, repo_id: str, revision: str, folder: str | None) -> Answer:
        repository = self._find(request.user, repo_type, repo_id)
        commit = self._find_commit(repository, revision)
        folder = unquote(folder or "").strip("/")
        recursive = request.query.get("recursive") in ("true", "True", "1")
        prefix = f"{folder}/" if folder else ""
        inside = {path: file for path, file in sorted(commit.files.items()) if path.startswith(prefix)}
        if folder and not inside:
            raise Refusal(404, f"{folder} does not exist on {revision}", "EntryNotFound", **_commit_header(commit))
        entries = {}
        for path, file in inside.items():
            below = path.removeprefix(prefix).split("/")
            for depth in range(1, len(below) if recursive else min(len(below), 2)):
                name = prefix + "/".join(below[:depth])
                entries[name] = {"type": "directory", "path": name, "size": 0, "oid": git_oid(name.encode())}
            if recursive or len(below) == 1:
                entries[path] = file.describe(path)
        if request.query.get("expand") in ("true", "True", "1"):
            for entry in entries.values():
                entry["lastCommit"] = {"id": commit.oid, "title": commit.title, "date": DATE}
        return Answer(json=list(entries.values()), headers=_commit_header(commit))

    @route("POST", "/api/{types}/{repo}/paths-info/{revision}")
    def paths_info(self, request: Request, repo_type: str, repo_id: str, revision: str) -> Answer:
        commit = self._find_commit(self._find(request.user, repo_type, repo_id), revision)
        if request.headers.get("content-type", "").startswith("application/json"):
            paths = request.json["paths"]
        else:
            paths = parse_qs(request.body.decode()).get("paths", [])
        entries = []
        for path in paths:
            if path in commit.files:
                entries.append(commit.files[path].describe(path))
            elif any(name.startswith(f"{path}/") for name in commit.files):
                entries.append({"type": "directory", "path": path, "size": 0, "oid": git_oid(path.encode())})
        return Answer(json=entries)

    @route("GET", "/{prefix}{repo}/resolve/{revision}/(?P<path>.+)")
    def resolve(self, request: Request, prefix: str, repo_id: str, revision: str, path: str) -> Answer:
        repository = self._find(request.user, _type_of(prefix), repo_id)
        commit = self._find_commit(repository, revision)
        file = commit.files.get(unquote(path))
        if file is None:
            raise Refusal(404, "Entry not found", "EntryNotFound", **_commit_header(commit))
        headers = {**_commit_header(commit), "ETag": f'"{file.blob_id}"'}
        if file.is_lfs:
            headers["X-Linked-ETag"] = f'"{file.sha256}"'
            headers["X-Linked-Size"] = str(len(file.content))
            name = quote(f"{repo_id}/{unquote(path)}")
            location = f"{self.storage_url}/lfs/objects/{file.sha256}/{name}"
            return Answer(302, content=b"", headers={**headers, "Location": location})
        return self._send_range(request, f"{repo_id}/{unquote(path)}", file.content, headers)

    @route("GET", "/lfs/objects/(?P<oid>[0-9a-f]{64})/(?P<name>.+)")
    def download_object(self, request: Request, oid: str, name: str) -> Answer:
        if oid not in self.objects:
            raise Refusal(404, "Object not found")
        return self._send_range(request, unquote(name), self.objects[oid], {"ETag": f'"{oid}"'})

    def _send_range(self, request: Request, name: str, content: bytes, headers: dict[str, str]) -> Answer:
        headers = {**headers, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", ""))
        status = 200
        if wanted and wanted[0] != "bytes=-":
            size = len(content)
            if not wanted[1]:
                start, end = max(size - int(wanted[2]), 0), size
            else:
                start, end = int(wanted[1]), min(int(wanted[2]) + 1, size) if wanted[2] else size
            if start >= size:
                raise Refusal(416, "Requested range not satisfiable", **{"Content-Range": f"bytes */{size}"})
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
            status, content = 206, content[start:end]
        if request.method == "GET":
            self.downloads[name] += len(content)
        return Answer(status, content=content, headers=headers)

    # Writing

    @route("POST", "/api/validate-yaml")
    def validate_card(self, request: Request) -> Answer:
        header = re.match(r"---\r?\n(.*?)\r?\n---", request.json["content"], re.DOTALL)
        if header is None:
            return Answer(
                json={"errors": [], "warnings": [{"message": "empty or missing yaml metadata in repo card"}]}
            )
        try:
            values = yaml.safe_load(header[1])
        except yaml.YAMLError as error:
            return Answer(400, {"errors": [{"message": str(error)}], "warnings": []})
        errors = [] if isinstance(values, dict) else [{"message": "the metadata must be an object"}]
        for name in ("license", "library_name", "pipeline_tag"):
            if not errors and not isinstance(values.get(name, ""), str):
                errors.append({"message": f'"{name}" must be a string'})
        errors += _find_wrong_metadata(values) if not errors else []
        return Answer(400 if errors else 200, {"errors": errors, "warnings": []})

    @route("POST", "/api/{types}/{repo}/preupload/{revision}")
    def preupload(self, request: Request, repo_type: str, repo_id: str, revision: str) -> Answer:
        repository = self._find(request.user, repo_type, repo_id)
        if "create_pr" not in request.query:
            self._check_write(request.user, repo_id)
        elif request.user is None:
            raise Refusal(401, "Invalid username or password.")
        commit = self._find_commit(repository, revision)
        answers = []
        for wanted in request.json["files"]:
            present = commit.files.get(wanted["path"])
            answers.append(
                {
                    "path": wanted["path"],
                    "uploadMode": "lfs" if _goes_to_lfs(wanted["path"], wanted["size"]) else "regular",
                    "shouldIgnore": False,
                    "oid": present.etag if present else None,
                }
            )
        return Answer(json={"files": answers, "commitOid": commit.oid})

    @route("POST", r"/{prefix}{repo}\.git/info/lfs/objects/batch")
    def lfs_batch(self, request: Request, prefix: str, repo_id: str) -> Answer:
        repository = self._find(request.user, _type_of(prefix), repo_id)
        if "ref" in request.json:  # without one it is for a pull request
            self._check_write(request.user, repo_id)
        objects = []
        for wanted in request.json["objects"]:
            entry = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in repository.lfs_objects or wanted["oid"] not in self.objects:
                token = request.headers.get("authorization", "")
                entry["actions"] = {
                    "upload": {"href": f"{self.url}/lfs/upload/{prefix}{repo_id}/{wanted['oid']}"},
                    "verify": {
                        "href": f"{self.url}/{prefix}{repo_id}.git/info/lfs/verify",
                        "header": {"Authorization": token},
                    },
                }
            objects.append(entry)
        return Answer(json={"transfer": "basic", "objects": objects})

    @route("PUT", "/lfs/upload/{prefix}{repo}/(?P<oid>[0-9a-f]{64})")
    def lfs_upload(self, request: Request, prefix: str, repo_id: str, oid: str) -> Answer:
        found = hashlib.sha256(request.body).hexdigest()
        self.uploads.append(Upload("lfs", len(request.body), found, repo_id))
        if found != oid:
            raise Refusal(400, "The content does not have the checksum that was announced")
        self.objects[oid] = request.body
        self.repositories[_type_of(prefix), repo_id].lfs_objects.add(oid)
        return Answer(json={})

    @route("POST", r"/{prefix}{repo}\.git/info/lfs/verify")
    def lfs_verify(self, request: Request, prefix: str, repo_id: str) -> Answer:
        content = self.objects.get(request.json["oid"])
        if content is None or len(content) != request.json["size"]:
            raise Refusal(404, "The object is not there, or has another size")
        return Answer(json={})

    @route("POST", "/api/{types}/{repo}/commit/{revision}")
    def commit(self, request: Request, repo_type: str, repo_id: str, revision: str) -> Answer:
        repository = self._find(request.user, repo_type, repo_id)
        as_pull_request = request.query.get("create_pr") in ("1", "true", "True")
        if not as_pull_request:
            self._check_write(request.user, repo_id)
        elif request.user is None:
            raise Refusal(401, "Invalid username or password.")
        revision = unquote(revision)
        parent = self._find_commit(repository, revision)
        if revision not in repository.refs:
            raise Refusal(400, f"Not a branch: {revision}")
        lines = [json.loads(line) for line in request.body.splitlines() if line.strip()]
        header = lines[0]["value"]
        if header.get("parentCommit") and not parent.oid.startswith(header["parentCommit"]):
            raise Refusal(412, "A commit has happened since. Please refresh and try again.")
        files, uploads = dict(parent.files), []
        for line in lines[1:]:
            path = line["value"]["path"]
            if line["key"] == "file":
                content = base64.b64decode(line["value"]["content"])
                files[path] = File(content, False)
                uploads.append(Upload("commit", len(content), files[path].sha256, repo_id, path))
            elif line["key"] == "lfsFile":
                oid = line["value"]["oid"]
                if oid not in repository.lfs_objects:
                    raise Refusal(400, f"LFS object {oid} of {path} has not been uploaded")
                files[path] = File(self.objects[oid], True)
            elif line["key"] == "deletedFile":
                if files.pop(path, None) is None:
                    raise Refusal(
                        404, "A file with this name doesn't exist", "EntryNotFound", **_commit_header(parent)
                    )
            elif line["key"] == "deletedFolder":
                inside = [name for name in files if name.startswith(f"{path.rstrip('/')}/")]
                for name in inside:
                    del files[name]
            else:
                raise Refusal(400, f"Unknown operation {line['key']}")
        ref = revision
        if as_pull_request:
            ref = f"refs/pr/{1 + sum(name.startswith('refs/pr/') for name in repository.refs)}"
        # All of it is known to be good: only now does anything change.
        self.uploads += uploads
        oid = repository.add_commit(
            ref, parent.oid, files, header["summary"], header.get("description", ""), request.user.name
        )
        url = self._repository_url(repository)
        answer = {"success": True, "commitOid": oid, "commitUrl": f"{url}/commit/{oid}", "hookOutput": ""}
        if as_pull_request:
            answer["pullRequestUrl"] = f"{url}/discussions/{ref.rsplit('/', 1)[1]}"
        return Answer(json=answer)

    # Anything else

    @route("GET", "/.+")
    def page(self, request: Request) -> Answer:
        content = self.pages.get(unquote(request.path))
        if content is None:
            raise Refusal(404, f"Not found: {request.path}")
        return self._send_range(request, unquote(request.path), content, {"ETag": f'"{git_oid(content)}"'})


def _goes_to_lfs(path: str, size: int) -> bool:
    return size > 0 and (path.endswith(LFS_SUFFIXES) or size > LFS_SIZE)


def _find_wrong_metadata(values: dict) -> list[dict]:
    """The errors of a card's metadata: what is no id of a repository, and licenses that the Hub does not know."""

    def as_list(value) -> list:
        return value if isinstance(value, list) else [] if value is None else [value]

    ids = [(name, value) for name in ("base_model", "datasets") for value in as_list(values.get(name))]
    for model in values.get("model-index") or []:
        for result in model.get("results", []):
            ids.append(("model-index: dataset.type", result.get("dataset", {}).get("type")))
    errors = [
        f'"{name}" with value "{value}" is not valid. Use an id from the Hub.'
        for name, value in ids
        if not isinstance(value, str) or not CARD_REPO_ID.fullmatch(value)
    ]
    for license in as_list(values.get("license")):
        if license not in LICENSES:
            errors.append(f'"license" must be one of the identifiers of licenses, got "{license}"')
    return [{"message": error} for error in errors]


def _type_of(prefix: str) -> str:
    return next(repo_type for repo_type, known in URL_PREFIXES.items() if known == prefix)


def _commit_header(commit: Commit) -> dict[str, str]:
    return {"X-Repo-Commit": commit.oid}


def _error_body(refusal: Refusal) -> dict:
    return {"errors": [{"message": refusal.message}]} if refusal.status == 400 else {}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], hub: LoopbackHub):
        self.hub = hub
        super().__init__(address, _Handler)

    def handle_error(self, request, client_address):
        """A client that goes away in the middle is nothing to report."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _handle(self):
        hub = self.server.hub
        line = f"{self.command} {self.path}"
        hub.requests.append(line)
        fault = hub.next_fault(line)
        if fault is not None and fault.drop == "request":
            return self._hang_up()
        body = self._read_body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        if fault is not None and fault.status is not None:
            message = {"X-Error-Message": "This is a fault that a test has asked for"}
            answer = Answer(fault.status, {"error": message["X-Error-Message"]}, headers=message)
        else:
            answer = hub.answer(self.command, self.path, headers, body)
        if fault is not None and fault.drop == "lost":
            return self._hang_up()
        content = answer.body
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in {"Content-Type": "application/json; charset=utf-8", **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if fault is not None and fault.drop == "reply":
            self.wfile.write(content[: len(content) // 2])
            return self._hang_up()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _handle

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _hang_up(self):
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *args):
        """The requests are kept in `hub.requests`."""


# Reads a request per line, and answers it by a child that has everything imported already and does what the request says.
FORK_SERVER = """
import json, os, sys, traceback
import huggingface_hub, torch, torchvision
import transformers, transformers.models.auto, transformers.models.clip.modeling_clip, transformers.pipelines
import transformers.trainer, transformers.video_processing_utils

def become(request):
    os.chdir(request["folder"])
    os.environ.update(request["environment"])
    sys.path[:0] = request["path"]
    sys.argv = request["argv"]
    for stream, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    try:
        exec(compile(request["code"], "<test>", "exec"), {"__name__": "__main__"})
        status = 0
    except SystemExit as exit:
        status = exit.code if isinstance(exit.code, int) else 0 if exit.code is None else 1
        if isinstance(exit.code, str):
            print(exit.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)

print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        become(json.loads(line))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
os._exit(0)
"""


class HubClient:
    """
    Runs code in new processes whose Hub is a [`LoopbackHub`]; a context manager. They are forked from one that has imported
    transformers and the Hub's client, and not this package, so that none of them has to wait for that.

    Args:
        hub (`LoopbackHub`):
            The server.
        home (`str` or `Path`):
            Where the processes run and keep their cache.
    """

    def __init__(self, hub: LoopbackHub, home: str | Path):
        self.hub, self.home = hub, Path(home)
        self.cache = self.home / "huggingface"

    def __enter__(self) -> "HubClient":
        # Caches and tokens of whoever runs the tests are none of theirs.
        foreign = ("HF_", "HUGGINGFACE_", "PYTHONPATH", "TRANSFORMERS_", "XDG_CACHE_HOME")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        environment = {**inherited, **self.hub.environment(self.cache), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", FORK_SERVER],
            cwd=self.home,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def run(
        self,
        code: str,
        *argv: str | Path,
        path: Iterable[str | Path] = (),
        token: str | None = None,
        keep_cache: bool = False,
        **environment: str,
    ) -> subprocess.CompletedProcess:
        """
        Runs code, from an empty cache unless it is to be kept.

        Args:
            code (`str`):
                The code; `sys.argv[1:]` is `argv`.
            path (`Iterable[str]`, *optional*):
                Folders to import from.
            token (`str`, *optional*):
                Whose process it is.
            keep_cache (`bool`, defaults to `False`):
                Whether the process finds what earlier ones have downloaded.
            environment (`str`):
                More of its environment.
        """
        if not keep_cache:
            shutil.rmtree(self.cache, ignore_errors=True)
        output = {name: str(self.home / name) for name in ("stdout", "stderr")}
        request = {
            "code": code,
            "argv": ["-c", *map(str, argv)],
            "path": [str(folder) for folder in path],
            "folder": str(self.home),
            "environment": {"HF_TOKEN": token or "", **environment},
            **output,
        }
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        returncode = int(self._process.stdout.readline())
        texts = [Path(file).read_text(encoding="utf-8", errors="replace") for file in output.values()]
        return subprocess.CompletedProcess(request["argv"], returncode, *texts)
