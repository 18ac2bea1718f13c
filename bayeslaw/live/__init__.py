"""Writing a log while training runs: one line of JSON per step, which ``bayeslaw.load`` and the commands read.

A plain loop uses ``Recorder``; ``transformers_callback`` and ``lightning_callback`` do the same for those trainers.
None of them waits for a disk or a device in the training thread, and none of them ever raises.
"""

from bayeslaw.live.callbacks import lightning_callback, transformers_callback
from bayeslaw.live.recorder import Recorder

__all__ = ["Recorder", "lightning_callback", "transformers_callback"]
