# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Parts of the conversion of the authors' checkpoints; `modeling_dist.convert_dist_to_hf` puts them together."""
