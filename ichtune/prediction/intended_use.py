"""What predictions are for, as every output says."""

from typing import Final

RESEARCH_ONLY: Final = "research software, no medical device"
