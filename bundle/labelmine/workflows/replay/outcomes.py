"""What comes of a label or a decision that is made again."""

EQUAL, DIFFERENT, NOT_REPLAYABLE = "equal", "different", "not replayable"
OUTCOMES = (EQUAL, DIFFERENT, NOT_REPLAYABLE)
