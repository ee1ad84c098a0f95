"""Who may do what: each module is one question to a request, asked in the order of `voice_stack.core.layers`."""
