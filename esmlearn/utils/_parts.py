"""Names of the parts of a split."""

SET_ASIDE = "set_aside"

#: By their usual names, in lower case.
PART_NAMES = dict.fromkeys(["train", "training", "trn"], "train")
PART_NAMES |= dict.fromkeys(["validation", "valid", "val", "dev", "evl"], "validation")
PART_NAMES |= dict.fromkeys(["test", "testing", "tst"], "test")
