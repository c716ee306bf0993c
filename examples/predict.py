# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""`modeling-dist predict` as a script: `python examples/predict.py --model my-dist --videos video.mp4`."""

from modeling_dist.commands.predict import main


if __name__ == "__main__":
    main()
