# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""`modeling-dist train` as a script: `accelerate launch examples/train.py --dataset videos/ --output_dir my-dist`."""

from modeling_dist.commands.train import main


if __name__ == "__main__":
    main()
