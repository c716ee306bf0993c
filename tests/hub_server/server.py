# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The server: the Hub's protocol, on repositories in memory."""

import base64
import hashlib
import json
import re
import threading
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

import yaml

from .cards import find_wrong_metadata
from .protocol import ROUTES, Answer, Fault, Refusal, Request, Server, route
from .repositories import LFS_SUFFIXES, Commit, File, Repository, Upload, User, git_oid, goes_to_lfs


DATE = "2026-01-01T00:00:00.000Z"
REPO_TYPES = ("model", "dataset", "space")
URL_PREFIXES = {"model": "", "dataset": "datasets/", "space": "spaces/"}


class LoopbackHub:
    """
    The server, a context manager that serves between entering and leaving.

    Args:
        shared_names (`bool`, defaults to `False`):
            Whether two repositories of different types cannot have the same name.

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
        self._server = Server(("127.0.0.1", 0), self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def storage_url(self) -> str:
        """The address of large files: another host, to which the client sends no token."""
        return f"http://localhost:{self._server.server_address[1]}"

    def __enter__(self) -> "LoopbackHub":
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # For tests: arranging and inspecting

    def environment(self, home: str | Path, token: str | None = None) -> dict[str, str]:
        """Return the environment in which a client talks only to this server, with its cache in `home`."""
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
        """Add a user who may write to repositories of `name` and of `organizations`, unless the token is for reading."""
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
        """Commit files as their owner would, creating the repository if necessary, and return the commit."""
        with self._lock:
            repository = self.repositories.get((repo_type, repo_id))
            if repository is None:
                repository = self.add_repository(repo_id, repo_type, private)
            parent = repository.resolve(revision) or repository.resolve("main")
            new = {path: File(content, goes_to_lfs(path, len(content))) for path, content in files.items()}
            for file in new.values():
                if file.is_lfs:
                    self.objects[file.sha256] = file.content
                    repository.lfs_objects.add(file.sha256)
            return repository.add_commit(revision, parent.oid, {**parent.files, **new}, "Add files")

    def add_folder(self, repo_id: str, folder: str | Path, **kwargs) -> str:
        """Commit the files of a folder; see [`~LoopbackHub.add_files`]."""
        paths = [path for path in sorted(Path(folder).rglob("*")) if path.is_file()]
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        return self.add_files(repo_id, files, **kwargs)

    def files(self, repo_id: str, revision: str = "main", repo_type: str = "model") -> dict[str, bytes]:
        """Return the files of a revision, without the .gitattributes that the Hub adds."""
        commit = self.repositories[repo_type, repo_id].resolve(revision)
        return {path: file.content for path, file in commit.files.items() if path != ".gitattributes"}

    def commits(self, repo_id: str, revision: str = "main", repo_type: str = "model") -> list[Commit]:
        """Return the commits from the latest to the first."""
        return self.repositories[repo_type, repo_id].history(revision)

    def fail(self, pattern: str, status: int | None = None, drop: str | None = None, times: int | None = 1):
        """
        Let the next requests go wrong.

        Args:
            pattern (`str`):
                Regular expression to search for in `"METHOD /path"`.
            status (`int`, *optional*):
                Answer with this status and do nothing.
            drop (`str`, *optional*):
                Close the connection: `"request"` before reading the content, `"reply"` in the middle of the answer,
                `"lost"` instead of answering, after doing what was asked.
            times (`int`, *optional*, defaults to 1):
                Number of requests, or `None` for all until [`~LoopbackHub.heal`].
        """
        self._faults.append(Fault(re.compile(pattern), status, drop, times))

    def heal(self):
        """Remove all faults."""
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
            # Others cannot tell a private repository from one that does not exist.
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
        errors += find_wrong_metadata(values) if not errors else []
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
                    "uploadMode": "lfs" if goes_to_lfs(wanted["path"], wanted["size"]) else "regular",
                    "shouldIgnore": False,
                    "oid": present.etag if present else None,
                }
            )
        return Answer(json={"files": answers, "commitOid": commit.oid})

    @route("POST", r"/{prefix}{repo}\.git/info/lfs/objects/batch")
    def lfs_batch(self, request: Request, prefix: str, repo_id: str) -> Answer:
        repository = self._find(request.user, _type_of(prefix), repo_id)
        if "ref" in request.json:  # a pull request has none
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
        # Nothing changes before everything has been checked.
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


def _type_of(prefix: str) -> str:
    return next(repo_type for repo_type, known in URL_PREFIXES.items() if known == prefix)


def _commit_header(commit: Commit) -> dict[str, str]:
    return {"X-Repo-Commit": commit.oid}


def _error_body(refusal: Refusal) -> dict:
    return {"errors": [{"message": refusal.message}]} if refusal.status == 400 else {}
