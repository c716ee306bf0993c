"""DiST for transformers: video classification with a frozen CLIP (https://arxiv.org/abs/2309.07911)."""

import sys
from pathlib import Path

from .lazy_exports import lazy_exports


def _is_run_as_command() -> bool:
    """Whether this process is `modeling-dist …` or `python -m modeling_dist …`."""
    module = sys.orig_argv[sys.orig_argv.index("-m") + 1 :][:1] if "-m" in sys.orig_argv else []
    return module == [__name__] or Path((sys.argv or [""])[0]).stem == "modeling-dist"


# The command imports what it needs when it needs it, so that `modeling-dist --help` does not wait for torch. Everybody
# else who imports this package expects it to register its classes.
if _is_run_as_command():
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "auto_classes": (
                *("DiSTConfig", "DiSTForVideoClassification", "DiSTModel", "DiSTPreTrainedModel"),
                *("DiSTVideoProcessor", "ZeroShotVideoClassificationPipeline"),
            ),
            "video_decoding_dist": ("VideoDecodingError",),
        },
    )
else:
    from .auto_classes import (
        DiSTConfig,
        DiSTForVideoClassification,
        DiSTModel,
        DiSTPreTrainedModel,
        DiSTVideoProcessor,
        ZeroShotVideoClassificationPipeline,
    )
    from .video_decoding_dist import VideoDecodingError
