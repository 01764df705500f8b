"""One door to everything: intents in, events out. Knows no widget and no engine.

`door` is the door itself, `parts` what it stands on, `ledger` what is written and told, `engine` the parent's side of the worker that
runs the model, `tree` the messages of an open chat, `replies` their completions, `running` one of them while it is being written,
`replay` a recorded one decoded again, `measuring` what every load teaches, `fitting` whether a model fits, `shelf` models on this
computer and on the hub.
"""

from playground.session.door import Session
from playground.session.ledger import Listener

__all__ = ["Listener", "Session"]
