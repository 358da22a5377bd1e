"""Tags of estimators, for scikit-learn."""

from sklearn.utils import Tags


def one_text_column(tags: Tags) -> Tags:
    """Return the tags of an estimator whose X is one column of text, with this declared."""
    tags.input_tags.string = True
    tags.input_tags.one_d_array = True
    tags.input_tags.two_d_array = False
    return tags
