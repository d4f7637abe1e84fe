"""Real Docker Engines as workers, by SwarmKit's worker protocol.

- `proto` says what the protocol's messages are, `wire` is generated from it.
- `render_*` make messages of skep's model, `parse_*` make values of the model of messages. They are pure functions.
- What workers say is bounded where it is parsed; what cannot be, raises `Unreadable`.
- Some submessages are always sent, though they may be empty: dockerd looks into them without asking whether they are
  there. The functions that make them say so.
- `methods` knows every method of the protocol, so that those not offered are answered as such.
"""
