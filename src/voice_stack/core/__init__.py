"""What the servers share; knows nothing of speech.

Whoever imports a part of it has forbidden the libraries of the models to report to their makers: nothing leaves the
house. ONNX Runtime does so from 1.29 on (names and hashes of models, figures of the machine, an id of it) unless it is
told before it is loaded.
"""

import os

os.environ.update(ORT_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_TELEMETRY="1")
