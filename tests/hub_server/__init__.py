# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""
A small Hub on loopback, for the real huggingface_hub client: repositories with a history, LFS, rights, and faults.

It keeps everything in memory and speaks the part of the Hub's protocol that is needed to create repositories, commit to
them and download from them. The client reads its endpoint when it is imported, so tests run it in processes of their own,
with the environment that [`LoopbackHub.environment`] returns, or by [`HubClient`]:

    with LoopbackHub() as hub, HubClient(hub, home) as client:
        hub.add_user("me", token="secret", organizations=["org"])
        hub.add_folder("org/tiny-clip", folder)
        hub.fail(r"POST .*/commit/", status=500)
        result = client.run("from huggingface_hub import HfApi; HfApi().upload_file(...)", token="secret")
        result.returncode, result.stderr
        hub.uploads  # what has arrived, and how
"""

from .client import HubClient
from .server import LoopbackHub
