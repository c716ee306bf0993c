# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""`modeling-dist scan` as a script: `python examples/scan.py --dataset videos/ --num_frames 16 --output problems.csv`."""

from modeling_dist.commands.scan import main


if __name__ == "__main__":
    main()
