# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""A model's repository on the Hub: creating it, committing to it, and what to do when that is interrupted."""

import contextlib
import os
from collections.abc import Collection, Iterator

from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError

from ..frozen_backbone_dist import stale_weights


# The base class of httpx's request errors, whichever copy of httpx the client imports.
_RequestError = HfHubHTTPError.__bases__[0]


@contextlib.contextmanager
def explain_interruption(repo_id: str) -> Iterator[None]:
    """
    Raise a `ConnectionError` that tells what to do when the Hub answers with a server error or not at all. Its
    refusals (a wrong token, no write access, …) are left as they are, because the client's messages for them are
    clear.
    """
    try:
        yield
    except Exception as error:
        causes = [error]
        while causes[-1].__cause__ is not None:
            causes.append(causes[-1].__cause__)
        refused = any(isinstance(cause, HfHubHTTPError) and cause.response.status_code < 500 for cause in causes)
        if refused or not any(isinstance(cause, (_RequestError, ConnectionError, TimeoutError)) for cause in causes):
            raise
        reason = next(cause for cause in reversed(causes) if str(cause))
        raise ConnectionError(
            f"Publishing to `{repo_id}` was interrupted: {reason}\n"
            "The repository holds either all of this commit or nothing of it, and your files are as they were. "
            "Try again when the Hub can be reached; what it has received already is not sent twice."
        ) from error


def open_repository(
    api: HfApi, repo_id: str, private: bool | None = None, revision: str | None = None, create_pr: bool | None = None
) -> tuple[str, list[str]]:
    """Create a model's repository and its branch `revision` if they do not exist. Return its full id and its files."""
    if create_pr and revision not in (None, "main"):
        raise ValueError(
            f'`create_pr=True` proposes a commit to "main" and cannot be combined with `revision="{revision}"`. Give one of them.'
        )
    repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
    if private and not api.model_info(repo_id).private:
        raise ValueError(
            f"`{repo_id}` exists and is public, so `private=True` would have no effect. Make it private in its settings, or "
            "choose another name."
        )
    if revision not in (None, "main") and not revision.startswith("refs/pr/"):
        api.create_branch(repo_id, branch=revision, exist_ok=True)
    return repo_id, api.list_repo_files(repo_id, revision=revision)


def commit_files(
    api: HfApi,
    repo_id: str,
    files: dict[str, str | os.PathLike],
    present: Collection[str],
    variant: str | None = None,
    **commit_kwargs,
) -> CommitInfo:
    """
    Commit local files, given by their paths in the repository, and delete the weights of an earlier commit in another number
    of files. Return the commit, or the last one if nothing has changed.
    """
    operations = [CommitOperationAdd(name, os.fspath(path)) for name, path in files.items()]
    operations += [CommitOperationDelete(name) for name in stale_weights(present, files, variant)]
    return api.create_commit(repo_id, operations, **commit_kwargs)
