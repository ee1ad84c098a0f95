#!/usr/bin/env python3
"""`voice-stack up` by the name that older services have for it, as `python scripts/start_all.py --check-llm URL`."""

import sys

from voice_stack.__main__ import main

sys.argv.insert(1, "up")
main()
