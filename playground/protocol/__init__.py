"""What the window's process and a worker say to each other: small frozen dataclasses as JSON bytes.

Commands go to a worker, events come from it. JSON, not pickle: a leaked tensor would import torch in the window, and bytes from
a broken worker must not be able to run anything. Bulk data goes through files, and the message carries the file's name.
Requests carry a number; an answer to an old request is dropped by whoever asked.

A module here holds the messages of one kind of work. A new one is one line below, `from playground.protocol.<name> import *`:
every dataclass that a module defines and this package shows is a message (`codec.classes`). No two may have one name.
"""

from __future__ import annotations

from playground.protocol.beam import *
from playground.protocol.codec import Message, classes, decode, encode, encode_all, split
from playground.protocol.conversion import *
from playground.protocol.data import *
from playground.protocol.download import *
from playground.protocol.engine import *
from playground.protocol.inside import *
from playground.protocol.parts import *
from playground.protocol.publish import *
from playground.protocol.quality import *
from playground.protocol.scores import *
from playground.protocol.training import *
from playground.protocol.worker import *

__all__ = [*classes(), "Message", "decode", "encode", "encode_all", "split"]
