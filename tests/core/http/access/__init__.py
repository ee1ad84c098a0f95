"""Who may do what: asked of running servers through real sockets."""
