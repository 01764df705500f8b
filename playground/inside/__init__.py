"""Attention maps on disk: the file of a capture, heads computed again, scores of heads, rollout. Knows no engine and no window."""
