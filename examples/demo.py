# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""`modeling-dist demo` as a script: `python examples/demo.py --output demo`."""

from modeling_dist.commands.demo import main


if __name__ == "__main__":
    main()
