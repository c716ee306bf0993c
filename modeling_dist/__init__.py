"""DiST for transformers: video classification with a frozen CLIP (https://arxiv.org/abs/2309.07911)."""

import sys
from pathlib import Path

from .lazy_exports import lazy_exports


# The command imports what it needs when it needs it, so that `modeling-dist --help` does not wait for torch. Everybody
# else who imports this package expects it to register its classes.
_arguments = sys.orig_argv
_is_module = "-m" in _arguments and _arguments[_arguments.index("-m") + 1 :][:1] == [__name__]

if _is_module or Path(sys.argv[0]).stem == "modeling-dist":
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "auto_classes": (
                *("DiSTConfig", "DiSTForVideoClassification", "DiSTModel", "DiSTPreTrainedModel"),
                *("DiSTVideoProcessor", "VideoDecodingError", "ZeroShotVideoClassificationPipeline"),
            )
        },
    )
else:
    from .auto_classes import (
        DiSTConfig,
        DiSTForVideoClassification,
        DiSTModel,
        DiSTPreTrainedModel,
        DiSTVideoProcessor,
        VideoDecodingError,
        ZeroShotVideoClassificationPipeline,
    )
