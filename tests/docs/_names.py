"""What a page takes for granted: names that its first block does not define."""

import numpy as np
import torch


def _sequences_and_temperatures(measured):
    return {"sequences": measured["sequence"].to_numpy(), "temperatures": measured["temperature"]}


NAMES = {
    "README.md": _sequences_and_temperatures,
    "docs/index.md": _sequences_and_temperatures,
    "docs/design/embedding.md": lambda _: {"np": np, "torch": torch},
}
