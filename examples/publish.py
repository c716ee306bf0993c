# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""`modeling-dist publish` as a script: `python examples/publish.py --model my-dist --repo_id org/my-dist --dry_run`."""

from modeling_dist.commands.publish import main


if __name__ == "__main__":
    main()
