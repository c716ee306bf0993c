# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""`modeling-dist evaluate` as a script: `accelerate launch examples/evaluate.py --model my-dist --dataset videos/`."""

from modeling_dist.commands.evaluate import main


if __name__ == "__main__":
    main()
