"""A precompiled character map that turns every kind of white space into a space, as SentencePiece's files carry theirs.

Layout (read from llama.cpp's unigram tokenizer and Darts-clone's double array): the trie's size in bytes, the trie, the replacements, each
ended by a zero. A node of the trie is a word of 32 bits: its own byte (0-7), whether a replacement ends here (8), and the way to its
children (10 and up): the place of a child is the node's own place XOR this way XOR the child's byte. The child by the byte 0 is the number
of the replacement, with the highest bit set.
"""

from __future__ import annotations

import struct

_SPACES = [*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000]
"""Unicode's White_Space: where Hugging Face's WhitespaceSplit cuts."""
_ENDS = 1 << 8
_FREE = 1 << 31
"""an unused word, whose byte is none"""

Trie = dict[int, "Trie"]


def white_space() -> bytes:
    """The map of all white space to a space."""
    trie: Trie = {}
    for number in _SPACES:
        node = trie
        for byte in chr(number).encode("utf-8"):
            node = node.setdefault(byte, {})
        node[0] = {}
    words: dict[int, int] = {0: 0}
    taken: set[int] = set()
    waiting = [(0, trie)]
    while waiting:
        place, node = waiting.pop()
        # a base of its own for each node: two with one would take each other's children for theirs
        base = next(base for base in range(1, 1 << 20) if base not in taken and not any(base ^ byte in words for byte in node))
        taken.add(base)
        words[place] |= (place ^ base) << 10
        for byte, child in node.items():
            words[base ^ byte] = byte | (_ENDS if 0 in child else 0) if byte else _FREE  # the only replacement is the first
            if byte:
                waiting.append((base ^ byte, child))
    size = -(-(max(words) + 1) // 256) * 256  # whichever byte follows, its place is there
    blob = struct.pack(f"<{size}I", *(words.get(place, _FREE) for place in range(size)))
    return struct.pack("<I", len(blob)) + blob + b" \0"
