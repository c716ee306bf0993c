# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The check of a model card's metadata, as the Hub makes it before a commit."""

import re


# What the Hub accepts in the metadata of a card: ids of repositories, and its identifiers of licenses.
CARD_REPO_ID = re.compile(r"(?:\w[\w.-]*/)?\w(?:[\w.-]*\w)?")
LICENSES = {
    *("afl-3.0", "agpl-3.0", "apache-2.0", "artistic-2.0", "bsd", "bsd-2-clause", "bsd-3-clause", "bsl-1.0", "cc"),
    *("cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-4.0"),
    *("cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0", "epl-2.0", "eupl-1.2", "gpl"),
    *("gpl-2.0", "gpl-3.0", "isc", "lgpl", "lgpl-2.1", "lgpl-3.0", "mit", "mpl-2.0", "openrail", "other", "unknown"),
    *("unlicense", "wtfpl", "zlib"),
}


def find_wrong_metadata(values: dict) -> list[dict]:
    """Return the errors in a card's metadata: values that are not ids of repositories, and licenses that the Hub does not know."""

    def as_list(value) -> list:
        return value if isinstance(value, list) else [] if value is None else [value]

    ids = [(name, value) for name in ("base_model", "datasets") for value in as_list(values.get(name))]
    for model in values.get("model-index") or []:
        for result in model.get("results", []):
            ids.append(("model-index: dataset.type", result.get("dataset", {}).get("type")))
    errors = [
        f'"{name}" with value "{value}" is not valid. Use an id from the Hub.'
        for name, value in ids
        if not isinstance(value, str) or not CARD_REPO_ID.fullmatch(value)
    ]
    for license in as_list(values.get("license")):
        if license not in LICENSES:
            errors.append(f'"license" must be one of the identifiers of licenses, got "{license}"')
    return [{"message": error} for error in errors]
