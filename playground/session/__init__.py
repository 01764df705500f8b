"""One door to everything: intents in, events out. Knows no widget and no engine.

`door` is the door itself, `engine` the parent's side of the worker that runs the model, `tree` the messages of an open chat,
`running` a completion while it is being written, `replay` a recorded one decoded again.
"""

from playground.session.door import Listener, Session

__all__ = ["Listener", "Session"]
