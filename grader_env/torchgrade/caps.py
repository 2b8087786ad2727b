"""How much may cross between a student's process and the judge, in either direction."""

MAX_HEADER = 1 << 20  # bytes of a result's description
MAX_BODY = 256 << 20  # bytes of its tensors
