"""Go's templates, as far as users of Swarm write them: read, evaluated, and applied to containers, secrets, configs.

`parse` reads a text, `evaluate` fills it in, `expand_container` and `expand_payload` know what of a task is expanded
and with what. What of Go's text/template is missing here is refused by name: `block`, `break`, `continue`, `define`,
`template`, the functions `call`, `html`, `js`, `slice`, `urlquery`, complex numbers, and most of printf's verbs.

- A text is bounded in size by its owner; reading and evaluating it are bounded here, whatever it says.
- Bytes that are no UTF-8 pass through unchanged: they are surrogates within (`surrogateescape`).
"""
