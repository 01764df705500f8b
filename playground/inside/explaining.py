"""What is on the screen in a learner's words, with the numbers of the capture at hand. Pure text; pictures are drawn by whoever shows it.

Sources: Vaswani et al. 2017, Attention Is All You Need (1706.03762); grouped heads, Ainslie et al. 2023 (2305.13245); soft caps, Gemma 2
(2408.00118); sliding windows, Beltagy et al. 2020 (2004.05150); rollout, Abnar & Zuidema 2020 (2005.00928).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from playground.inside.layout import Header
from playground.inside.look import Look

KEPT = {
    "u8": "The file keeps square roots of the weights in 8 bits: what you read is within 0.004 of what was computed.",
    "f32": "The file keeps the weights as they were computed, in 32 bits.",
    "qk32": "Of a text this long the file keeps queries and keys, and a head's weights are computed again, by this very formula, when you look.",
    "qk16": "Of a text this long the file keeps queries and keys in 16 bits, and a head's weights are computed again when you look, to 0.02.",
}


@dataclass(frozen=True)
class ModelFacts:
    """What a capture does not say of its model. `sliding`: for each layer whether it is held to the window."""

    window: int = 0
    sliding: tuple[bool, ...] = ()
    capped: bool = False

    def window_of(self, layer: int) -> int:
        """How many tokens a layer sees at most; 0: all that the mask leaves."""
        held = layer < len(self.sliding) and self.sliding[layer]
        return self.window if held else 0


@dataclass(frozen=True)
class Section:
    """One thing explained. `picture` names what is drawn beside it; empty for nothing."""

    name: str
    title: str
    text: str
    picture: str = ""


def sections(header: Header, look: Look, token: int | None = None, facts: ModelFacts | None = None) -> list[Section]:
    """In the order in which one thing needs the other."""
    found = [_product(header, look), _softmax(header, token), _mask(header), _heads(header, look)]
    if facts is not None:
        found += _habits(header, look, facts)
    found += [_modes(header), Section("kept", "What the file keeps", " ".join((KEPT[header.encoding], *header.left_out)))]
    return found


def _product(header: Header, look: Look) -> Section:
    width = header.head_width
    whose = f"Layer {look.layer}, head {look.head}" if look.mode == "head" else "Each head of each layer"
    if header.kind == "cross":
        ends = f"each of the {header.length:,} target tokens makes a query and each of the {header.width:,} source tokens a key"
    else:
        ends = f"each of the {header.length:,} tokens makes a query, what it looks for, and a key, what it can be found by"
    text = (
        f"{whose} works with vectors of {width} numbers: {ends}. The product q·k of two of them is large where they match. It is divided by "
        f"√{width} = {math.sqrt(width):.2f}, since a sum of {width} products grows with their number. (A few models scale by another number.)"
    )
    return Section("product", "Query times key: q·k / √d", text, "product")


def _softmax(header: Header, token: int | None) -> Section:
    if token is not None and header.kind == "causal" and token < header.length:
        row = f"Row {token:,} shares 1 among {token + 1:,} token{'s' if token else ''}: itself and those before it."
    elif header.kind == "cross":
        row = f"Every row shares 1 among the {header.width:,} tokens of the source."
    elif header.kind == "bidirectional":
        row = f"Every row shares 1 among all {header.width:,} tokens."
    else:
        row = f"The last row shares 1 among {header.length:,} tokens, the first has only itself: it is always 1."
    text = (
        "Softmax makes weights of a row of products: each becomes e to its power, divided by the sum of all. They are positive and sum to 1; "
        f"a product that is greater by 1 weighs 2.72 times as much. {row} What a token takes along is the others' values, by these weights."
    )
    if header.kind == "causal":
        text += " The token after it was predicted from what this row gathered, layer upon layer."
    return Section("softmax", "Softmax: a row sums to 1", text, "softmax")


def _mask(header: Header) -> Section:
    length, cells = header.length, header.length * header.width
    padding = (
        "Nothing is padded here, as one text was read alone; in a batch the filler of shorter texts is masked in the same way."
    )
    if header.kind == "cross":
        text = f"A written token may look at all of the source: none of the {length:,} × {header.width:,} = {cells:,} cells is masked. {padding}"
        return Section("mask", "No mask", text)
    if header.kind == "bidirectional":
        text = f"This model reads in both directions: every token sees all {length:,}, and none of the {cells:,} cells is masked. {padding}"
        return Section("mask", "No causal mask", text)
    seen = length * (length + 1) // 2
    text = (
        f"The model writes from left to right, so no token may see a later one: before softmax those products are set to minus infinity, and "
        f"their weight is exactly 0. Of {length:,} × {length:,} = {cells:,} cells {seen:,} are left, on and below the diagonal. {padding}"
    )
    return Section("mask", "The causal mask", text, "mask")


def _heads(header: Header, look: Look) -> Section:
    heads, groups = header.model_heads, header.kv_heads
    captured = len(header.layers) * len(header.heads)
    text = f"{header.model_layers} layers of {heads} heads make {header.model_layers * heads:,} maps"
    text += "." if captured == header.model_layers * heads else f", of which {captured:,} are in this capture."
    if groups >= heads:
        text += " Every head has keys and values of its own."
        return Section("heads", "Heads", text, "heads")
    share = heads // max(1, groups)
    text += (
        f" The {heads} heads share {groups} {'sets' if groups > 1 else 'set'} of keys and values, {share} heads each "
        f"({'grouped-query' if groups > 1 else 'multi-query'} attention), so the cache of a conversation is {share} times smaller."
    )
    if look.mode == "head":
        mine = [each for each in range(heads) if header.group(each) == header.group(look.head) and each != look.head]
        text += f" Head {look.head} has its own queries and the keys of head{'s' if len(mine) > 1 else ''} {_list(mine)}."
    return Section("heads", "Heads in groups", text, "heads")


def _habits(header: Header, look: Look, facts: ModelFacts) -> list[Section]:
    found = []
    absent = []
    window = facts.window_of(look.layer)
    if facts.window and any(facts.sliding):
        held = sum(facts.sliding)
        text = f"{held} of the {len(facts.sliding)} layers see only the last {facts.window:,} tokens, which keeps long texts cheap; "
        text += f"layer {look.layer} is one of them" if window else f"layer {look.layer} sees all before it"
        if window and header.length <= window:
            text += f", though with {header.length:,} tokens here nothing is cut off yet"
        found.append(Section("window", "Sliding window", text + ".", "window" if window else ""))
    elif header.kind == "causal":
        absent.append("no sliding window: however far back a token is, it can be seen")
    if facts.capped:
        text = (
            "Before softmax this model bends its products with c·tanh(x / c): small ones stay as they are, none gets beyond c. So one match "
            "cannot take all the weight by growing without end."
        )
        found.append(Section("cap", "Soft cap", text, "cap"))
    else:
        absent.append("no soft cap: products go into softmax as they are")
    if absent:
        found.append(Section("absent", "What this model does without", f"It has {'; and '.join(absent)}."))
    return found


def _modes(header: Header) -> Section:
    text = (
        "A mean of heads hides that each does something else; it shows what a layer attends to on the whole. Rollout multiplies the layers' "
        "means, each mixed half and half with “stays where it is” for the residual connection, and says how much of each token could have got to a "
        "place. It is no measure of what mattered: it knows nothing of values, of the feed-forward layers, or of heads that cancel each other."
    )
    if header.kind == "cross":
        text += " Cross attention goes from one text to another: there is nothing to multiply."
    return Section("rollout", "Means and rollout", text, "rollout")


def _list(numbers: list[int]) -> str:
    words = [str(each) for each in numbers]
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
