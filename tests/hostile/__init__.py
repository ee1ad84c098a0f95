"""Attacks and bad luck: what one client does costs the others nothing."""
