"""WebSockets through all layers: real sockets, real servers, a few small routes."""
