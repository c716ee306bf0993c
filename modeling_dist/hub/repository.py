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
    Tell what to do when the Hub answers with a server error or not at all. Its refusals (a wrong token, no write access, …)
    are left as they are, because the client's messages for them are clear.

    Raises:
        ConnectionError: In place of the error that the client raises for such an interruption.
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
    """
    Create a model's repository and its branch `revision` if they do not exist.

    Args:
        api (`HfApi`):
            The client.
        repo_id (`str`):
            `namespace/name`, or a name in the user's own namespace.
        private (`bool`, *optional*):
            Whether a new repository is private.
        revision (`str`, *optional*):
            Branch, or pull request (`refs/pr/…`), to commit to.
        create_pr (`bool`, *optional*):
            Whether the commit will become a new pull request.

    Returns:
        `tuple[str, list[str]]`: The full id, and the files in the repository.

    Raises:
        ValueError: If both `revision` and `create_pr` are given, or `private=True` and the repository is public.
    """
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
    commit_message: str,
    commit_description: str | None = None,
    revision: str | None = None,
    create_pr: bool | None = None,
    variant: str | None = None,
) -> CommitInfo:
    """
    Add files to a repository in one commit, and delete the weights of an earlier one in another number of files.

    Args:
        api (`HfApi`), repo_id (`str`), revision (`str`, *optional*), create_pr (`bool`, *optional*):
            As in [`open_repository`].
        files (`dict[str, str]`):
            The local files by their paths in the repository.
        present (`Collection[str]`):
            The files in the repository.
        commit_message (`str`), commit_description (`str`, *optional*):
            Title and description of the commit.
        variant (`str`, *optional*):
            Variant of the weights; those of other variants are kept.

    Returns:
        `CommitInfo`: The commit, or the last one if nothing has changed.
    """
    operations = [CommitOperationAdd(name, os.fspath(path)) for name, path in files.items()]
    operations += [CommitOperationDelete(name) for name in stale_weights(present, files, variant)]
    return api.create_commit(
        repo_id,
        operations,
        commit_message=commit_message,
        commit_description=commit_description,
        revision=revision,
        create_pr=create_pr,
    )
