"""Words of the swarm: ids, specs, status and objects, as frozen values.

Nothing here decides, reads a clock or touches the outside. Specs have the field names of Docker's Engine API, because
that is what people and clients know; objects are skep's own.
"""
