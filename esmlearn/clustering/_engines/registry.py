"""The search engines, by the name with which users choose them."""

from esmlearn.clustering._engines.base import Engine
from esmlearn.clustering._engines.diamond import Diamond
from esmlearn.clustering._engines.exact import ExactSearch
from esmlearn.clustering._engines.mmseqs import MMseqs

# In the order in which "auto" tries them for a large search; an exact one serves small ones.
ENGINES: dict[str, type[Engine]] = {
    "exact": ExactSearch,
    "diamond": Diamond,
    "mmseqs": MMseqs,
}
ENGINE_NAMES = ("auto", *reversed(ENGINES))
